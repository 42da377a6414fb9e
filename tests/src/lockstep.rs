//! The model of `sch_plug` and the kernel's own side by side: random sequences of packets, commands
//! and mishaps, compared after every step.
//!
//! ```text
//! tapin -> redirect -> IFB with a plug -> br1 -> tapout
//! ```
//!
//! Everything is done from within this program, since an emulated guest takes 60 ms to start another
//! one: the plug is driven over netlink with the very messages that `tc` would send
//! (`qdisc_model::command` says which), and frames are written to and read from taps. What a kernel
//! did is kept as text, and played on the model where there is no plug.

pub mod kernel;
pub mod model;
pub mod step;
pub mod trace;

use std::fmt;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use kernel::Rig;
use model::{Kernel, Mistake, Model};
use step::{Step, sequence};
use trace::Trace;

/// What the kernel tells of a plug at the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets in the queue.
    pub packets: u32,
    /// Bytes in the queue, those that segmentation will add included.
    pub backlog: u32,
    /// Packets that found no room.
    pub drops: u32,
    /// Packets that left.
    pub sent: u32,
    /// Bytes that left.
    pub sent_bytes: u64,
}

/// What there is to see after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the step was taken; only a command is ever refused.
    pub accepted: bool,
    /// The frames that came out since the step before, by their numbers.
    pub out: Vec<u32>,
    /// The plug, if there is one.
    pub plug: Option<Counters>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.accepted {
            "done; out"
        } else {
            "refused; out"
        })?;
        for frame in &self.out {
            write!(f, " {frame}")?;
        }
        match self.plug {
            None => f.write_str("; no plug"),
            Some(plug) => write!(
                f,
                "; held {} of {} bytes, dropped {}, sent {} of {} bytes",
                plug.packets, plug.backlog, plug.drops, plug.sent, plug.sent_bytes
            ),
        }
    }
}

/// What a run has shown.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Sequences.
    pub sequences: u32,
    /// Steps of all of them.
    pub steps: usize,
    /// Frames that were sent.
    pub frames: usize,
    /// The first sequences with what the kernel did.
    pub traces: Vec<Trace>,
}

/// Plays so many sequences on the kernel, in the namespace of the calling thread, and on the model.
/// They are the same in each run. The first `keep` are kept.
///
/// # Errors
/// The shortest sequence found that the two do not agree on, with what each did; or what could not
/// be done.
pub fn run(kernel: Kernel, sequences: u32, keep: usize) -> Result<Report, String> {
    let mut rig = Rig::new()?;
    let mut report = Report::default();
    let config = Config {
        cases: sequences,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let cell = std::cell::RefCell::new((&mut rig, &mut report));
    let played = TestRunner::new_with_rng(config, random).run(&sequence(), |steps| {
        let (rig, report) = &mut *cell.borrow_mut();
        let trace = play(rig, kernel, &steps).map_err(TestCaseError::fail)?;
        report.sequences += 1;
        report.steps += steps.len();
        report.frames += steps.iter().map(Step::frames).sum::<usize>();
        if report.traces.len() < keep {
            report.traces.push(trace);
        }
        Ok(())
    });
    played.map_err(|difference| difference.to_string())?;
    Ok(report)
}

/// Plays one sequence on both. The difference is told with all that went before.
fn play(rig: &mut Rig, kernel: Kernel, steps: &[Step]) -> Result<Trace, String> {
    rig.reset()?;
    let mut model = Model::new(kernel, Mistake::None);
    let mut trace = Trace::default();
    for step in steps {
        let expected = model.act(step);
        let seen = rig.act(step, &expected)?;
        trace.push(step.clone(), seen.clone());
        if seen != expected {
            return Err(format!("\n{trace}the model: {expected}\n"));
        }
    }
    let last = rig.rest(trace.last())?;
    match trace.last() {
        Some(before) if *before != last => Err(format!("\n{trace}and a moment later: {last}\n")),
        _ => Ok(trace),
    }
}

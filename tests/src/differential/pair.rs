//! One back end against one kernel: cases are prepared and put to the kernel side by side until
//! enough distinct frames have been through.

use std::fmt;
use std::sync::mpsc::sync_channel;
use std::thread;

use compiler::backend::Kind;

use super::answer::{Answer, Counts};
use super::batch::Case;
use super::ground::Named;
use super::prepare::Supply;

/// Frames per policy.
const PER_CASE: usize = 5_000;
/// Cases that go to the kernel in one piece.
const TOGETHER: usize = 6;
/// Differences that are kept in full.
const TOLD: usize = 20;

/// What a pair has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Distinct frames.
    pub distinct: usize,
    /// Policies, each compiled and proved.
    pub policies: usize,
    /// All frames together; a captured one counts once per policy.
    pub counts: Counts,
    /// Whether the kernel's plug held the frames.
    pub plug: bool,
    /// The first differences and failures, in words.
    pub told: Vec<String>,
    /// Cases whose rules the kernel did not load, or that broke off.
    pub failures: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            bypassed,
            held,
            lost,
            refused,
            differences,
        } = self.counts;
        write!(
            f,
            "{} frames, {} policies, {differences} differences ({bypassed} bypassed, {held} held, \
             {lost} dropped before the rules, {refused} offloads that the kernel lacks",
            self.distinct, self.policies
        )?;
        if self.failures > 0 {
            write!(f, ", {} policies not tried", self.failures)?;
        }
        f.write_str(if self.plug { ")" } else { "; no plug here" })?;
        if !self.plug {
            f.write_str(", a FIFO in its place)")?;
        }
        Ok(())
    }
}

impl Tally {
    /// Whether everything went as the model says.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures == 0 && self.counts.differences == 0
    }

    fn add(&mut self, cases: &[Case], answer: &Answer) {
        self.plug = answer.plug;
        self.policies += cases.len();
        self.failures += cases.len() - answer.cases.len();
        for (case, answered) in cases.iter().zip(&answer.cases) {
            let (all, more) = (&mut self.counts, &answered.counts);
            all.bypassed += more.bypassed;
            all.held += more.held;
            all.lost += more.lost;
            all.refused += more.refused;
            all.differences += more.differences;
            let mut tell = |what: String| {
                if self.told.len() < TOLD {
                    self.told.push(what);
                }
            };
            if let Some(failure) = &answered.failure {
                self.failures += 1;
                tell(format!("{}: {failure}\n{}", answered.name, case.rules));
            }
            for difference in &answered.differences {
                tell(format!("{}: {difference}", answered.name));
            }
        }
    }
}

/// Runs a back end on each of these kernels until `frames` distinct frames have been through. All
/// get the same cases, at the same time. `progress` is told how many frames each has had.
///
/// # Errors
/// When there is no answer to something; differences are no error.
pub fn run(
    grounds: &mut [&mut Named],
    backend: Kind,
    frames: usize,
    seed: u64,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Tally>, String> {
    let mut tallies = vec![Tally::default(); grounds.len()];
    let (give, take) = sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut supply = Supply::new(backend, seed);
            while supply.distinct() < frames {
                let cases = together(&mut supply, frames);
                // If the other side is gone, it has said why.
                if give.send((cases, supply.distinct())).is_err() {
                    return;
                }
            }
        });
        for (cases, distinct) in take {
            let cases = cases?;
            for (tally, answer) in tallies.iter_mut().zip(put(grounds, &cases)?) {
                tally.add(&cases, &answer);
                tally.distinct = distinct;
            }
            progress(distinct);
        }
        Ok(tallies)
    })
}

/// The next cases, until there are `frames` distinct frames.
fn together(supply: &mut Supply, frames: usize) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    while cases.len() < TOGETHER && supply.distinct() < frames {
        let left = frames - supply.distinct();
        cases.push(supply.case(left.min(PER_CASE)).map_err(|e| e.to_string())?);
    }
    Ok(cases)
}

/// Puts the same cases to all kernels at once.
fn put(grounds: &mut [&mut Named], cases: &[Case]) -> Result<Vec<Answer>, String> {
    thread::scope(|scope| {
        let runs: Vec<_> = grounds
            .iter_mut()
            .map(|(target, ground)| {
                let target = *target;
                (target, scope.spawn(move || ground.put(cases)))
            })
            .collect();
        runs.into_iter()
            .map(|(target, run)| {
                let answer = run.join().map_err(|_| String::from("the run panicked"));
                answer
                    .and_then(|answer| answer)
                    .map_err(|why| format!("{target}: {why}"))
            })
            .collect()
    })
}

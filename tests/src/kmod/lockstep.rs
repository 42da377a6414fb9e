//! The module and the model of the gate side by side: random sequences of packets and commands,
//! compared after every step. The model is `qdisc_model::epoch`; nothing of the module's own code
//! takes part on its side.

use std::cell::RefCell;
use std::fmt::Write;

use kernel_module::netlink::{attribute, state};
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use qdisc_model::epoch::{Gate, OnLate, OnOverflow, Refusal, Settings};
use qdisc_model::packet::{Packet, Tally};

use super::drive::{Dump, Failure, longs, open, words};
use super::rig::Rig;

/// One thing that happens. Epochs are told relative to the open one.
#[derive(Clone, Copy, Debug)]
enum Step {
    Packet(u32),
    Begin(i64),
    Commit(i64),
    CommitOldest,
    Abort(i64),
    Open,
    Limit(u64),
    Flap,
}

/// A sequence, and with what it begins.
#[derive(Clone, Debug)]
struct Sequence {
    limit: u64,
    in_flight: u32,
    on_overflow: OnOverflow,
    steps: Vec<Step>,
}

/// What is to be seen after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    errno: i32,
    out: Vec<u32>,
    numbers: Vec<(u16, u64)>,
    queued: u64,
}

/// What a run has shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Sequences.
    pub sequences: u32,
    /// Steps.
    pub steps: usize,
}

fn sequences() -> impl Strategy<Value = Sequence> {
    let step = prop_oneof![
        10 => prop_oneof![Just(100_u32), 60_u32..1500].prop_map(Step::Packet),
        4 => Just(Step::Begin(1)),
        1 => (-1_i64..=2).prop_map(Step::Begin),
        4 => Just(Step::CommitOldest),
        2 => (-3_i64..=1).prop_map(Step::Commit),
        1 => (-3_i64..=1).prop_map(Step::Abort),
        1 => Just(Step::Open),
        1 => (0_u64..4_000).prop_map(Step::Limit),
        1 => Just(Step::Flap),
    ];
    let on_overflow = prop_oneof![
        Just(OnOverflow::DropNewest),
        Just(OnOverflow::RefuseEpoch),
        (0_u64..3_000).prop_map(|at| OnOverflow::AskCheckpoint { at }),
    ];
    let limit = prop_oneof![200_u64..4_000, Just(1 << 20)];
    let steps = proptest::collection::vec(step, 1..20);
    (limit, 1_u32..4, on_overflow, steps).prop_map(|(limit, in_flight, on_overflow, steps)| {
        Sequence {
            limit,
            in_flight,
            on_overflow,
            steps,
        }
    })
}

/// Plays so many sequences, the same in each run, with a qdisc of this kind.
///
/// # Errors
/// The shortest sequence found that the two do not agree on, or what could not be done.
pub fn run(rig: &mut Rig, sequences_wanted: u32) -> Result<Report, String> {
    let mut report = Report::default();
    let config = Config {
        cases: sequences_wanted,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let cell = RefCell::new((rig, &mut report));
    let played = TestRunner::new_with_rng(config, random).run(&sequences(), |sequence| {
        let (rig, report) = &mut *cell.borrow_mut();
        play(rig, &sequence).map_err(TestCaseError::fail)?;
        report.sequences += 1;
        report.steps += sequence.steps.len();
        Ok(())
    });
    played.map_err(|difference| difference.to_string())?;
    Ok(report)
}

fn play(rig: &mut Rig, sequence: &Sequence) -> Result<(), String> {
    let _ = rig.driver.delete();
    rig.out(0)?;
    let mut options = longs(&[(attribute::LIMIT, sequence.limit)]);
    options.extend(words(&[(attribute::IN_FLIGHT, sequence.in_flight)]));
    let number = match sequence.on_overflow {
        OnOverflow::DropNewest => 0,
        OnOverflow::RefuseEpoch => 1,
        OnOverflow::AskCheckpoint { at } => {
            options.extend(longs(&[(attribute::ASK_AT, at)]));
            2
        }
    };
    options.extend(words(&[(attribute::OVERFLOW, number)]));
    rig.driver.add("epochgate", Some(&options))?;
    let mut model = Gate::new(Settings {
        limit: sequence.limit,
        in_flight: sequence.in_flight as usize,
        on_overflow: sequence.on_overflow,
        on_late: OnLate::Hold,
    });
    let (mut asked, mut full, mut limit) = (false, false, sequence.limit);
    let mut story = String::new();
    for (number, step) in (1_u32..).zip(&sequence.steps) {
        let open_epoch = model.open();
        let errno = model_step(&mut model, number, *step, &mut asked, &mut full, &mut limit);
        let before = model.held();
        let mut out = Vec::new();
        while let Some(packet) = model.leave() {
            out.push(u32::try_from(packet.id).expect("few packets"));
        }
        full &= before == model.held();
        let expected = Seen {
            errno,
            out,
            numbers: numbers_of(&model, asked, full, limit),
            queued: model.held().packets,
        };
        let errno = kernel_step(rig, number, *step, open_epoch)?;
        let out = rig.out(expected.out.len())?;
        let dump = rig.driver.dump()?.ok_or("the qdisc is gone")?;
        let seen = Seen {
            errno,
            out,
            numbers: expected
                .numbers
                .iter()
                .map(|(kind, _)| (*kind, dump.get(*kind)))
                .collect(),
            queued: dump.packets.into(),
        };
        let _ = writeln!(story, "{step:?}: {seen:?}");
        if seen != expected {
            return Err(format!("\n{story}the model: {expected:?}\n{dump:?}"));
        }
        consistent(&dump)?;
    }
    Ok(())
}

/// What the core of the qdisc layer counts, and what we do.
fn consistent(dump: &Dump) -> Result<(), String> {
    let queued = dump.get(attribute::HELD_PACKETS) == u64::from(dump.packets);
    let backlog = dump.get(attribute::HELD_BYTES) == u64::from(dump.backlog);
    let dropped = dump.get(attribute::OVERFLOWED) + dump.get(attribute::ABORTED);
    let drops = dropped == u64::from(dump.drops);
    match queued && backlog && drops {
        true => Ok(()),
        false => Err(format!("the counts contradict each other: {dump:?}")),
    }
}

fn model_step(
    model: &mut Gate,
    id: u32,
    step: Step,
    asked: &mut bool,
    full: &mut bool,
    limit: &mut u64,
) -> i32 {
    use qdisc_model::epoch::Arrival;
    let number = |model: &Gate, offset: i64| model.open().saturating_add_signed(offset);
    let before = model.open();
    let result = match step {
        Step::Packet(bytes) => {
            match model.arrive(Packet::held(id.into(), bytes)) {
                Arrival::Held { ask, .. } => *asked |= ask,
                Arrival::Dropped { ask } => {
                    *asked |= ask;
                    *full = true;
                }
                Arrival::Passed => {}
            }
            Ok(())
        }
        Step::Begin(offset) => model.begin(number(model, offset)),
        Step::Commit(offset) => model.commit(number(model, offset)).map(drop),
        Step::CommitOldest => {
            let oldest = model.in_flight().front().copied().unwrap_or(0);
            model.commit(oldest).map(drop)
        }
        Step::Abort(offset) => {
            let lost = model.abort(number(model, offset));
            *full &= !matches!(&lost, Ok(lost) if !lost.is_empty());
            lost.map(drop)
        }
        Step::Open => {
            model.open_up();
            Ok(())
        }
        Step::Limit(bytes) => {
            *limit = bytes;
            model.set_limit(bytes);
            Ok(())
        }
        Step::Flap => {
            *full &= model.reset().is_empty();
            Ok(())
        }
    };
    *asked &= model.open() == before;
    match result {
        Ok(()) => 0,
        Err(Refusal::NotNext { .. }) => -22,
        Err(Refusal::TooMany) => -28,
        Err(Refusal::Full) => -105,
        Err(Refusal::StillOpen) => -16,
        Err(Refusal::Unknown) => -2,
        Err(Refusal::OutOfOrder { .. }) => -11,
        Err(Refusal::Aborted) => -125,
        Err(Refusal::Settled) => -114,
    }
}

fn kernel_step(rig: &mut Rig, id: u32, step: Step, open_epoch: u64) -> Result<i32, String> {
    let number = |offset: i64| open_epoch.saturating_add_signed(offset);
    let options = match step {
        Step::Packet(bytes) => {
            rig.send(id, bytes as usize)?;
            return Ok(0);
        }
        Step::Flap => {
            rig.flap()?;
            return Ok(0);
        }
        Step::Begin(offset) => longs(&[(attribute::BEGIN, number(offset))]),
        Step::Commit(offset) => longs(&[(attribute::COMMIT, number(offset))]),
        Step::CommitOldest => {
            let dump = rig.driver.dump()?.ok_or("the qdisc is gone")?;
            longs(&[(attribute::COMMIT, dump.get(attribute::OLDEST))])
        }
        Step::Abort(offset) => longs(&[(attribute::ABORT, number(offset))]),
        Step::Open => open(),
        Step::Limit(bytes) => longs(&[(attribute::LIMIT, bytes)]),
    };
    match rig.driver.change("epochgate", &options) {
        Ok(()) => Ok(0),
        Err(Failure::Refused(errno)) => Ok(errno),
        Err(Failure::Broken(what)) => Err(what),
    }
}

/// All that the module tells and the model knows.
fn numbers_of(model: &Gate, asked: bool, full: bool, limit: u64) -> Vec<(u16, u64)> {
    let counters = model.counters();
    let bits = |set: bool, bit: u32| if set { u64::from(bit) } else { 0 };
    let mut numbers = vec![
        (
            attribute::STATE,
            bits(model.is_open(), state::OPEN)
                | bits(full, state::FULL)
                | bits(asked, state::ASKING),
        ),
        (attribute::LIMIT, limit),
        (attribute::OPEN_EPOCH, model.open()),
        (attribute::COMMITTED, model.committed()),
        (
            attribute::OLDEST,
            model.in_flight().front().copied().unwrap_or(0),
        ),
        (attribute::FLYING, model.in_flight().len() as u64),
        (attribute::HELD_PACKETS, model.held().packets),
        (attribute::HELD_BYTES, model.held().bytes),
        (attribute::REFUSED, counters.refused),
    ];
    let mut tally = |kind: u16, tally: Tally| {
        numbers.push((kind, tally.packets));
        numbers.push((kind + 1000, tally.bytes));
    };
    tally(attribute::SENT, counters.left);
    tally(attribute::UNPROTECTED, counters.unprotected);
    tally(attribute::OVERFLOWED, counters.overflow);
    tally(attribute::ABORTED, counters.aborted);
    tally(attribute::PURGED, counters.purged);
    numbers
}

//! The open question of the paper: which checkpoint interval, and which byte limit, is best for
//! given calls, dirty rate and link.
//!
//! [`tune`] is the method on one page: simulate a grid of intervals, find the knee and the interval
//! of the highest worth, look closer around both, and say which limit goes with it. Then compare
//! classifications at that interval: what passes beyond media, and what it costs.

pub mod advice;
pub mod classification;
pub mod grid;
pub mod json;
pub mod knee;
pub mod page;
pub mod sweep;
pub mod utility;

use policy_lang::{Policy, Verdict};
use qdisc_model::simulate::{Checkpoints, Config, Outcome};

use crate::simulate::traffic::{Traffic, judge, verdicts};
use advice::Advice;
use classification::Kind;
use sweep::{Figures, LEAST_PERIODS, Sweep, Unreplicated, mean};
use utility::Weights;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The run. Its verdicts, its limit and its failover are replaced, its checkpoints' interval is
    /// the one that is tried.
    pub config: Config,
    /// How checkpoints are taken.
    pub checkpoints: Checkpoints,
    /// Who talks to whom.
    pub traffic: Traffic,
    /// The shortest and the longest interval, in milliseconds.
    pub range_ms: (u64, u64),
    /// About how many intervals are tried before it is looked closer.
    pub points: u32,
    /// How many seeds each is tried with.
    pub seeds: u32,
    /// What counts how much.
    pub weights: Weights,
    /// How many threads simulate; the result does not depend on it.
    pub threads: usize,
}

impl Plan {
    /// Whether an interval is in the range that is tried.
    fn has(&self, interval_ms: u64) -> bool {
        (self.range_ms.0..=self.range_ms.1).contains(&interval_ms)
    }
}

/// What the policy says of its gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its interval, in whole milliseconds.
    pub interval_ms: Option<u64>,
    /// Its limit, in bytes.
    pub limit: Option<u64>,
}

impl Own {
    fn of(policy: &Policy) -> Self {
        let interval = policy.gate.interval;
        Self {
            interval_ms: interval.and_then(|interval| u64::try_from(interval.as_millis()).ok()),
            limit: policy.gate.limit,
        }
    }
}

/// How many further intervals are tried on either side of the knee and of the best.
const CLOSER: u32 = 2;

/// Intervals that are worth this share of the best are about as good.
const ABOUT_AS_GOOD: f64 = 0.99;

/// What was found.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// What was tried, with the policy's verdicts.
    pub plan: Plan,
    /// What the policy says.
    pub own: Own,
    /// The same traffic without replication.
    pub unreplicated: Unreplicated,
    /// What each interval does, the shortest first.
    pub curve: Vec<Figures>,
    /// Place in the curve of the knee; none if there is none.
    pub knee: Option<usize>,
    /// What is recommended.
    pub advice: Advice,
    /// The classifications compared at the recommended interval.
    pub compared: Vec<Compared>,
    /// The kinds of traffic that they were judged with, and their verdicts in the same order.
    pub kinds: Vec<(Kind, Vec<Verdict>)>,
}

impl Tuned {
    /// The shortest interval with which a run is too short to tell much.
    #[must_use]
    pub fn too_slow(&self) -> Option<u64> {
        let run_ms = self.plan.config.duration as f64 / 1e6;
        let slow = |figures: &&Figures| figures.period_ms * f64::from(LEAST_PERIODS) > run_ms;
        self.curve
            .iter()
            .find(slow)
            .map(|figures| figures.interval_ms)
    }
}

/// What a classification costs.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its name in JSON.
    pub id: &'static str,
    /// Its name in reports.
    pub name: &'static str,
    /// Mean opinion score of the calls; none without calls.
    pub mos: Option<f64>,
    /// What bulk TCP brings over, in bits a second; none without bulk TCP.
    pub goodput: Option<f64>,
    /// How long SIP over UDP waits: mean of the runs' 99 of 100 messages, in milliseconds.
    pub signalling_ms: f64,
    /// Most bytes held.
    pub held_most: u64,
    /// Kinds of traffic that pass beyond media.
    pub passes: Vec<&'static str>,
    /// Those of them that peers act on.
    pub passes_state: Vec<&'static str>,
}

/// Tries intervals and recommends one. `progress` is told how many of about how many steps are
/// done.
#[must_use]
pub fn tune(policy: &Policy, plan: &Plan, mut progress: impl FnMut(u64, u64)) -> Tuned {
    let judged = judge(policy, &plan.traffic, plan.config.calls);
    let plan = Plan {
        config: Config {
            verdicts: verdicts(&judged),
            ..plan.config
        },
        ..*plan
    };
    let sweep = Sweep {
        config: plan.config,
        seeds: plan.seeds.max(1),
        threads: plan.threads,
    };
    let mut intervals = grid::geometric(plan.range_ms.0, plan.range_ms.1, plan.points);
    let own = Own::of(policy);
    intervals.extend(own.interval_ms.filter(|own| plan.has(*own)));
    intervals.sort_unstable();
    intervals.dedup();
    let mut steps = Steps::new(&sweep, intervals.len());
    let mut step = || {
        steps.done += 1;
        progress(steps.done, steps.all.max(steps.done));
    };

    let unreplicated = sweep.unreplicated(&mut step);
    let mut try_out = |intervals: &[u64]| -> Vec<Figures> {
        let figures = sweep.intervals(plan.checkpoints, intervals, &mut step);
        let scored = figures.into_iter();
        scored
            .map(|figures| figures.scored(&unreplicated, &plan.weights))
            .collect()
    };
    let mut curve = try_out(&intervals);
    let mut closer: Vec<u64> = [knee_of(&curve), best_of(&curve)]
        .into_iter()
        .flatten()
        .flat_map(|index| grid::around(&intervals, index, CLOSER))
        .collect();
    closer.sort_unstable();
    closer.dedup();
    curve.extend(try_out(&closer));
    curve.sort_by_key(|figures| figures.interval_ms);

    let advice = Advice::new(&curve, best_of(&curve).unwrap_or_default());
    let kinds = classification::kinds(&plan.traffic);
    let classifications = classification::all(policy);
    let at_best = Checkpoints {
        interval: advice.interval_ms.saturating_mul(1_000_000),
        ..plan.checkpoints
    };
    let their_verdicts: Vec<_> = classifications
        .iter()
        .map(|one| verdicts(&judge(&one.policy, &plan.traffic, plan.config.calls)))
        .collect();
    let runs = sweep.verdicts(at_best, &their_verdicts, &mut step);
    let compared = classifications
        .iter()
        .zip(&runs)
        .map(|(one, runs)| Compared::new(one, runs, &kinds, &plan.config))
        .collect();
    Tuned {
        knee: knee_of(&curve),
        kinds: kinds
            .into_iter()
            .map(|kind| {
                let verdicts = classification::verdicts(&kind, &classifications);
                (kind, verdicts)
            })
            .collect(),
        plan,
        own,
        unreplicated,
        curve,
        advice,
        compared,
    }
}

/// How much there is to do.
struct Steps {
    done: u64,
    all: u64,
}

impl Steps {
    fn new(sweep: &Sweep, intervals: usize) -> Self {
        // Without replication, the intervals, those looked at more closely, the classifications.
        let closer = 4 * u64::from(CLOSER);
        let intervals = u64::try_from(intervals).unwrap_or(u64::MAX);
        Self {
            done: 0,
            all: u64::from(sweep.seeds).saturating_mul(1 + intervals + closer + 4),
        }
    }
}

/// The knee of what longer intervals buy, running time of the guest, over what they cost, the time
/// that a failure takes back.
fn knee_of(curve: &[Figures]) -> Option<usize> {
    let points: Vec<(f64, f64)> = curve
        .iter()
        .map(|figures| (figures.rolled_back_ms, figures.running))
        .collect();
    knee::knee(&points)
}

/// The interval of the highest worth; of equals the shortest.
fn best_of(curve: &[Figures]) -> Option<usize> {
    let best =
        curve
            .iter()
            .enumerate()
            .fold(
                None,
                |best: Option<(usize, f64)>, (index, figures)| match best {
                    Some((_, most)) if figures.worth <= most => best,
                    _ => Some((index, figures.worth)),
                },
            );
    best.map(|(index, _)| index)
}

/// The shortest and the longest of the intervals around the best, without a gap, that are worth
/// about as much.
fn plateau(tuned: &Tuned) -> (u64, u64) {
    let place = tuned.advice.place;
    let best = tuned.curve.get(place).map_or(0.0, |figures| figures.worth);
    let as_good = |figures: &&Figures| figures.worth >= best * ABOUT_AS_GOOD;
    let before = tuned.curve.iter().take(place + 1).rev();
    let after = tuned.curve.iter().skip(place);
    let interval = |figures: Option<&Figures>| figures.map_or(0, |figures| figures.interval_ms);
    (
        interval(before.take_while(as_good).last()),
        interval(after.take_while(as_good).last()),
    )
}

impl Compared {
    fn new(
        classification: &classification::Classification,
        runs: &[Outcome],
        kinds: &[Kind],
        config: &Config,
    ) -> Self {
        let passing = |wanted: fn(classification::Harm) -> bool| {
            let one = std::slice::from_ref(classification);
            kinds
                .iter()
                .filter(|kind| wanted(kind.harm))
                .filter(|kind| classification::verdicts(kind, one) == [Verdict::Bypass])
                .map(|kind| kind.name)
                .collect()
        };
        Self {
            id: classification.id,
            name: classification.name,
            mos: (config.calls.count > 0).then(|| mean(runs.iter().map(|run| run.calls.mos))),
            goodput: config
                .bulk
                .map(|_| mean(runs.iter().map(|run| run.goodput))),
            signalling_ms: mean(runs.iter().map(|run| run.signalling.p99_delay_ms)),
            held_most: runs
                .iter()
                .map(|run| run.most_held.bytes)
                .max()
                .unwrap_or_default(),
            passes: passing(|harm| harm != classification::Harm::Media),
            passes_state: passing(|harm| harm == classification::Harm::State),
        }
    }
}

#[cfg(test)]
mod tests;

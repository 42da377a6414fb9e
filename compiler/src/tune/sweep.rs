//! The simulations behind a curve: every interval with every seed, with media held and with media
//! passing, and some failures of the primary, spread evenly over the time between two checkpoints.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use qdisc_model::packet::Verdict;
use qdisc_model::simulate::{Checkpoints, Config, Failover, Outcome, Verdicts, run};

use super::utility::{Scores, Weights};

/// Failures of the primary per interval and seed.
const FAILURES: u32 = 4;

/// A run should be as long as that many periods.
pub const LEAST_PERIODS: u32 = 3;

/// What there is no room for can't be measured; this is the largest limit of `sch_plug`, in bytes.
pub(super) const NO_LIMIT: u64 = u32::MAX as u64;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// What one interval does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The configured interval.
    pub interval_ms: u64,
    /// From one suspend to the next.
    pub period_ms: f64,
    /// How long the guest stands still for a checkpoint.
    pub pause_ms: f64,
    /// From there to the commit.
    pub transfer_ms: f64,
    /// Share of the time in which the guest runs, 0 to 1.
    pub running: f64,
    /// Mean opinion score of the calls behind a fixed jitter buffer, if media are held; none without
    /// calls.
    pub mos_held: Option<f64>,
    /// The same if media pass.
    pub mos_bypassed: Option<f64>,
    /// Behind an adaptive jitter buffer, if media are held.
    pub mos_held_adaptive: Option<f64>,
    /// Behind an adaptive jitter buffer, if media pass.
    pub mos_bypassed_adaptive: Option<f64>,
    /// Behind the fixed buffer under the policy: one of the first two.
    pub mos: Option<f64>,
    /// Most bytes held under the policy, in any of the runs.
    pub held_most: u64,
    /// Bytes held before a commit under the policy: 99 of 100 commits do not exceed it.
    pub held_p99: u64,
    /// What bulk TCP brings over under the policy, in bits a second; none without bulk TCP.
    pub goodput: Option<f64>,
    /// What a failure takes back, on average over the time at which it happens.
    pub rolled_back_ms: f64,
    /// The most that one of the failures took back.
    pub rolled_back_most_ms: f64,
    /// Packets that die in the gate with a failure, on average.
    pub held_lost: f64,
    /// What the interval is worth.
    pub scores: Scores,
    /// The weighted mean of the scores.
    pub worth: f64,
}

/// The same traffic without replication.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unreplicated {
    /// Mean opinion score of the calls; none without calls.
    pub mos: Option<f64>,
    /// What bulk TCP brings over, in bits a second; none without bulk TCP.
    pub goodput: Option<f64>,
}

/// What one interval did with one seed.
struct Sample {
    held: Outcome,
    bypassed: Outcome,
    failures: Vec<Outcome>,
}

impl Sample {
    fn with(&self, media: Verdict) -> &Outcome {
        match media {
            Verdict::Buffer => &self.held,
            Verdict::Bypass => &self.bypassed,
        }
    }
}

/// A run of one interval and one seed.
#[derive(Clone, Copy, Debug)]
struct Job {
    interval_ms: u64,
    /// Which of the seeds, from 0.
    number: u32,
}

/// Who runs what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    /// The run; interval, seed, limit and failure are replaced.
    pub(super) config: Config,
    /// How many seeds, from that of the run on.
    pub(super) seeds: u32,
    /// How many threads.
    pub(super) threads: usize,
}

impl Sweep {
    /// Without replication.
    pub(super) fn unreplicated(&self, done: &mut dyn FnMut()) -> Unreplicated {
        let numbers: Vec<u32> = (0..self.seeds).collect();
        let without = Config {
            checkpoints: None,
            ..self.config
        };
        let runs = self.each(&numbers, done, |number| {
            simulate(&self.seeded(without, *number))
        });
        Unreplicated {
            mos: self.mean_mos(runs.iter()),
            goodput: self.mean_goodput(runs.iter()),
        }
    }

    /// With each of these intervals.
    pub(super) fn intervals(
        &self,
        checkpoints: Checkpoints,
        intervals: &[u64],
        done: &mut dyn FnMut(),
    ) -> Vec<Figures> {
        let jobs: Vec<Job> = intervals
            .iter()
            .flat_map(|&interval_ms| {
                (0..self.seeds).map(move |number| Job {
                    interval_ms,
                    number,
                })
            })
            .collect();
        let samples = self.each(&jobs, done, |job| self.sample(checkpoints, *job));
        let per_interval = usize::try_from(self.seeds.max(1)).unwrap_or(usize::MAX);
        intervals
            .iter()
            .zip(samples.chunks(per_interval))
            .map(|(interval, samples)| self.figures(*interval, samples))
            .collect()
    }

    /// One run for each of these verdicts and each seed, with one interval; the runs of the first
    /// verdicts come first.
    pub(super) fn verdicts(
        &self,
        checkpoints: Checkpoints,
        verdicts: &[Verdicts],
        done: &mut dyn FnMut(),
    ) -> Vec<Vec<Outcome>> {
        let jobs: Vec<(Verdicts, u32)> = verdicts
            .iter()
            .flat_map(|verdicts| (0..self.seeds).map(move |number| (*verdicts, number)))
            .collect();
        let mut runs = self
            .each(&jobs, done, |(verdicts, number)| {
                simulate(&Config {
                    checkpoints: Some(checkpoints),
                    verdicts: *verdicts,
                    ..self.seeded(self.config, *number)
                })
            })
            .into_iter();
        let seeds = usize::try_from(self.seeds).unwrap_or(usize::MAX);
        verdicts
            .iter()
            .map(|_| runs.by_ref().take(seeds).collect())
            .collect()
    }

    fn seeded(&self, config: Config, number: u32) -> Config {
        Config {
            seed: self.config.seed.wrapping_add(u64::from(number)),
            limit: NO_LIMIT,
            failover: None,
            record: false,
            ..config
        }
    }

    fn sample(&self, checkpoints: Checkpoints, job: Job) -> Sample {
        let config = Config {
            checkpoints: Some(Checkpoints {
                interval: job.interval_ms * MS,
                ..checkpoints
            }),
            ..self.seeded(self.config, job.number)
        };
        let with_media = |media| {
            simulate(&Config {
                verdicts: Verdicts {
                    media,
                    ..config.verdicts
                },
                ..config
            })
        };
        let (held, bypassed) = (with_media(Verdict::Buffer), with_media(Verdict::Bypass));
        // A run that is too short for it tells little, and a longer one would take for ever.
        let longest = config.duration as f64 / f64::from(LEAST_PERIODS);
        let period = (period_ms(&held, job.interval_ms) * 1e6)
            .round()
            .min(longest);
        let failures = (0..FAILURES)
            .map(|failure| {
                // All failures of all seeds are spread evenly over one period.
                let place = f64::from(failure * self.seeds + job.number) + 0.5;
                let phase = place / f64::from(FAILURES * self.seeds);
                let at = whole(period * (2.0 + phase));
                simulate(&Config {
                    duration: at + 1,
                    failover: Some(Failover {
                        at,
                        detection: 0,
                        announcement: 0,
                    }),
                    ..config
                })
            })
            .collect();
        Sample {
            held,
            bypassed,
            failures,
        }
    }

    fn figures(&self, interval_ms: u64, samples: &[Sample]) -> Figures {
        let media = self.config.verdicts.media;
        let owns: Vec<&Outcome> = samples.iter().map(|sample| sample.with(media)).collect();
        let failures = || samples.iter().flat_map(|sample| &sample.failures);
        let lost = || failures().filter_map(|outcome| outcome.failover);
        let (period_ms, pause_ms) = (
            mean(owns.iter().map(|o| period_ms(o, interval_ms))),
            mean(owns.iter().map(|o| o.pause_ms)),
        );
        let all = owns.iter().copied().chain(failures());
        let mos_held = self.mean_mos(samples.iter().map(|sample| &sample.held));
        let mos_bypassed = self.mean_mos(samples.iter().map(|sample| &sample.bypassed));
        let adaptive = |media| {
            let runs = samples.iter().map(|sample| sample.with(media));
            (self.config.calls.count > 0).then(|| mean(runs.map(|run| run.calls.adaptive_mos)))
        };
        Figures {
            interval_ms,
            period_ms,
            pause_ms,
            transfer_ms: mean(owns.iter().map(|o| o.transfer_ms)),
            running: if period_ms > 0.0 {
                1.0 - pause_ms / period_ms
            } else {
                1.0
            },
            mos_held,
            mos_bypassed,
            mos_held_adaptive: adaptive(Verdict::Buffer),
            mos_bypassed_adaptive: adaptive(Verdict::Bypass),
            mos: match media {
                Verdict::Buffer => mos_held,
                Verdict::Bypass => mos_bypassed,
            },
            held_most: all.map(|o| o.most_held.bytes).max().unwrap_or_default(),
            held_p99: owns
                .iter()
                .map(|o| o.held.bytes.p99)
                .max()
                .unwrap_or_default(),
            goodput: self.mean_goodput(owns.iter().copied()),
            rolled_back_ms: mean(lost().map(|lost| lost.rolled_back_ms)),
            rolled_back_most_ms: lost().map(|l| l.rolled_back_ms).fold(0.0, f64::max),
            held_lost: mean(lost().map(|lost| lost.held_lost as f64)),
            ..Figures::default()
        }
    }

    fn mean_mos<'a>(&self, runs: impl Iterator<Item = &'a Outcome>) -> Option<f64> {
        (self.config.calls.count > 0).then(|| mean(runs.map(|outcome| outcome.calls.mos)))
    }

    fn mean_goodput<'a>(&self, runs: impl Iterator<Item = &'a Outcome>) -> Option<f64> {
        self.config
            .bulk
            .map(|_| mean(runs.map(|outcome| outcome.goodput)))
    }

    /// Does the jobs on several threads. The results are in the order of the jobs, so that nothing
    /// depends on how many threads there are or who was first.
    fn each<J: Sync, T: Send>(
        &self,
        jobs: &[J],
        done: &mut dyn FnMut(),
        work: impl Fn(&J) -> T + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let mut results: Vec<(usize, T)> = Vec::with_capacity(jobs.len());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.clamp(1, jobs.len().max(1)) {
                let (sender, next, work) = (sender.clone(), &next, &work);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(index) else {
                            break;
                        };
                        if sender.send((index, work(job))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for result in receiver {
                results.push(result);
                done();
            }
        });
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

impl Figures {
    /// Scores the figures.
    pub(super) fn scored(mut self, unreplicated: &Unreplicated, weights: &Weights) -> Self {
        let goodput = match (self.goodput, unreplicated.goodput) {
            (Some(is), Some(free)) if free > 0.0 => Some(is / free),
            _ => None,
        };
        self.scores = Scores::of(self.mos, self.running, goodput, self.rolled_back_ms);
        self.worth = self.scores.worth(weights);
        self
    }
}

/// From one suspend to the next; what it would be with libxl's timer if there were no two.
fn period_ms(outcome: &Outcome, interval_ms: u64) -> f64 {
    if outcome.period_ms > 0.0 {
        outcome.period_ms
    } else {
        interval_ms as f64 + outcome.pause_ms + outcome.transfer_ms
    }
}

fn simulate(config: &Config) -> Outcome {
    run(config, |_, _| {})
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Whole nanoseconds of a time that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction of a nanosecond is to go, and the conversion saturates"
)]
fn whole(nanoseconds: f64) -> u64 {
    nanoseconds as u64
}

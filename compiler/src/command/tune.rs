//! `epochgate tune`: which checkpoint interval and limit are best for a workload.

use std::path::PathBuf;
use std::time::Duration;

use policy_lang::policy::Overflow;

use super::outputs::Outputs;
use super::replay::nanoseconds;
use super::workload::Workload;
use crate::cli::{Console, PolicyFile, positive_duration};
use crate::exit::{self, Exit, Failure};
use crate::render::Report;
use crate::tune::utility::Weights;
use crate::tune::{Plan, json, page, tune};

/// Simulate a range of checkpoint intervals and recommend one, with the limit that goes with it.
///
/// For each interval there is the quality of the calls with media held and with media passing, what
/// the gate holds, what bulk TCP brings over, how much the guest runs, and what a failure undoes.
/// Classifications are compared at the recommended interval: the paper's, the policy's, the policy
/// refined by the first payload bytes, and everything held.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// The shortest interval, in whole milliseconds.
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = positive_duration)]
    from: Duration,
    /// The longest interval, in whole milliseconds.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = positive_duration)]
    to: Duration,
    /// About how many intervals are tried before it is looked closer around the best ones.
    #[arg(long, value_name = "N", default_value_t = 13, value_parser = clap::value_parser!(u32).range(3..=200))]
    points: u32,
    /// What the random numbers follow from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seeds each interval is tried with, from that one on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: u32,
    /// Simulated time of each run.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = positive_duration)]
    duration: Duration,
    /// How much a score counts, such as `tcp=2`; may be given several times. Otherwise `voice=4`,
    /// `guest=2`, `tcp=1` and `recovery=1`.
    #[arg(long, value_name = "SCORE=N", value_parser = weight)]
    weight: Vec<Weight>,
    #[command(flatten)]
    workload: Workload,
    #[command(flatten)]
    outputs: Outputs,
}

/// How much one score counts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weight {
    score: Score,
    weight: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Score {
    Voice,
    Guest,
    Tcp,
    Recovery,
}

/// Reads `tcp=2`.
fn weight(text: &str) -> Result<Weight, String> {
    let (name, weight) = text
        .split_once('=')
        .ok_or("write a score and its weight, such as `tcp=2`")?;
    let score = match name {
        "voice" => Score::Voice,
        "guest" => Score::Guest,
        "tcp" => Score::Tcp,
        "recovery" => Score::Recovery,
        _ => {
            return Err(format!(
                "no such score: `{name}`; there are `voice`, `guest`, `tcp` and `recovery`"
            ));
        }
    };
    let weight = weight.parse().ok().filter(|n| (0.0..=1e6).contains(n));
    let weight = weight.ok_or("a weight is a number from 0 to 1000000")?;
    Ok(Weight { score, weight })
}

/// Tries intervals and prints what was found.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    args.outputs.check()?;
    let plan = args.plan()?;
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    if policy.gate.on_overflow == Overflow::Release {
        console.report(
            None,
            &Report::warning("`on-overflow release` is left aside: no limit is reached here"),
        )?;
    }
    let tuned = {
        let mut progress = console.progress("runs done");
        tune(policy, &plan, |done, all| progress.update(done, all))
    };
    if let Some(interval) = tuned.too_slow() {
        let warning = format!(
            "with an interval of {interval} ms or more, checkpoints take so long that a run sees \
             hardly three"
        );
        console.report(
            None,
            &Report::warning(warning)
                .help("make `--duration` longer, or lower `--dirty-rate` or `--working-set`"),
        )?;
    }
    let name = file.source.name();
    args.outputs.write_pages(
        || json::tuned(name, &tuned),
        &page::page(name, &tuned),
        &page::short(name, &tuned),
        console,
    )?;
    Ok(Exit::Fine)
}

impl Args {
    /// What they say, or why that makes no sense.
    fn plan(&self) -> Result<Plan, Failure> {
        let wrong = |message: String, help: &str| Failure::Usage {
            message,
            help: Some(help.to_owned()),
        };
        let (from, to) = (whole_milliseconds(self.from)?, whole_milliseconds(self.to)?);
        if from >= to {
            return Err(wrong(
                format!("there is nothing between {from} ms and {to} ms"),
                "make `--to` longer than `--from`",
            ));
        }
        if self.duration < self.to * LEAST_CHECKPOINTS {
            return Err(wrong(
                format!(
                    "a run of {:?} sees too few checkpoints every {:?}",
                    self.duration, self.to
                ),
                "make `--duration` ten times as long as `--to`, or longer",
            ));
        }
        let weights = self.weights();
        if [weights.voice, weights.guest, weights.tcp, weights.recovery]
            .iter()
            .sum::<f64>()
            <= 0.0
        {
            return Err(wrong(
                String::from("no score counts: every weight is 0"),
                "leave one above 0, such as `--weight voice=1`",
            ));
        }
        let workload = self.workload.plan(self.seed, self.duration)?;
        let checkpoints = workload.config.checkpoints;
        let checkpoints = checkpoints.ok_or_else(|| Failure::usage("no checkpoints"))?;
        Ok(Plan {
            config: workload.config,
            checkpoints,
            traffic: workload.traffic,
            range_ms: (from, to),
            points: self.points,
            seeds: self.seeds,
            weights,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        for Weight { score, weight } in &self.weight {
            match score {
                Score::Voice => weights.voice = *weight,
                Score::Guest => weights.guest = *weight,
                Score::Tcp => weights.tcp = *weight,
                Score::Recovery => weights.recovery = *weight,
            }
        }
        weights
    }
}

/// A run is at least this many times as long as the longest interval.
const LEAST_CHECKPOINTS: u32 = 10;

/// A policy says intervals in whole milliseconds.
fn whole_milliseconds(time: Duration) -> Result<u64, Failure> {
    let nanoseconds = nanoseconds(time);
    if nanoseconds.is_multiple_of(1_000_000) {
        Ok(nanoseconds / 1_000_000)
    } else {
        Err(Failure::Usage {
            message: format!("{time:?} is no whole number of milliseconds"),
            help: Some(String::from(
                "a policy says its interval in whole milliseconds",
            )),
        })
    }
}

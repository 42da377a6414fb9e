//! `epochgate simulate`: calls, signalling and bulk TCP through the gate, and the paper's experiment.

mod settings;

use std::path::PathBuf;

use policy_lang::policy::Overflow;

use super::outputs::Outputs;
use crate::cli::{Console, PolicyFile};
use crate::exit::{self, Exit, Failure};
use crate::render::Report;
use crate::simulate::paper::{Figure, reproduce};
use crate::simulate::traffic::{Told, told};
use crate::simulate::{compare, json, page};

use settings::Settings;

/// Simulate calls, signalling and bulk TCP from a replicated guest, or the paper's experiment.
///
/// The same traffic runs without replication, under the policy and with everything held, side by
/// side. What a packet is worth is what its frame gets from the policy: one frame of each kind is
/// judged and shown. Jitter, gaps and loss are those that `tshark -q -z rtp,streams` prints; MOS is
/// that of the E-model (ITU-T G.107) behind a jitter buffer. The same arguments give the same bytes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = exit::HELP,
    mut_group("workload", |group| group.conflicts_with("paper"))
)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    #[arg(conflicts_with = "paper")]
    policy: Option<PathBuf>,
    /// Simulate the paper's testbed in place of a policy, and make this figure of it.
    #[arg(long, value_name = "FIGURE", value_enum)]
    paper: Option<FigureChoice>,
    /// What the random numbers follow from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    outputs: Outputs,
}

/// Figures of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FigureChoice {
    /// Without virtualization.
    Fig3,
    /// In a virtual machine, not replicated.
    Fig4,
    /// Unmodified Remus: everything held.
    Fig5,
    /// The paper's policy: TCP held, the rest passes.
    Fig6,
    /// The same, and the primary fails.
    Fig7,
    /// All five.
    All,
}

impl FigureChoice {
    fn figures(self) -> &'static [Figure] {
        match self {
            Self::Fig3 => &[Figure::Fig3],
            Self::Fig4 => &[Figure::Fig4],
            Self::Fig5 => &[Figure::Fig5],
            Self::Fig6 => &[Figure::Fig6],
            Self::Fig7 => &[Figure::Fig7],
            Self::All => &Figure::ALL,
        }
    }
}

/// Simulates and prints.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    args.outputs.check()?;
    match (&args.policy, args.paper) {
        (_, Some(figures)) => the_paper(args, figures.figures(), console),
        (Some(policy), None) => under_policy(args, policy, console),
        (None, None) => Err(Failure::Usage {
            message: String::from("nothing to simulate: no policy is given"),
            help: Some(String::from(
                "name one, as in `epochgate simulate examples/voip.gate`, or simulate the paper's \
                 testbed with `--paper all`",
            )),
        }),
    }
}

fn the_paper(args: &Args, figures: &[Figure], console: &mut Console) -> Result<Exit, Failure> {
    let made = {
        let mut progress = console.progress("simulated seconds");
        reproduce(figures, args.seed, |done, all| {
            progress.update(done / SECOND, all / SECOND);
        })
    };
    args.outputs.write(
        || json::paper(args.seed, &made),
        || page::paper(args.seed, &made),
        console,
    )?;
    Ok(Exit::Fine)
}

const SECOND: u64 = 1_000_000_000;

fn under_policy(
    args: &Args,
    path: &std::path::Path,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let file = PolicyFile::open(path, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let plan = args.settings.plan(policy, args.seed)?;
    if policy.gate.on_overflow == Overflow::Release {
        console.report(
            None,
            &Report::warning("`on-overflow release` is simulated as `drop`: the gate never opens"),
        )?;
    }
    let comparison = {
        let mut progress = console.progress("simulated seconds");
        compare(policy, &plan, |done, all| {
            progress.update(done / SECOND, all / SECOND);
        })
    };
    let judged = comparison.judged.iter();
    let traffic: Vec<Told> = judged
        .map(|judged| told(policy, &file.source, judged))
        .collect();
    let name = file.source.name();
    args.outputs.write(
        || json::comparison(name, &traffic, &comparison),
        || page::comparison(name, &traffic, &comparison),
        console,
    )?;
    Ok(Exit::Fine)
}

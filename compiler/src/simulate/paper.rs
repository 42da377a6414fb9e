//! The experiment of the paper (T. Hlavacek, R. Bestak, Live Replication of Virtualized VoIP
//! Servers, ICCGI 2013), simulated: the set-up of each of its Figures 3 to 7, and what the paper
//! reads from them, measured here from the packets that arrive.
//!
//! The parameters and where they come from are in [`testbed`]; how peaks, interruptions and gaps
//! are found among arrivals is in [`measure`].

pub mod measure;
pub mod testbed;

use policy_lang::Policy;
use policy_lang::check::check;
use policy_lang::source::SourceFile;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{Config, Outcome, run};

use super::traffic::{Told, Traffic, judge, told, verdicts};
use measure::Measured;

/// A figure of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Without virtualization.
    Fig3,
    /// In a virtual machine, not replicated.
    Fig4,
    /// Replicated by unmodified Remus: everything held.
    Fig5,
    /// Replicated with the paper's policy: TCP held, the rest passes.
    Fig6,
    /// The same, and the primary fails.
    Fig7,
}

impl Figure {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Fig3, Self::Fig4, Self::Fig5, Self::Fig6, Self::Fig7];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fig3 => "fig3",
            Self::Fig4 => "fig4",
            Self::Fig5 => "fig5",
            Self::Fig6 => "fig6",
            Self::Fig7 => "fig7",
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Fig3 => "Figure 3",
            Self::Fig4 => "Figure 4",
            Self::Fig5 => "Figure 5",
            Self::Fig6 => "Figure 6",
            Self::Fig7 => "Figure 7",
        }
    }

    /// What it shows.
    #[must_use]
    pub const fn setup(self) -> &'static str {
        match self {
            Self::Fig3 => "no virtualization",
            Self::Fig4 => "in a VM",
            Self::Fig5 => "all held (Remus)",
            Self::Fig6 => "TCP held",
            Self::Fig7 => "TCP held, the primary fails",
        }
    }

    /// What the paper says of it.
    #[must_use]
    pub const fn claim(self) -> &'static str {
        match self {
            Self::Fig3 => "jitter of about 100 us that hardly varies",
            Self::Fig4 => "jitter worse, below 500 us",
            Self::Fig5 => "a peak about every 400 ms, of about 20 packets of each call",
            Self::Fig6 => {
                "interruptions every 300 ms, the configured interval; jitter above Figure 4"
            }
            Self::Fig7 => "about 1 s without packets, then jitter as without replication",
        }
    }

    /// The policy that does to frames what the set-up does; none without replication.
    #[must_use]
    pub const fn policy(self) -> Option<&'static str> {
        match self {
            Self::Fig3 | Self::Fig4 => None,
            Self::Fig5 => Some("default buffer;"),
            Self::Fig6 | Self::Fig7 => Some("buffer tcp; default bypass;"),
        }
    }
}

/// The numbers in the paper's text about a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Says {
    /// About this much jitter.
    pub mean_jitter_ms: Option<f64>,
    /// Less jitter than this.
    pub max_jitter_ms: Option<f64>,
    /// What is measured from arrivals.
    pub measured: Measured,
}

impl Figure {
    /// What the paper says in numbers.
    #[must_use]
    pub fn paper(self) -> Says {
        let measured = match self {
            Self::Fig3 | Self::Fig4 => Measured::default(),
            Self::Fig5 => Measured {
                peak_period_ms: Some(400.0),
                burst_packets: Some(20.0),
                ..Measured::default()
            },
            Self::Fig6 => Measured {
                interruption_period_ms: Some(300.0),
                ..Measured::default()
            },
            Self::Fig7 => Measured {
                gap_ms: Some(1000.0),
                ..Measured::default()
            },
        };
        Says {
            mean_jitter_ms: (self == Self::Fig3).then_some(0.1),
            max_jitter_ms: (self == Self::Fig4).then_some(0.5),
            measured,
        }
    }

    /// Whether the figure shows a period, so that the timer of the checkpoints matters.
    const fn tells_the_timer(self) -> bool {
        matches!(self, Self::Fig5 | Self::Fig6)
    }
}

/// A figure made anew.
#[derive(Clone, Debug)]
pub struct Reproduced {
    /// Which.
    pub figure: Figure,
    /// What was simulated.
    pub config: Config,
    /// The verdict on each kind of traffic; empty without replication.
    pub traffic: Vec<Told>,
    /// What the call looked like.
    pub outcome: Outcome,
    /// What the paper reads from the figure.
    pub measured: Measured,
    /// The same with the other timer, where the figure tells the timer.
    pub other_timer: Option<(Timer, Measured)>,
}

/// Makes figures anew, in order. `progress` is told how much simulated time is over, in
/// nanoseconds done and of all.
#[must_use]
pub fn reproduce(
    figures: &[Figure],
    seed: u64,
    mut progress: impl FnMut(u64, u64),
) -> Vec<Reproduced> {
    let runs: u64 = figures
        .iter()
        .map(|figure| 1 + u64::from(figure.tells_the_timer()))
        .sum();
    let all = runs.saturating_mul(testbed::DURATION);
    let mut before = 0;
    let mut go = |config: &Config| {
        let outcome = run(config, |done, _| progress(before + done, all));
        before += config.duration;
        outcome
    };
    let mut made = Vec::with_capacity(figures.len());
    for &figure in figures {
        let mut config = testbed::config(figure, seed);
        let mut traffic = Vec::new();
        if let Some((policy, source)) = figure.policy().and_then(policy) {
            let judged = judge(&policy, &Traffic::USUAL, config.calls);
            config.verdicts = verdicts(&judged);
            let tell = |judged| told(&policy, &source, judged);
            traffic.extend(judged.iter().map(tell));
        }
        let outcome = go(&config);
        let other_timer = figure.tells_the_timer().then(|| {
            let (other, timer) = testbed::with_the_other_timer(&config);
            (timer, Measured::of(figure, &go(&other).points))
        });
        made.push(Reproduced {
            figure,
            config,
            traffic,
            measured: Measured::of(figure, &outcome.points),
            outcome,
            other_timer,
        });
    }
    made
}

/// The policies of the figures have no errors: a test checks them.
fn policy(text: &str) -> Option<(Policy, SourceFile)> {
    let source = SourceFile::new("paper", text);
    let policy = check(&source).0?;
    Some((policy, source))
}

#[cfg(test)]
mod tests;

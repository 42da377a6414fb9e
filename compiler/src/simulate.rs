//! Simulated traffic under a policy: the verdict on each kind of it, and the same traffic without
//! replication, under the policy and with everything held, side by side.
//!
//! The verdicts are [`classify`]'s, on real frames ([`traffic`]). What happens to the packets is
//! [`qdisc_model::simulate`]'s. [`paper`] is the experiment of the paper. [`json`] is what programs
//! read, [`page`] what people do.

pub mod json;
pub mod page;
pub mod paper;
pub mod traffic;

use policy_lang::Policy;
use qdisc_model::packet::Verdict;
use qdisc_model::simulate::{Config, Outcome, Verdicts, run};

use traffic::{Judged, Traffic, judge, verdicts};

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The run under the policy; its verdicts are replaced by the policy's.
    pub config: Config,
    /// Who talks to whom.
    pub traffic: Traffic,
}

/// One way to treat the same traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// No checkpoints, nothing held, no failover: there is nothing to fail over to.
    None,
    /// As the policy says.
    Policy,
    /// Everything held, as Remus means to.
    Hold,
}

impl Treatment {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 3] = [Self::None, Self::Policy, Self::Hold];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no replication",
            Self::Policy => "policy",
            Self::Hold => "all held",
        }
    }

    /// The run with this treatment.
    #[must_use]
    pub fn of(self, config: &Config) -> Config {
        match self {
            Self::None => Config {
                checkpoints: None,
                failover: None,
                ..*config
            },
            Self::Policy => *config,
            Self::Hold => Config {
                verdicts: Verdicts {
                    media: Verdict::Buffer,
                    signalling: Verdict::Buffer,
                    bulk: Verdict::Buffer,
                },
                ..*config
            },
        }
    }
}

/// The same traffic in all treatments.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was simulated, with the policy's verdicts.
    pub config: Config,
    /// The verdict on each kind of traffic.
    pub judged: Vec<Judged>,
    /// Without replication.
    pub none: Outcome,
    /// Under the policy.
    pub policy: Outcome,
    /// Everything held.
    pub hold: Outcome,
}

impl Comparison {
    /// A treatment's outcome.
    #[must_use]
    pub fn outcome(&self, treatment: Treatment) -> &Outcome {
        match treatment {
            Treatment::None => &self.none,
            Treatment::Policy => &self.policy,
            Treatment::Hold => &self.hold,
        }
    }

    /// What bulk TCP lost against no replication, in percent; none if it brought nothing over
    /// there.
    #[must_use]
    pub fn goodput_loss_percent(&self, treatment: Treatment) -> Option<f64> {
        let free = self.none.goodput;
        (free > 0.0).then(|| 100.0 * (1.0 - self.outcome(treatment).goodput / free))
    }
}

/// Simulates. `progress` is told now and then how much of the simulated time is over, of all runs
/// together, in nanoseconds done and of all.
#[must_use]
pub fn compare(policy: &Policy, plan: &Plan, mut progress: impl FnMut(u64, u64)) -> Comparison {
    let judged = judge(policy, &plan.traffic, plan.config.calls);
    let config = Config {
        verdicts: verdicts(&judged),
        ..plan.config
    };
    let mut before = 0_u64;
    let mut go = |treatment: Treatment| {
        let outcome = run(&treatment.of(&config), |done, of_run| {
            progress(before.saturating_add(done), of_run.saturating_mul(3));
        });
        before = before.saturating_add(config.duration);
        outcome
    };
    let (none, under_policy, hold) = (
        go(Treatment::None),
        go(Treatment::Policy),
        go(Treatment::Hold),
    );
    Comparison {
        config,
        judged,
        none,
        policy: under_policy,
        hold,
    }
}

#[cfg(test)]
mod tests;

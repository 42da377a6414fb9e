//! What is simulated under a policy, on the command line: the workload, and what befalls it.

use std::time::Duration;

use policy_lang::Policy;
use qdisc_model::simulate::{Checkpoints, Config, Failover};

use crate::cli::{duration, positive_duration, size};
use crate::command::replay::{REMUS_INTERVAL, nanoseconds};
use crate::command::workload::Workload;
use crate::exit::Failure;
use crate::script;
use crate::simulate::Plan;

/// What is simulated under a policy.
#[derive(Debug, clap::Args)]
#[group(id = "settings", conflicts_with = "paper")]
pub(super) struct Settings {
    /// Simulated time.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = positive_duration)]
    duration: Duration,

    /// Time between checkpoints; otherwise that of the policy's gate, or 200 ms as with `xl remus`.
    #[arg(long, value_name = "TIME", value_parser = positive_duration, help_heading = "Checkpoints")]
    interval: Option<Duration>,
    /// Most bytes held; otherwise that of the policy's gate, or 64 MiB.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Checkpoints")]
    limit: Option<u64>,

    #[command(flatten)]
    workload: Workload,

    /// When the primary dies; otherwise it does not.
    #[arg(long, value_name = "TIME", value_parser = positive_duration, help_heading = "Failover")]
    failover_at: Option<Duration>,
    /// Silence after which the backup takes over; Xen 4.2 had 1 s.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, requires = "failover_at", help_heading = "Failover")]
    detection: Duration,
    /// From there until packets flow: devices, gratuitous ARP, switches that learn.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration, requires = "failover_at", help_heading = "Failover")]
    announcement: Duration,
}

impl Settings {
    /// What they say, or why that makes no sense.
    pub(super) fn plan(&self, policy: &Policy, seed: u64) -> Result<Plan, Failure> {
        if let Some(at) = self.failover_at.filter(|at| *at >= self.duration) {
            return Err(Failure::Usage {
                message: format!(
                    "the primary dies at {at:?}, and the run ends at {:?}",
                    self.duration
                ),
                help: Some(String::from(
                    "make `--duration` longer than `--failover-at`, with time to recover",
                )),
            });
        }
        let Plan { config, traffic } = self.workload.plan(seed, self.duration)?;
        let interval = self.interval.or(policy.gate.interval);
        let config = Config {
            limit: self.limit.unwrap_or_else(|| script::limit(policy)),
            checkpoints: config.checkpoints.map(|checkpoints| Checkpoints {
                interval: nanoseconds(interval.unwrap_or(REMUS_INTERVAL)),
                ..checkpoints
            }),
            failover: self.failover_at.map(|at| Failover {
                at: nanoseconds(at),
                detection: nanoseconds(self.detection),
                announcement: nanoseconds(self.announcement),
            }),
            // Points are for charts; of hours nobody sees them.
            record: self.duration <= Duration::from_secs(600),
            ..config
        };
        Ok(Plan { config, traffic })
    }
}

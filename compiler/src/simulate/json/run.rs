//! What a run showed, as JSON.

use qdisc_model::simulate::{
    CallFigures, ClassFigures, FailoverFigures, HeldFigures, Outcome, Quantiles,
};
use serde::Serialize;

use super::round;

#[derive(Serialize)]
pub(super) struct Run {
    packets: u64,
    checkpoints: Option<CheckpointsJson>,
    calls: CallsJson,
    media: ClassJson,
    signalling: ClassJson,
    bulk: ClassJson,
    goodput_bits_per_s: f64,
    goodput_loss_percent: Option<f64>,
    held: HeldJson,
    failover: Option<FailoverJson>,
}

#[derive(Serialize)]
struct CheckpointsJson {
    committed: u64,
    period_ms: f64,
    pause_ms: f64,
    transfer_ms: f64,
}

#[derive(Serialize)]
pub(super) struct CallsJson {
    packets: u64,
    lost: i64,
    mean_jitter_ms: f64,
    max_jitter_ms: f64,
    max_delta_ms: f64,
    longest_burst: u64,
    mean_burst: f64,
    worst_mos: f64,
    fixed: BehindJson,
    adaptive: BehindJson,
}

#[derive(Serialize)]
struct BehindJson {
    late_percent: f64,
    depth_ms: Option<f64>,
    r: f64,
    mos: f64,
}

#[derive(Serialize)]
struct ClassJson {
    sent_packets: u64,
    sent_bytes: u64,
    dropped: u64,
    mean_delay_ms: f64,
    p99_delay_ms: f64,
    max_delay_ms: f64,
}

#[derive(Serialize)]
struct HeldJson {
    most_packets: u64,
    most_bytes: u64,
    packets: QuantilesJson,
    bytes: QuantilesJson,
}

#[derive(Serialize)]
struct QuantilesJson {
    p10: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    most: u64,
}

#[derive(Serialize)]
struct FailoverJson {
    recovered_ms: Option<f64>,
    gap_ms: Option<f64>,
    held_lost: u64,
    rolled_back_ms: f64,
}

impl Run {
    pub(super) fn of(outcome: &Outcome, goodput_loss: Option<f64>, replicated: bool) -> Self {
        Self {
            packets: outcome.packets,
            checkpoints: replicated.then(|| CheckpointsJson {
                committed: outcome.commits,
                period_ms: round(outcome.period_ms),
                pause_ms: round(outcome.pause_ms),
                transfer_ms: round(outcome.transfer_ms),
            }),
            calls: CallsJson::from(&outcome.calls),
            media: ClassJson::from(outcome.media),
            signalling: ClassJson::from(outcome.signalling),
            bulk: ClassJson::from(outcome.bulk),
            goodput_bits_per_s: round(outcome.goodput),
            goodput_loss_percent: goodput_loss.map(round),
            held: HeldJson::of(outcome.most_held, outcome.held),
            failover: outcome.failover.map(FailoverJson::from),
        }
    }
}

impl From<&CallFigures> for CallsJson {
    fn from(calls: &CallFigures) -> Self {
        Self {
            packets: calls.packets,
            lost: calls.lost,
            mean_jitter_ms: round(calls.mean_jitter_ms),
            max_jitter_ms: round(calls.max_jitter_ms),
            max_delta_ms: round(calls.max_delta_ms),
            longest_burst: calls.longest_burst,
            mean_burst: round(calls.mean_burst),
            worst_mos: round(calls.worst_mos),
            fixed: BehindJson {
                late_percent: round(calls.late_percent),
                depth_ms: None,
                r: round(calls.r),
                mos: round(calls.mos),
            },
            adaptive: BehindJson {
                late_percent: round(calls.adaptive_late_percent),
                depth_ms: Some(round(calls.adaptive_depth_ms)),
                r: round(calls.adaptive_r),
                mos: round(calls.adaptive_mos),
            },
        }
    }
}

impl From<ClassFigures> for ClassJson {
    fn from(class: ClassFigures) -> Self {
        Self {
            sent_packets: class.sent.packets,
            sent_bytes: class.sent.bytes,
            dropped: class.dropped,
            mean_delay_ms: round(class.mean_delay_ms),
            p99_delay_ms: round(class.p99_delay_ms),
            max_delay_ms: round(class.max_delay_ms),
        }
    }
}

impl HeldJson {
    fn of(most: qdisc_model::packet::Tally, held: HeldFigures) -> Self {
        Self {
            most_packets: most.packets,
            most_bytes: most.bytes,
            packets: held.packets.into(),
            bytes: held.bytes.into(),
        }
    }
}

impl From<Quantiles> for QuantilesJson {
    fn from(quantiles: Quantiles) -> Self {
        Self {
            p10: quantiles.p10,
            p50: quantiles.p50,
            p90: quantiles.p90,
            p99: quantiles.p99,
            most: quantiles.most,
        }
    }
}

impl From<FailoverFigures> for FailoverJson {
    fn from(failover: FailoverFigures) -> Self {
        // Zero says that it did not happen within the run.
        let happened = |ms: f64| (ms > 0.0).then(|| round(ms));
        Self {
            recovered_ms: happened(failover.recovered_ms),
            gap_ms: happened(failover.gap_ms),
            held_lost: failover.held_lost,
            rolled_back_ms: round(failover.rolled_back_ms),
        }
    }
}

//! What was simulated, as JSON.

use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{Codec, Config};
use serde::Serialize;

use super::{milliseconds, round};

/// Everything about a run but the policy's verdicts.
#[derive(Serialize)]
pub(crate) struct Settings {
    seed: u64,
    duration_ms: f64,
    calls: u32,
    codec: &'static str,
    packet_time_ms: f64,
    silences: bool,
    timer_noise_ms: f64,
    signalling_per_s: f64,
    bulk_window_bytes: u32,
    checkpoints: Option<CheckpointSettings>,
    limit_bytes: u64,
    network: NetworkSettings,
    failover: Option<FailoverSettings>,
    receiver: ReceiverSettings,
}

#[derive(Serialize)]
struct CheckpointSettings {
    interval_ms: f64,
    timer: &'static str,
    pause_ms: f64,
    dirty_bytes_per_s: f64,
    working_set_bytes: f64,
    copy_bytes_per_s: f64,
    link_bits_per_s: f64,
    acknowledgement_ms: f64,
}

#[derive(Serialize)]
struct NetworkSettings {
    bits_per_s: f64,
    delay_ms: f64,
    noise_ms: f64,
    loss_percent: f64,
}

#[derive(Serialize)]
struct FailoverSettings {
    at_ms: f64,
    detection_ms: f64,
    announcement_ms: f64,
}

#[derive(Serialize)]
struct ReceiverSettings {
    jitter_buffer_ms: f64,
    adaptive_least_ms: f64,
    adaptive_most_ms: f64,
    coding_delay_ms: f64,
}

/// The name of a codec on the command line and in JSON.
pub(in crate::simulate) const fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::G711 => "g711",
        Codec::G729 => "g729",
        Codec::Opus => "opus",
    }
}

/// The name of a timer on the command line and in JSON.
pub(in crate::simulate) const fn timer(timer: Timer) -> &'static str {
    match timer {
        Timer::AfterCommit => "commit",
        Timer::FromSuspend => "suspend",
    }
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        let (calls, network, receiver) = (config.calls, config.network, config.assumptions);
        Self {
            seed: config.seed,
            duration_ms: milliseconds(config.duration),
            calls: calls.count,
            codec: codec(calls.codec),
            packet_time_ms: milliseconds(calls.packet_time),
            silences: calls.silences,
            timer_noise_ms: milliseconds(calls.timer_noise),
            signalling_per_s: config.signalling_rate,
            bulk_window_bytes: config.bulk.map_or(0, |bulk| bulk.window),
            checkpoints: config.checkpoints.map(|checkpoints| CheckpointSettings {
                interval_ms: milliseconds(checkpoints.interval),
                timer: timer(checkpoints.timer),
                pause_ms: milliseconds(checkpoints.pause),
                dirty_bytes_per_s: checkpoints.dirty_rate,
                working_set_bytes: checkpoints.working_set,
                copy_bytes_per_s: checkpoints.copy_rate,
                link_bits_per_s: checkpoints.link_rate,
                acknowledgement_ms: milliseconds(checkpoints.acknowledgement),
            }),
            limit_bytes: config.limit,
            network: NetworkSettings {
                bits_per_s: network.rate,
                delay_ms: milliseconds(network.delay),
                noise_ms: milliseconds(network.noise),
                loss_percent: round(network.loss * 100.0),
            },
            failover: config.failover.map(|failover| FailoverSettings {
                at_ms: milliseconds(failover.at),
                detection_ms: milliseconds(failover.detection),
                announcement_ms: milliseconds(failover.announcement),
            }),
            receiver: ReceiverSettings {
                jitter_buffer_ms: receiver.fixed_ms,
                adaptive_least_ms: receiver.adaptive_ms.0,
                adaptive_most_ms: receiver.adaptive_ms.1,
                coding_delay_ms: receiver.delay_ms,
            },
        }
    }
}

//! A replay as JSON: `docs/schema/replay.json` says what each member is.

use serde::Serialize;

use super::{Compared, Figures, Told};

/// All of the result; `schema` names its shape.
#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    gate: GateJson,
    receiver: ReceiverJson,
    frames: FramesJson,
    streams: Vec<StreamJson>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct GateJson {
    interval_ms: f64,
    period_ms: f64,
    pause_ms: f64,
    transfer_ms: f64,
    limit_bytes: u64,
}

#[derive(Serialize)]
struct ReceiverJson {
    jitter_buffer_ms: f64,
    adaptive_least_ms: f64,
    adaptive_most_ms: f64,
    delay_ms: f64,
}

#[derive(Serialize)]
struct FramesJson {
    bypassed: u64,
    held: u64,
    overflow: u64,
    foreign: u64,
    left_out: u64,
    most_held_packets: u64,
    most_held_bytes: u64,
    mean_wait_ms: f64,
    max_wait_ms: f64,
}

#[derive(Serialize)]
struct StreamJson {
    ssrc: String,
    src: String,
    dst: String,
    announced: bool,
    verdict: &'static str,
    before: Figures,
    after: Figures,
}

/// Everything that is told of a replay.
#[must_use]
pub fn replayed(told: &Told<'_>) -> String {
    let Told {
        options,
        replayed,
        left_out,
        error,
    } = *told;
    let (schedule, assumptions) = (options.schedule, options.assumptions);
    let whole = Whole {
        schema: "epochgate-replay-1",
        gate: GateJson {
            interval_ms: milliseconds(schedule.interval),
            period_ms: milliseconds(schedule.period()),
            pause_ms: milliseconds(schedule.pause),
            transfer_ms: milliseconds(schedule.transfer),
            limit_bytes: options.limit,
        },
        receiver: ReceiverJson {
            jitter_buffer_ms: assumptions.fixed_ms,
            adaptive_least_ms: assumptions.adaptive_ms.0,
            adaptive_most_ms: assumptions.adaptive_ms.1,
            delay_ms: assumptions.delay_ms,
        },
        frames: FramesJson {
            bypassed: replayed.bypassed.packets,
            held: replayed.held.packets,
            overflow: replayed.overflow.packets,
            foreign: replayed.foreign,
            left_out,
            most_held_packets: replayed.most_held.packets,
            most_held_bytes: replayed.most_held.bytes,
            mean_wait_ms: replayed.waited_ms.0,
            max_wait_ms: replayed.waited_ms.1,
        },
        streams: replayed.streams.iter().map(stream_json).collect(),
        error,
    };
    // Strings and numbers always become JSON.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

fn stream_json(compared: &Compared) -> StreamJson {
    let (src, dst) = compared.ends();
    StreamJson {
        ssrc: format!("{:#010x}", compared.stream.key.ssrc),
        src,
        dst,
        announced: compared.stream.announced,
        verdict: compared.verdict(),
        before: compared.before.clone(),
        after: compared.after.clone(),
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

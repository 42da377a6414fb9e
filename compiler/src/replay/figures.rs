//! The figures of one stream at one place, as reports and JSON show them. Times are in
//! milliseconds. Gaps and jitter are rounded, to nine digits, only where they become JSON: what lies
//! on the border of two digits comes out otherwise when it is rounded twice, and tshark rounds once.

use std::collections::BTreeMap;

use qdisc_model::metrics::receiver::{Quality, Receiver};
use serde::{Serialize, Serializer};

/// What a receiver makes of a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that the sequence numbers expect and that did not arrive; negative if some arrived
    /// twice.
    pub lost: i64,
    /// The same in percent of those expected.
    pub lost_percent: f64,
    /// Least gap between packets, none if no gap counted.
    #[serde(serialize_with = "maybe_short")]
    pub min_delta_ms: Option<f64>,
    /// Mean gap.
    #[serde(serialize_with = "short")]
    pub mean_delta_ms: f64,
    /// Largest gap.
    #[serde(serialize_with = "short")]
    pub max_delta_ms: f64,
    /// Least jitter; none without a clock.
    #[serde(serialize_with = "maybe_short")]
    pub min_jitter_ms: Option<f64>,
    /// Mean jitter; none without a clock.
    #[serde(serialize_with = "maybe_short")]
    pub mean_jitter_ms: Option<f64>,
    /// Largest jitter; none without a clock.
    #[serde(serialize_with = "maybe_short")]
    pub max_jitter_ms: Option<f64>,
    /// The largest jitter that a receiver report would carry (RFC 3550 A.8), in timestamp units.
    pub max_rtcp_jitter: u32,
    /// The most packets that came at once.
    pub longest_burst: u64,
    /// How often each number of packets came at once.
    pub bursts: BTreeMap<u64, u64>,
    /// Behind the fixed jitter buffer: mean opinion score; none without a clock.
    pub mos: Option<f64>,
    /// All about the fixed jitter buffer.
    pub fixed: Option<Behind>,
    /// All about the adaptive jitter buffer.
    pub adaptive: Option<Behind>,
}

/// Quality behind a jitter buffer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Behind {
    /// Packets that came too late.
    pub late: u64,
    /// Mean depth of the buffer.
    pub depth_ms: f64,
    /// Missing and late packets in percent of those expected.
    pub loss_percent: f64,
    /// The rating factor of G.107.
    pub r: f64,
    /// The mean opinion score.
    pub mos: f64,
}

impl From<Quality> for Behind {
    fn from(quality: Quality) -> Self {
        Self {
            late: quality.late,
            depth_ms: round(quality.depth_ms),
            loss_percent: round(quality.loss_percent),
            r: round(quality.r),
            mos: round(quality.mos),
        }
    }
}

impl Figures {
    /// Reads the figures of a receiver that has finished.
    #[must_use]
    pub fn of(receiver: &Receiver) -> Self {
        let stream = receiver.stream();
        let (delta, jitter) = (stream.delta, stream.jitter);
        let with_clock = |value: f64| stream.has_clock.then_some(value);
        let (lost, expected) = (stream.lost(), stream.expected());
        Self {
            packets: stream.packets,
            lost,
            lost_percent: if expected == 0 {
                0.0
            } else {
                round(100.0 * lost as f64 / expected as f64)
            },
            min_delta_ms: delta.least,
            mean_delta_ms: delta.mean,
            max_delta_ms: delta.largest,
            min_jitter_ms: jitter.least,
            mean_jitter_ms: with_clock(jitter.mean),
            max_jitter_ms: with_clock(jitter.largest),
            max_rtcp_jitter: receiver.rtcp_jitter().1,
            longest_burst: receiver.bursts().longest(),
            bursts: receiver.bursts().lengths.clone(),
            mos: receiver.fixed().map(|quality| round(quality.mos)),
            fixed: receiver.fixed().map(Behind::from),
            adaptive: receiver.adaptive().map(Behind::from),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands on a reference"
)]
fn short<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value))
}

#[expect(
    clippy::ref_option,
    reason = "serde hands on a reference to the member"
)]
fn maybe_short<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(round).serialize(serializer)
}

/// To nine digits behind the point.
fn round(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

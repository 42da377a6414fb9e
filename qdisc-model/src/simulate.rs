//! Calls, signalling and bulk TCP from a guest that stops for checkpoints, through the gate and a
//! network to their receivers: discrete events, the same for the same seed.
//!
//! What is modelled, and how:
//! - Each call sends a packet per packet time, as late as a timer may be: an exponential delay. A
//!   sender that was stopped sends what is due at once, as servers with a catching-up timer do.
//! - A checkpoint follows [`crate::schedule`]: suspend, copy of the memory that was dirtied, go on,
//!   transfer over the link, commit. Memory is dirtied at a constant rate up to a working set.
//! - The gate is [`crate::epoch::Gate`]. What it lets go shares one link, packet after packet.
//! - The network delays, adds an exponential delay, loses independently, keeps order in a stream.
//! - Bulk TCP is one connection with a constant window: each acknowledgement sends a segment, a lost
//!   one costs a retransmission time-out. No slow start, no congestion control.
//! - At a failover the held packets die with the primary. The backup notices by silence, restores
//!   the last committed checkpoint, announces itself, and is not replicated.
//!
//! Times are in nanoseconds from the begin, rates in bytes or bits a second as they are named.

mod engine;
mod random;
mod result;
mod source;

pub use engine::run;
pub use result::{
    CallFigures, ClassFigures, FailoverFigures, HeldFigures, Outcome, Point, Quantiles,
};

use crate::metrics::quality::Codec as Impairment;
use crate::metrics::receiver::Assumptions;
use crate::packet::Verdict;
use crate::schedule::Timer;

/// A voice codec: what it puts into a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// G.711: 64 kbit/s, clock 8 kHz.
    #[default]
    G711,
    /// G.729: 8 kbit/s, clock 8 kHz.
    G729,
    /// Opus at 24 kbit/s, clock 48 kHz (RFC 7587).
    Opus,
}

impl Codec {
    /// Ticks of the RTP clock a second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::G711 | Self::G729 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Bits a second.
    #[must_use]
    pub const fn bit_rate(self) -> u64 {
        match self {
            Self::G711 => 64_000,
            Self::G729 => 8_000,
            Self::Opus => 24_000,
        }
    }

    /// RTP payload type: the static one, or the usual dynamic one.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::G711 => 8,
            Self::G729 => 18,
            Self::Opus => 111,
        }
    }

    /// What loss does to it. G.113 has no values for Opus: it counts as G.711 with concealment.
    #[must_use]
    pub const fn impairment(self) -> Impairment {
        match self {
            Self::G711 | Self::Opus => Impairment::G711,
            Self::G729 => Impairment::G729,
        }
    }
}

/// What the gate does to the kinds of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// RTP of the calls.
    pub media: Verdict,
    /// SIP over UDP.
    pub signalling: Verdict,
    /// Bulk TCP.
    pub bulk: Verdict,
}

/// The calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calls {
    /// How many, one direction each: what the guest sends.
    pub count: u32,
    /// Their codec.
    pub codec: Codec,
    /// From one packet to the next.
    pub packet_time: u64,
    /// Whether speakers fall silent: spurts and silences of 1.0 and 1.35 s on average (ITU-T P.59),
    /// with nothing sent in silence.
    pub silences: bool,
    /// Mean delay of the sender's timer.
    pub timer_noise: u64,
}

/// Bulk TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Bytes that may be on the way.
    pub window: u32,
}

/// When and how checkpoints are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checkpoints {
    /// The configured interval.
    pub interval: u64,
    /// From when it counts.
    pub timer: Timer,
    /// How long the guest stands still for an empty checkpoint.
    pub pause: u64,
    /// Bytes a second that the guest dirties.
    pub dirty_rate: f64,
    /// Most bytes dirtied between two checkpoints.
    pub working_set: f64,
    /// Bytes a second at which dirty memory is copied while the guest stands still.
    pub copy_rate: f64,
    /// Bits a second of the link to the backup.
    pub link_rate: f64,
    /// Round trip to the backup, for its acknowledgement; 0 if the commit does not wait for one.
    pub acknowledgement: u64,
}

/// Between gate and receivers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Bits a second of the link behind the gate.
    pub rate: f64,
    /// Constant delay.
    pub delay: u64,
    /// Mean of the random delay on top.
    pub noise: u64,
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
}

/// The primary dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failover {
    /// When.
    pub at: u64,
    /// Silence after which the backup takes over.
    pub detection: u64,
    /// From there until packets flow: restoring, gratuitous ARP, switches that learn.
    pub announcement: u64,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// What the random numbers follow from.
    pub seed: u64,
    /// Simulated time.
    pub duration: u64,
    /// The calls.
    pub calls: Calls,
    /// SIP messages a second, at random times.
    pub signalling_rate: f64,
    /// The bulk connection, if there is one.
    pub bulk: Option<Bulk>,
    /// What is held.
    pub verdicts: Verdicts,
    /// Most bytes held.
    pub limit: u64,
    /// Checkpoints; without them nothing is held.
    pub checkpoints: Option<Checkpoints>,
    /// The way to the receivers.
    pub network: Network,
    /// The primary's death, if it dies.
    pub failover: Option<Failover>,
    /// The receivers. The codec is that of the calls; the delay is what passes until a packet is
    /// due, packet time and coder: the rest of it, the least that a packet takes from there to its
    /// receiver, is known from the run and is added.
    pub assumptions: Assumptions,
    /// Whether to keep every packet of the first call.
    pub record: bool,
}

#[cfg(test)]
mod tests;

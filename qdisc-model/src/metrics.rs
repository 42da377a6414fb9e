//! What a receiver makes of the packets that a gate lets through, as pure folds over arrivals.
//!
//! [`jitter`] is the estimator of RFC 3550 as receivers report it; [`stream`] is what an analyser
//! prints about one RTP stream; [`burst`] finds packets that come at once; [`playout`] is a
//! receiver's jitter buffer; [`quality`] turns loss and delay into R and MOS; [`receiver`] is all of
//! them together.
//!
//! The jitter of RFC 3550 saturates: at 20 ms per packet it stays near 38 ms however long a gate
//! holds. It never stands alone in a report: the largest gap, the bursts and the late packets do
//! not saturate.

pub mod burst;
pub mod jitter;
pub mod playout;
pub mod quality;
pub mod receiver;
pub mod stream;

/// One RTP packet as a receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When it arrived, in milliseconds from any fixed moment.
    pub at_ms: f64,
    /// Sequence number (RFC 3550 section 5.1).
    pub sequence: u16,
    /// RTP timestamp, in units of the clock.
    pub timestamp: u32,
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// The marker bit: with voice, the first packet of a talk spurt.
    pub marker: bool,
    /// Clock rate of the timestamps in Hz. None if it is not known, and for telephone events,
    /// whose timestamps stand still (RFC 4733 section 2.2.1).
    pub clock_rate: Option<u32>,
}

//! Who sends: one call's RTP.

use super::random::{Random, whole};
use super::{Calls, Codec};

/// Mean length of a spurt and of a silence, in nanoseconds (ITU-T P.59).
const SPURT: f64 = 1.0e9;
const SILENCE: f64 = 1.35e9;

/// Ethernet, IPv4, UDP and RTP headers.
const HEADERS: u64 = 14 + 20 + 8 + 12;

/// What is in the header of the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
}

/// A call's sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// When the next packet is due; it is sent when the sender's timer fires.
    pub(super) due: u64,
    next: Sent,
    /// Until when the speaker speaks.
    spurt_ends: u64,
}

impl Source {
    /// A call that begins within the first packet time.
    pub(super) fn new(calls: Calls, random: &mut Random) -> Self {
        let due = random.next() % calls.packet_time.max(1);
        let bits = random.next();
        let [s0, s1, t0, t1, t2, t3, ..] = bits.to_le_bytes();
        Self {
            due,
            next: Sent {
                sequence: u16::from_le_bytes([s0, s1]),
                timestamp: u32::from_le_bytes([t0, t1, t2, t3]),
                marker: true,
            },
            spurt_ends: due + whole(random.exponential(SPURT)),
        }
    }

    /// The packet that is due now; the next one becomes due a packet time later, or after silence.
    pub(super) fn send(&mut self, calls: Calls, random: &mut Random) -> Sent {
        let sent = self.next;
        let mut steps = 1;
        self.due += calls.packet_time;
        let silent = calls.silences && self.due >= self.spurt_ends;
        if silent {
            let silence = whole(random.exponential(SILENCE)) / calls.packet_time.max(1);
            steps += silence;
            self.due += silence * calls.packet_time;
            self.spurt_ends = self.due + whole(random.exponential(SPURT));
        }
        let ticks = ticks(calls.codec, calls.packet_time).wrapping_mul(
            // More silence than 32 bits of packets can say wraps, as the clock does.
            u32::try_from(steps & u64::from(u32::MAX)).unwrap_or_default(),
        );
        self.next = Sent {
            sequence: sent.sequence.wrapping_add(1),
            timestamp: sent.timestamp.wrapping_add(ticks),
            marker: silent,
        };
        sent
    }

    /// Moves what is due by the time that the guest missed.
    pub(super) fn shift(&mut self, by: u64) {
        self.due += by;
        self.spurt_ends += by;
    }
}

/// Ticks of the clock in a packet time.
fn ticks(codec: Codec, packet_time: u64) -> u32 {
    let ticks = u64::from(codec.clock_rate()) * packet_time / 1_000_000_000;
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Bytes of a packet, from the Ethernet header on.
pub(super) fn packet_bytes(calls: Calls) -> u32 {
    let payload = calls.codec.bit_rate() * calls.packet_time / 8_000_000_000;
    u32::try_from(HEADERS + payload).unwrap_or(u32::MAX)
}

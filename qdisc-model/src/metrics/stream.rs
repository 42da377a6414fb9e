//! One RTP stream as an analyser prints it: gaps between packets, jitter in milliseconds, loss.
//!
//! The rules are those of Wireshark 4.0 (its RTP stream statistics), so that the figures can be
//! compared digit by digit with `tshark -q -z rtp,streams`:
//! - the jitter is RFC 3550's over real numbers, updated by packets whose clock is known and whose
//!   timestamp is not behind the first one's;
//! - a packet counts towards the least, mean and largest figures unless it bears the marker, is
//!   comfort noise or follows it, or lies behind the first timestamp: after silence the gap says
//!   nothing about the network;
//! - what is lost is what the sequence numbers from first to last expect less what came, so
//!   repeated packets count against it and it can be negative.
//!
//! The mean keeps Wireshark's weights: packets left out count as if they were the mean so far. One
//! difference: rates that are no whole kHz (44,100 and 11,025 Hz) are not rounded down.

use super::Arrival;

/// Payload types of comfort noise: 13 (RFC 3389) and 19, reserved because some used it.
const COMFORT_NOISE: [u8; 2] = [13, 19];

/// Timestamps further ahead than this are behind.
const HALF_THE_TIMESTAMPS: u32 = 1 << 31;

/// Least, mean and largest of a figure, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The least; none if no packet counted.
    pub least: Option<f64>,
    /// The mean, 0 if no packet counted.
    pub mean: f64,
    /// The largest, 0 if no packet counted.
    pub largest: f64,
}

impl Spread {
    /// `before` packets came earlier, whether they counted or not, apart from the first one.
    fn add(&mut self, value: f64, before: u64) {
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.largest = self.largest.max(value);
        let packets = before as f64;
        self.mean = (self.mean * (packets - 1.0) + value) / packets;
    }
}

/// The figures of a stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stream {
    /// Packets that came.
    pub packets: u64,
    /// Gaps between consecutive packets.
    pub delta: Spread,
    /// Jitter after each packet.
    pub jitter: Spread,
    /// The jitter now, in milliseconds.
    pub jitter_now: f64,
    /// Whether any packet had a clock: without one there is no jitter.
    pub has_clock: bool,
    state: Option<State>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    first_sequence: u16,
    last_sequence: u16,
    cycles: i64,
    /// The numbers have wrapped and not yet passed the first one again.
    wrapped: bool,
    first_timestamp: u32,
    /// Media time of the newest packet with a clock, in ms from the first timestamp.
    media_ms: f64,
    /// Arrival of the newest packet that was not behind.
    at_ms: f64,
    delta: f64,
    payload_type: u8,
}

impl Stream {
    /// Takes the next packet in order of arrival.
    pub fn arrive(&mut self, packet: Arrival) {
        let Some(mut state) = self.state else {
            self.packets = 1;
            self.has_clock = packet.clock_rate.is_some();
            self.state = Some(State::first(packet));
            return;
        };
        let ahead = packet.timestamp.wrapping_sub(state.first_timestamp);
        let in_order = ahead < HALF_THE_TIMESTAMPS;
        if in_order {
            state.count_cycles(packet.sequence);
            self.advance(&mut state, packet, ahead);
        }
        let noise = |payload_type| COMFORT_NOISE.contains(&payload_type);
        let counts =
            in_order && !packet.marker && !noise(packet.payload_type) && !noise(state.payload_type);
        if counts {
            self.delta.add(state.delta, self.packets);
            if packet.clock_rate.is_some() {
                self.jitter.add(self.jitter_now, self.packets);
            }
        }
        state.last_sequence = packet.sequence;
        state.payload_type = packet.payload_type;
        self.packets += 1;
        self.state = Some(state);
    }

    /// The gap and, if there is a clock, the jitter.
    fn advance(&mut self, state: &mut State, packet: Arrival, ahead: u32) {
        state.delta = packet.at_ms - state.at_ms;
        if let Some(rate) = packet.clock_rate {
            let media_ms = f64::from(ahead) * 1000.0 / f64::from(rate);
            let expected = state.at_ms + (media_ms - state.media_ms);
            let difference = (packet.at_ms - expected).abs();
            self.jitter_now = (15.0 * self.jitter_now + difference) / 16.0;
            state.media_ms = media_ms;
            self.has_clock = true;
        }
        state.at_ms = packet.at_ms;
    }

    /// Packets that the sequence numbers expect and that did not come; negative if some came twice.
    #[must_use]
    pub fn lost(&self) -> i64 {
        self.expected() - self.packets.cast_signed()
    }

    /// Packets that the sequence numbers expect.
    #[must_use]
    pub fn expected(&self) -> i64 {
        self.state.map_or(0, |state| {
            i64::from(state.last_sequence) + state.cycles * 0x1_0000
                - i64::from(state.first_sequence)
                + 1
        })
    }
}

impl State {
    fn first(packet: Arrival) -> Self {
        Self {
            first_sequence: packet.sequence,
            last_sequence: packet.sequence,
            cycles: 0,
            wrapped: false,
            first_timestamp: packet.timestamp,
            media_ms: 0.0,
            at_ms: packet.at_ms,
            delta: 0.0,
            payload_type: packet.payload_type,
        }
    }

    /// A number below the first one means that another round of numbers has begun; a stream that
    /// began at 0 shows it by the step from 65535 to 0 alone.
    fn count_cycles(&mut self, sequence: u16) {
        let stepped_over = sequence == 0 && self.last_sequence == u16::MAX;
        if !self.wrapped && (sequence < self.first_sequence || stepped_over) {
            self.cycles += 1;
            self.wrapped = true;
        } else if sequence > self.first_sequence {
            self.wrapped = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Stream};

    fn packet(at_ms: f64, sequence: u16, timestamp: u32) -> Arrival {
        Arrival {
            at_ms,
            sequence,
            timestamp,
            payload_type: 8,
            marker: false,
            clock_rate: Some(8000),
        }
    }

    fn stream(packets: impl IntoIterator<Item = Arrival>) -> Stream {
        let mut stream = Stream::default();
        packets.into_iter().for_each(|packet| stream.arrive(packet));
        stream
    }

    fn near(is: f64, should_be: f64) {
        assert!((is - should_be).abs() < 1e-9, "{is} instead of {should_be}");
    }

    #[test]
    fn a_perfect_stream_has_no_jitter() {
        let stream = stream((0..100_u16).map(|n| {
            packet(
                20.0 * f64::from(n),
                65_500_u16.wrapping_add(n),
                u32::from(n) * 160,
            )
        }));
        assert_eq!((stream.packets, stream.lost()), (100, 0));
        near(stream.jitter.largest, 0.0);
        near(stream.delta.mean, 20.0);
    }

    /// 16 ms late: |D| = 16, J = 1; then back in time: |D| = 16, J = (15 + 16) / 16.
    #[test]
    fn known_answers() {
        let stream = stream([
            packet(0.0, 1, 0),
            packet(36.0, 2, 160),
            packet(40.0, 3, 320),
        ]);
        near(stream.jitter.least.unwrap(), 1.0);
        near(stream.jitter.largest, 31.0 / 16.0);
        near(stream.jitter.mean, (1.0 + 31.0 / 16.0) / 2.0);
        near(stream.delta.largest, 36.0);
        near(stream.delta.least.unwrap(), 4.0);
    }

    #[test]
    fn loss_is_what_the_numbers_miss() {
        let lost = |numbers: &[u16]| {
            stream(
                numbers
                    .iter()
                    .zip(0_u16..)
                    .map(|(&number, n)| packet(20.0 * f64::from(n), number, u32::from(n) * 160)),
            )
            .lost()
        };
        assert_eq!(lost(&[7]), 0);
        assert_eq!(lost(&[1, 2, 5]), 2);
        assert_eq!(lost(&[1, 2, 2, 3]), -1, "one came twice");
        assert_eq!(lost(&[65_534, 1]), 2, "65535 and 0");
        assert_eq!(lost(&[0, 65_535, 0]), 65_537 - 3, "a round that began at 0");
    }

    #[test]
    fn silence_is_not_jitter_of_the_network() {
        let mut after_silence = packet(500.0, 2, 160 * 25);
        after_silence.marker = true;
        let stream = stream([packet(0.0, 1, 0), after_silence, packet(520.0, 3, 160 * 26)]);
        near(stream.delta.largest, 20.0);
        near(stream.jitter.largest, 0.0);
    }

    #[test]
    fn without_a_clock_there_is_no_jitter() {
        let mut packets = [packet(0.0, 1, 0), packet(50.0, 2, 960)];
        packets
            .iter_mut()
            .for_each(|packet| packet.clock_rate = None);
        let stream = stream(packets);
        assert!(!stream.has_clock);
        near(stream.delta.largest, 50.0);
        assert_eq!(stream.jitter.least, None);
    }
}

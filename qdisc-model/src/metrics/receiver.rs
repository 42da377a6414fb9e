//! A receiver of one RTP stream: all figures of [`super`] together, fed packet by packet.

use std::collections::BTreeMap;

use super::Arrival;
use super::jitter::Interarrival;
use super::playout::{Buffer, Playout};
use super::quality::{Codec, Heard, burst_ratio, mos, rating};
use super::stream::Stream;

/// Packets closer together than this came at once, in milliseconds: half of the usual 20 ms.
const APART_MS: f64 = 10.0;

/// Numbers behind the newest one that are remembered, to tell a repeated packet from a late one.
const WINDOW: i64 = 64;

/// What a receiver is, apart from the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumptions {
    /// The depth of the fixed jitter buffer, in milliseconds.
    pub fixed_ms: f64,
    /// The adaptive jitter buffer's least and most depth, in milliseconds.
    pub adaptive_ms: (f64, f64),
    /// What passes from the mouth to the receiver's least transit: packet time, coder, network.
    pub delay_ms: f64,
    /// What loss does to the codec.
    pub codec: Codec,
}

impl Default for Assumptions {
    /// A fixed buffer of 60 ms, an adaptive one of 40 to 200 ms, 20 ms of packet time and as much
    /// of network, G.711.
    fn default() -> Self {
        Self {
            fixed_ms: 60.0,
            adaptive_ms: (40.0, 200.0),
            delay_ms: 40.0,
            codec: Codec::G711,
        }
    }
}

/// Quality behind one jitter buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Packets too late to be played.
    pub late: u64,
    /// Mean depth of the buffer, in milliseconds.
    pub depth_ms: f64,
    /// Missing and late packets in percent of those expected.
    pub loss_percent: f64,
    /// The rating factor.
    pub r: f64,
    /// The mean opinion score.
    pub mos: f64,
}

/// A stream at its receiver.
#[derive(Clone, Debug)]
pub struct Receiver {
    assumptions: Assumptions,
    stream: Stream,
    rtcp: Interarrival,
    rtcp_most: u32,
    fixed: Playout,
    adaptive: Playout,
    bursts: Bursts,
    numbers: Numbers,
    media: Option<(u32, f64)>,
}

/// Packets that came at once, while they come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bursts {
    /// How often each length occurred; 1 is a packet on its own.
    pub lengths: BTreeMap<u64, u64>,
    last_ms: Option<f64>,
    run: u64,
}

impl Bursts {
    fn arrive(&mut self, at_ms: f64) {
        let joins = self
            .last_ms
            .replace(at_ms)
            .is_some_and(|last| at_ms - last < APART_MS);
        if !joins {
            self.close();
        }
        self.run += 1;
    }

    fn close(&mut self) {
        if self.run > 0 {
            *self.lengths.entry(self.run).or_default() += 1;
        }
        self.run = 0;
    }

    /// The longest, 0 if there was none.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.lengths
            .last_key_value()
            .map_or(0, |(length, _)| *length)
    }

    /// The mean length, 0 if there was none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let count: u64 = self.lengths.values().sum();
        let packets: u64 = self
            .lengths
            .iter()
            .map(|(length, count)| length * count)
            .sum();
        if count == 0 {
            0.0
        } else {
            packets as f64 / count as f64
        }
    }
}

/// What is new and what is missing, by sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Numbers {
    newest: Option<i64>,
    seen: u64,
    distinct: u64,
}

impl Numbers {
    /// How many numbers before this packet were skipped; none if the packet is a repetition.
    fn take(&mut self, sequence: u16) -> Option<u64> {
        let Some(newest) = self.newest else {
            *self = Self {
                newest: Some(i64::from(sequence)),
                seen: 1,
                distinct: 1,
            };
            return Some(0);
        };
        let low = u16::try_from(newest.rem_euclid(0x1_0000)).unwrap_or_default();
        let ahead = i64::from(sequence.wrapping_sub(low).cast_signed());
        if ahead > 0 {
            self.newest = Some(newest + ahead);
            self.seen = if ahead < WINDOW {
                self.seen << ahead | 1
            } else {
                1
            };
            self.distinct += 1;
            return Some(ahead.cast_unsigned() - 1);
        }
        let bit = if -ahead < WINDOW { 1_u64 << -ahead } else { 0 };
        if bit == 0 || self.seen & bit != 0 {
            return None;
        }
        self.seen |= bit;
        self.distinct += 1;
        Some(0)
    }
}

impl Receiver {
    /// A receiver to which nothing has come.
    #[must_use]
    pub fn new(assumptions: Assumptions) -> Self {
        let (least, most) = assumptions.adaptive_ms;
        Self {
            assumptions,
            stream: Stream::default(),
            rtcp: Interarrival::default(),
            rtcp_most: 0,
            fixed: Playout::new(Buffer::Fixed(assumptions.fixed_ms)),
            adaptive: Playout::new(Buffer::Adaptive { least, most }),
            bursts: Bursts::default(),
            numbers: Numbers::default(),
            media: None,
        }
    }

    /// Takes the next packet in order of arrival.
    pub fn arrive(&mut self, packet: Arrival) {
        self.stream.arrive(packet);
        self.bursts.arrive(packet.at_ms);
        let skipped = self.numbers.take(packet.sequence);
        let Some(rate) = packet.clock_rate else {
            return;
        };
        let units = units(packet.at_ms, rate);
        self.rtcp.arrive(units, packet.timestamp);
        self.rtcp_most = self.rtcp_most.max(self.rtcp.reported());
        let media_ms = self.media.map_or(0.0, |(timestamp, media_ms)| {
            let step = packet.timestamp.wrapping_sub(timestamp).cast_signed();
            media_ms + f64::from(step) * 1000.0 / f64::from(rate)
        });
        self.media = Some((packet.timestamp, media_ms));
        if let Some(skipped) = skipped {
            for _ in 0..skipped {
                self.fixed.missed();
                self.adaptive.missed();
            }
            self.fixed.arrive(packet.at_ms, media_ms);
            self.adaptive.arrive(packet.at_ms, media_ms);
        }
    }

    /// Says what loss does to the codec, where that is only known after the packets.
    pub fn set_codec(&mut self, codec: Codec) {
        self.assumptions.codec = codec;
    }

    /// Says that this much more passes from the mouth to the receiver's least transit than assumed,
    /// in milliseconds.
    pub fn add_delay(&mut self, delay_ms: f64) {
        self.assumptions.delay_ms += delay_ms;
    }

    /// Ends the last burst; to be called before the figures are read.
    pub fn finish(&mut self) {
        self.bursts.close();
    }

    /// Gaps, jitter in milliseconds and loss.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The jitter that the last receiver report would carry and the largest that any would, in
    /// units of the timestamp.
    #[must_use]
    pub fn rtcp_jitter(&self) -> (u32, u32) {
        (self.rtcp.reported(), self.rtcp_most)
    }

    /// Packets that came at once.
    #[must_use]
    pub fn bursts(&self) -> &Bursts {
        &self.bursts
    }

    /// Quality behind the fixed buffer; none if the stream never had a clock.
    #[must_use]
    pub fn fixed(&self) -> Option<Quality> {
        self.quality(&self.fixed)
    }

    /// Quality behind the adaptive buffer; none if the stream never had a clock.
    #[must_use]
    pub fn adaptive(&self) -> Option<Quality> {
        self.quality(&self.adaptive)
    }

    fn quality(&self, playout: &Playout) -> Option<Quality> {
        if !self.stream.has_clock {
            return None;
        }
        let distinct = self.numbers.distinct;
        // Numbers that wrapped unseen, or a stream that began anew, can expect less than came.
        let expected = u64::try_from(self.stream.expected())
            .unwrap_or_default()
            .max(distinct);
        let missing = expected - distinct + playout.late();
        let loss_percent = if expected == 0 {
            0.0
        } else {
            100.0 * missing as f64 / expected as f64
        };
        let depth_ms = playout.mean_depth_ms();
        let r = rating(
            self.assumptions.codec,
            Heard {
                delay_ms: self.assumptions.delay_ms + depth_ms,
                loss_percent,
                burst_ratio: burst_ratio(missing, playout.runs(), expected),
            },
        );
        Some(Quality {
            late: playout.late(),
            depth_ms,
            loss_percent,
            r,
            mos: mos(r),
        })
    }
}

/// A time in units of the timestamp, wrapped to 32 bits.
fn units(at_ms: f64, rate: u32) -> u32 {
    let units = at_ms * f64::from(rate) / 1000.0;
    // The remainder of a division is slow, and seldom needed.
    let wrapped = if (0.0..9e18).contains(&units) {
        units
    } else {
        units.rem_euclid(4_294_967_296.0)
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is to go, and what 32 bits don't hold"
    )]
    let units = wrapped as u64 as u32;
    units
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Assumptions, Receiver};

    fn receive(packets: impl IntoIterator<Item = (f64, u16)>) -> Receiver {
        let mut receiver = Receiver::new(Assumptions::default());
        for (at_ms, sequence) in packets {
            receiver.arrive(Arrival {
                at_ms,
                sequence,
                timestamp: u32::from(sequence) * 160,
                payload_type: 8,
                marker: false,
                clock_rate: Some(8000),
            });
        }
        receiver.finish();
        receiver
    }

    fn at(n: u16) -> f64 {
        f64::from(n) * 20.0
    }

    #[test]
    fn times_wrap_like_timestamps() {
        let mut at_ms = 0.1;
        while at_ms < 1e18 {
            for rate in [8000, 11_025, 90_000] {
                let units = at_ms * f64::from(rate) / 1000.0;
                let remainder = units.rem_euclid(4_294_967_296.0).floor();
                assert_eq!(f64::from(super::units(at_ms, rate)), remainder, "{at_ms}");
            }
            at_ms *= 1.37;
        }
        assert_eq!(super::units(-1000.0, 8000), u32::MAX - 7999);
    }

    #[test]
    fn a_perfect_call_is_as_good_as_the_codec() {
        let receiver = receive((0..500).map(|n| (at(n), n)));
        let quality = receiver.fixed().unwrap();
        assert_eq!((quality.late, receiver.rtcp_jitter()), (0, (0, 0)));
        assert!((quality.mos - 4.409).abs() < 0.001, "{}", quality.mos);
        assert_eq!(receiver.bursts().longest(), 1);
    }

    #[test]
    fn held_packets_come_in_bursts_and_late() {
        let epoch = |n: u16| (at(n) / 300.0).floor() * 300.0 + 300.0;
        let receiver = receive((0..1500).map(|n| (epoch(n), n)));
        assert_eq!(receiver.bursts().longest(), 15);
        let quality = receiver.fixed().unwrap();
        assert!((70.0..80.0).contains(&quality.loss_percent), "{quality:?}");
        assert!(quality.mos < 1.5);
        assert_eq!(receiver.stream().lost(), 0);
    }

    #[test]
    fn repeated_and_reordered_packets_are_told_apart() {
        let receiver = receive([
            (0.0, 0),
            (20.0, 1),
            (21.0, 1),
            (60.0, 3),
            (61.0, 2),
            (80.0, 4),
        ]);
        let quality = receiver.fixed().unwrap();
        assert!(quality.loss_percent.abs() < 1e-9, "{quality:?}");
        let lossy = receive([(0.0, 0), (60.0, 3), (80.0, 4)]);
        assert!((lossy.fixed().unwrap().loss_percent - 40.0).abs() < 1e-9);
    }
}

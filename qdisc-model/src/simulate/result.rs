//! What a run shows.

use crate::metrics::Arrival;
use crate::metrics::receiver::Receiver;
use crate::packet::Tally;

/// Delays, counted by the millisecond.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Delays {
    counts: Vec<u64>,
    sum: f64,
    packets: u64,
    most: f64,
}

/// Delays beyond this many milliseconds are counted there.
const LONGEST_MS: usize = 20_000;

impl Delays {
    pub(super) fn add(&mut self, nanoseconds: u64) {
        let millisecond = usize::try_from(nanoseconds / 1_000_000)
            .unwrap_or(LONGEST_MS)
            .min(LONGEST_MS);
        if self.counts.len() <= millisecond {
            self.counts.resize(millisecond + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(millisecond) {
            *count += 1;
        }
        let milliseconds = nanoseconds as f64 / 1e6;
        self.sum += milliseconds;
        self.packets += 1;
        self.most = self.most.max(milliseconds);
    }

    fn mean(&self) -> f64 {
        if self.packets == 0 {
            0.0
        } else {
            self.sum / self.packets as f64
        }
    }

    /// The delay that this share of the packets does not exceed, to a millisecond.
    fn quantile(&self, share: f64) -> f64 {
        let wanted = share * self.packets as f64;
        let mut seen = 0.0;
        for (millisecond, count) in (0_u32..).zip(&self.counts) {
            seen += *count as f64;
            if seen >= wanted && seen > 0.0 {
                return f64::from(millisecond + 1).min(self.most);
            }
        }
        self.most
    }
}

/// One kind of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassFigures {
    /// What the guest sent.
    pub sent: Tally,
    /// What had no room in the gate, or died in it.
    pub dropped: u64,
    /// What the gate and pauses added, in milliseconds: mean.
    pub mean_delay_ms: f64,
    /// The delay that 99 of 100 packets do not exceed.
    pub p99_delay_ms: f64,
    /// The largest.
    pub max_delay_ms: f64,
}

/// Counts for [`ClassFigures`].
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) sent: Tally,
    pub(super) dropped: u64,
    pub(super) delays: Delays,
}

impl Class {
    pub(super) fn figures(&self) -> ClassFigures {
        ClassFigures {
            sent: self.sent,
            dropped: self.dropped,
            mean_delay_ms: self.delays.mean(),
            p99_delay_ms: self.delays.quantile(0.99),
            max_delay_ms: self.delays.most,
        }
    }
}

/// What a gate held at its fullest moments, those right before a commit.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldAmounts {
    amounts: Vec<Tally>,
    seen: u64,
    /// Every how many moments one is kept, as a power of two.
    thinning: u32,
}

/// No more moments than this are kept: of a long run every second, every fourth and so on.
const MOST_MOMENTS: usize = 1 << 18;

impl HeldAmounts {
    pub(super) fn add(&mut self, held: Tally) {
        let kept = self.seen.is_multiple_of(1 << self.thinning);
        self.seen += 1;
        if !kept {
            return;
        }
        self.amounts.push(held);
        if self.amounts.len() >= MOST_MOMENTS {
            let mut index = 0_usize;
            self.amounts.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.thinning += 1;
        }
    }

    pub(super) fn figures(&self) -> HeldFigures {
        let (mut packets, mut bytes): (Vec<u64>, Vec<u64>) = self
            .amounts
            .iter()
            .map(|tally| (tally.packets, tally.bytes))
            .unzip();
        packets.sort_unstable();
        bytes.sort_unstable();
        HeldFigures {
            packets: Quantiles::of(&packets),
            bytes: Quantiles::of(&bytes),
        }
    }
}

/// How much was held right before commits, when a gate is fullest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldFigures {
    /// Packets.
    pub packets: Quantiles,
    /// Bytes.
    pub bytes: Quantiles,
}

/// A distribution: what this share of the moments does not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// One of ten.
    pub p10: u64,
    /// One of two.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// All of them.
    pub most: u64,
}

impl Quantiles {
    fn of(sorted: &[u64]) -> Self {
        let last = sorted.len().saturating_sub(1);
        let at = |hundredths: usize| sorted.get(last * hundredths / 100).copied();
        let or_none = |hundredths| at(hundredths).unwrap_or_default();
        Self {
            p10: or_none(10),
            p50: or_none(50),
            p90: or_none(90),
            p99: or_none(99),
            most: or_none(100),
        }
    }
}

/// All calls together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallFigures {
    /// Mean over the calls of their mean jitter, in milliseconds.
    pub mean_jitter_ms: f64,
    /// The largest jitter of any call.
    pub max_jitter_ms: f64,
    /// The largest gap of any call.
    pub max_delta_ms: f64,
    /// Packets that arrived.
    pub packets: u64,
    /// Packets lost on the way, by their numbers.
    pub lost: i64,
    /// The longest burst of any call, in packets.
    pub longest_burst: u64,
    /// Packets that came at once, mean over all bursts of all calls; 1 if each came on its own.
    pub mean_burst: f64,
    /// Packets too late for the fixed jitter buffer, in percent of all.
    pub late_percent: f64,
    /// Mean opinion score behind the fixed jitter buffer: the mean of the calls.
    pub mos: f64,
    /// That of the worst call.
    pub worst_mos: f64,
    /// Mean rating factor behind the fixed buffer.
    pub r: f64,
    /// Packets too late for the adaptive jitter buffer, in percent of all.
    pub adaptive_late_percent: f64,
    /// Mean depth of the adaptive jitter buffer, in milliseconds.
    pub adaptive_depth_ms: f64,
    /// Mean rating factor behind the adaptive jitter buffer.
    pub adaptive_r: f64,
    /// Mean opinion score behind the adaptive jitter buffer.
    pub adaptive_mos: f64,
}

impl CallFigures {
    pub(super) fn of(receivers: &[Receiver]) -> Self {
        let mut all = Self {
            worst_mos: f64::INFINITY,
            ..Self::default()
        };
        let (mut late, mut adaptive_late, mut bursts) = (0, 0, 0);
        for receiver in receivers {
            let stream = receiver.stream();
            all.packets += stream.packets;
            all.mean_jitter_ms += stream.jitter.mean;
            all.max_jitter_ms = all.max_jitter_ms.max(stream.jitter.largest);
            all.max_delta_ms = all.max_delta_ms.max(stream.delta.largest);
            all.lost += stream.lost();
            all.longest_burst = all.longest_burst.max(receiver.bursts().longest());
            bursts += receiver.bursts().lengths.values().sum::<u64>();
            if let (Some(fixed), Some(adaptive)) = (receiver.fixed(), receiver.adaptive()) {
                late += fixed.late;
                adaptive_late += adaptive.late;
                all.mos += fixed.mos;
                all.r += fixed.r;
                all.worst_mos = all.worst_mos.min(fixed.mos);
                all.adaptive_depth_ms += adaptive.depth_ms;
                all.adaptive_mos += adaptive.mos;
                all.adaptive_r += adaptive.r;
            }
        }
        let calls = receivers.len().max(1) as f64;
        for sum in [
            &mut all.mean_jitter_ms,
            &mut all.mos,
            &mut all.r,
            &mut all.adaptive_depth_ms,
            &mut all.adaptive_mos,
            &mut all.adaptive_r,
        ] {
            *sum /= calls;
        }
        if !all.worst_mos.is_finite() {
            all.worst_mos = 0.0;
        }
        let packets = all.packets.max(1) as f64;
        all.late_percent = 100.0 * late as f64 / packets;
        all.adaptive_late_percent = 100.0 * adaptive_late as f64 / packets;
        all.mean_burst = all.packets as f64 / bursts.max(1) as f64;
        all
    }
}

/// One packet of the first call at its receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The packet, and when it came: in milliseconds from the begin.
    pub arrival: Arrival,
    /// The jitter then.
    pub jitter_ms: f64,
}

/// What a failover did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FailoverFigures {
    /// When packets flowed again, in milliseconds from the begin; 0 if not within the run.
    pub recovered_ms: f64,
    /// Packets that died in the gate, of all kinds.
    pub held_lost: u64,
    /// What the guest forgot, in milliseconds: from the committed checkpoint to the failure.
    pub rolled_back_ms: f64,
    /// The longest time without a packet of the first call around it.
    pub gap_ms: f64,
}

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The calls at their receivers.
    pub calls: CallFigures,
    /// RTP through the gate.
    pub media: ClassFigures,
    /// SIP through the gate.
    pub signalling: ClassFigures,
    /// TCP through the gate.
    pub bulk: ClassFigures,
    /// What bulk TCP brought over, in bits a second.
    pub goodput: f64,
    /// Checkpoints that were committed.
    pub commits: u64,
    /// From one suspend to the next, mean, in milliseconds.
    pub period_ms: f64,
    /// Mean pause of the guest.
    pub pause_ms: f64,
    /// Mean time from the guest's going on to the commit.
    pub transfer_ms: f64,
    /// The most held at a time.
    pub most_held: Tally,
    /// How much was held right before commits.
    pub held: HeldFigures,
    /// Commits that the gate refused; none, or the simulation is wrong.
    pub refused: u64,
    /// The failover, if there was one.
    pub failover: Option<FailoverFigures>,
    /// Packets of the first call, if they were recorded.
    pub points: Vec<Point>,
    /// Packets of all kinds that were sent.
    pub packets: u64,
}

#[cfg(test)]
mod tests {
    use super::{HeldAmounts, MOST_MOMENTS, Quantiles};
    use crate::packet::Tally;

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let hundred: Vec<u64> = (0..=100).collect();
        let expected = Quantiles {
            p10: 10,
            p50: 50,
            p90: 90,
            p99: 99,
            most: 100,
        };
        assert_eq!(Quantiles::of(&hundred), expected);
        assert_eq!(Quantiles::of(&[]), Quantiles::default());
        assert_eq!(Quantiles::of(&[7]).p10, 7);
    }

    #[test]
    fn a_long_run_keeps_its_distribution_and_not_every_moment() {
        let mut held = HeldAmounts::default();
        let moments = 5 * MOST_MOMENTS as u64;
        for bytes in 0..moments {
            held.add(Tally { packets: 1, bytes });
        }
        assert!(held.amounts.len() < MOST_MOMENTS);
        let figures = held.figures();
        let near = |is: u64, tenths: u64| is.abs_diff(moments * tenths / 10) < moments / 100;
        assert!(
            near(figures.bytes.p10, 1) && near(figures.bytes.p90, 9),
            "{figures:?}"
        );
        assert_eq!(figures.packets.most, 1);
    }
}

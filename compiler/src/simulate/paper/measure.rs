//! What the paper reads from its figures, found among the packets that arrive and nowhere else.
//!
//! - A peak is packets of which each came within half a packet time of the one before. One packet
//!   is no peak.
//! - An interruption is a time without packets that is longer than a packet time and a quarter: the
//!   sender's timer alone does not make one.
//! - Periods are means from the first to the last, without those at the begin and the end of a run,
//!   which it cuts.

use qdisc_model::metrics::burst::{bursts, interruptions, period};
use qdisc_model::simulate::Point;

use super::Figure;
use super::testbed::CALL;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// From peak to peak, in milliseconds.
    pub peak_period_ms: Option<f64>,
    /// Packets of a peak, mean.
    pub burst_packets: Option<f64>,
    /// From interruption to interruption, in milliseconds.
    pub interruption_period_ms: Option<f64>,
    /// Length of an interruption, mean, in milliseconds.
    pub interruption_ms: Option<f64>,
    /// The longest time without packets, in milliseconds.
    pub gap_ms: Option<f64>,
}

impl Measured {
    /// Finds what this figure shows.
    #[must_use]
    pub fn of(figure: Figure, points: &[Point]) -> Self {
        let arrivals = || points.iter().map(|point| point.arrival.at_ms);
        let packet_ms = CALL.packet_time as f64 / 1e6;
        let mut found = Self::default();
        match figure {
            Figure::Fig3 | Figure::Fig4 => {}
            Figure::Fig5 => {
                let all = bursts(arrivals(), packet_ms / 2.0);
                let peaks: Vec<_> = inner(&all).iter().filter(|b| b.packets > 1).collect();
                let begins: Vec<f64> = peaks.iter().map(|peak| peak.begin_ms).collect();
                found.peak_period_ms = period(&begins);
                found.burst_packets = mean(peaks.iter().map(|peak| peak.packets as f64));
            }
            Figure::Fig6 => {
                let all = interruptions(arrivals(), packet_ms * 1.25);
                let (ends, gaps): (Vec<f64>, Vec<f64>) = inner(&all).iter().copied().unzip();
                found.interruption_period_ms = period(&ends);
                found.interruption_ms = mean(gaps.into_iter());
            }
            Figure::Fig7 => {
                let steps = arrivals().zip(arrivals().skip(1));
                found.gap_ms = steps
                    .map(|(before, after)| after - before)
                    .max_by(f64::total_cmp);
            }
        }
        found
    }
}

/// All but the first and the last.
fn inner<T>(all: &[T]) -> &[T] {
    all.get(1..all.len().saturating_sub(1)).unwrap_or_default()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use qdisc_model::metrics::Arrival;

    use super::{Figure, Measured, Point};

    fn points(times: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let point = |at_ms| Point {
            arrival: Arrival {
                at_ms,
                sequence: 0,
                timestamp: 0,
                payload_type: 8,
                marker: false,
                clock_rate: None,
            },
            jitter_ms: 0.0,
        };
        times.into_iter().map(point).collect()
    }

    #[test]
    fn peaks_are_found_among_arrivals() {
        let epochs = (0..9)
            .flat_map(|epoch| (0..20).map(move |n| f64::from(epoch) * 400.0 + f64::from(n) * 0.02));
        let found = Measured::of(Figure::Fig5, &points(epochs));
        assert_eq!(found.burst_packets, Some(20.0));
        assert!((found.peak_period_ms.unwrap() - 400.0).abs() < 1e-9);
        let calm = Measured::of(Figure::Fig5, &points((0..99).map(|n| f64::from(n) * 20.0)));
        assert_eq!((calm.burst_packets, calm.peak_period_ms), (None, None));
    }

    #[test]
    fn interruptions_are_found_among_arrivals() {
        // Every fifteenth packet comes 30 ms late, with the one due in the meantime.
        let late = |n: i32| f64::from(n) * 20.0 + if n % 15 == 0 { 30.0 } else { 0.0 };
        let mut times: Vec<f64> = (1..300).map(late).collect();
        times.sort_by(f64::total_cmp);
        let found = Measured::of(Figure::Fig6, &points(times));
        assert!((found.interruption_period_ms.unwrap() - 300.0).abs() < 1e-9);
    }

    #[test]
    fn the_gap_is_the_longest() {
        let found = Measured::of(Figure::Fig7, &points([0.0, 20.0, 1040.0, 1060.0]));
        assert_eq!(found.gap_ms, Some(1020.0));
        assert_eq!(Measured::of(Figure::Fig7, &[]).gap_ms, None);
    }
}

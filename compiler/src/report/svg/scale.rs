//! An axis on paper: from which value to which, where its ticks are, and what they say.

use crate::report::{Axis, Cell, Scale};

/// Two values that differ by less than this share are one.
const NEAR: f64 = 1e-9;

/// A scale with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ruler {
    kind: Scale,
    /// The values at the ends.
    pub(super) ends: (f64, f64),
    /// Values with a tick, and their labels.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Ruler {
    /// A ruler for these values. `wanted` is about how many ticks there is room for; with `whole`
    /// a linear one ends at ticks.
    pub(super) fn new(
        axis: &Axis,
        values: impl Iterator<Item = f64>,
        wanted: f64,
        whole: bool,
    ) -> Self {
        let counts =
            |value: &f64| value.is_finite() && (axis.scale == Scale::Linear || *value > 0.0);
        let (low, high) = values
            .chain(axis.include.iter().copied())
            .filter(counts)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        match axis.scale {
            Scale::Linear => Self::linear(low, high, wanted, whole),
            Scale::Log => Self::log(low, high, wanted),
        }
    }

    fn linear(low: f64, high: f64, wanted: f64, whole: bool) -> Self {
        let (low, high) = match high - low {
            // No value at all.
            span if !span.is_finite() => (0.0, 1.0),
            span if span > NEAR * high.abs() => (low, high),
            _ if low == 0.0 => (0.0, 1.0),
            _ => (low - low.abs() * 0.1, high + high.abs() * 0.1),
        };
        let step = step((high - low) / wanted);
        let (low, high) = if whole {
            // A value that is at a tick needs no further one.
            let at_tick = |value: f64| {
                let count = value / step;
                (count, (count - count.round()).abs() < NEAR)
            };
            let first = match at_tick(low) {
                (count, true) => count.round(),
                (count, false) => count.floor(),
            };
            let last = match at_tick(high) {
                (count, true) => count.round(),
                (count, false) => count.ceil(),
            };
            (first * step, last * step)
        } else {
            (low, high)
        };
        let mut ticks = Vec::new();
        let mut count = (low / step - NEAR).ceil();
        while count * step <= high + step * NEAR {
            ticks.push(count * step);
            count += 1.0;
        }
        Self {
            kind: Scale::Linear,
            ends: (low, high),
            ticks: labelled(&ticks, Some(step)),
        }
    }

    fn log(low: f64, high: f64, wanted: f64) -> Self {
        let (low, high) = match (low, high) {
            (low, high) if !(low.is_finite() && high.is_finite()) => (1.0, 10.0),
            (low, high) if high / low < 1.0 + NEAR => (low / 2.0, high * 2.0),
            ends => ends,
        };
        let mut decade = 1.0;
        while decade > low {
            decade /= 10.0;
        }
        while decade * 10.0 <= low {
            decade *= 10.0;
        }
        let mut decades = Vec::new();
        while decade <= high {
            decades.push(decade);
            decade *= 10.0;
        }
        let within = |value: &f64| (low * (1.0 - NEAR)..=high * (1.0 + NEAR)).contains(value);
        let ticks_of = |multiples: &[f64]| -> Vec<f64> {
            decades
                .iter()
                .flat_map(|decade| multiples.iter().map(move |multiple| decade * multiple))
                .filter(within)
                .collect()
        };
        let fine = ticks_of(&[1.0, 2.0, 5.0]);
        let ticks = if fine.len() as f64 <= wanted * 1.6 {
            fine
        } else {
            ticks_of(&[1.0])
        };
        Self {
            kind: Scale::Log,
            ends: (low, high),
            ticks: labelled(&ticks, None),
        }
    }

    /// Where a value is between the ends, 0 to 1; none if it has no place on this axis.
    pub(super) fn share(&self, value: f64) -> Option<f64> {
        let (low, high) = self.ends;
        let share = match self.kind {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log if value > 0.0 => (value / low).ln() / (high / low).ln(),
            Scale::Log => return None,
        };
        share.is_finite().then_some(share)
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|multiple| multiple * power)
        .find(|step| *step >= least * (1.0 - NEAR))
        .unwrap_or(10.0 * power)
}

/// Ticks with what they say: all with the digits and the thousands that `step` and the largest
/// need, or each with its own.
fn labelled(ticks: &[f64], step: Option<f64>) -> Vec<(f64, String)> {
    let most = ticks.iter().copied().map(f64::abs).fold(0.0, f64::max);
    let label = |tick: &f64| {
        if *tick == 0.0 {
            return String::from("0");
        }
        let (unit, suffix) = thousands(if step.is_some() { most } else { *tick });
        let digits = digits(step.unwrap_or(*tick) / unit);
        Cell::number(*tick / unit, digits).written() + suffix
    };
    ticks.iter().map(|tick| (*tick, label(tick))).collect()
}

/// In what large numbers are counted.
fn thousands(most: f64) -> (f64, &'static str) {
    match most {
        most if most >= 1e9 => (1e9, "G"),
        most if most >= 1e6 => (1e6, "M"),
        most if most >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    }
}

/// How many digits after the point a number with one significant digit needs.
fn digits(value: f64) -> usize {
    let mut scaled = value;
    let mut digits = 0;
    while digits < 9 && (scaled - scaled.round()).abs() > scaled.abs() * 1e-6 {
        scaled *= 10.0;
        digits += 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::{Axis, Ruler};

    fn ticks(axis: &Axis, values: &[f64], whole: bool) -> (String, (f64, f64)) {
        let ruler = Ruler::new(axis, values.iter().copied(), 5.0, whole);
        let labels: Vec<String> = ruler.ticks.into_iter().map(|(_, label)| label).collect();
        (labels.join(" "), ruler.ends)
    }

    #[test]
    fn linear_ticks_are_round_numbers() {
        let axis = Axis::linear("", "");
        for (values, whole, labels, ends) in [
            (&[0.0, 60.0][..], false, "0 20 40 60", (0.0, 60.0)),
            (&[1.0, 4.41], true, "1 2 3 4 5", (1.0, 5.0)),
            (&[0.01, 0.29], true, "0 0.1 0.2 0.3", (0.0, 0.3)),
            (&[-3.0, 3.0], true, "-4 -2 0 2 4", (-4.0, 4.0)),
            (
                &[0.0, 2.5e6],
                true,
                "0 0.5M 1.0M 1.5M 2.0M 2.5M",
                (0.0, 2.5e6),
            ),
            (&[7.0], true, "6.0 6.5 7.0 7.5 8.0", (6.0, 8.0)),
            (&[0.0], true, "0 0.2 0.4 0.6 0.8 1.0", (0.0, 1.0)),
            (&[], true, "0 0.2 0.4 0.6 0.8 1.0", (0.0, 1.0)),
            (
                &[f64::NAN, 1.0, f64::INFINITY, 2.0],
                true,
                "1.0 1.2 1.4 1.6 1.8 2.0",
                (1.0, 2.0),
            ),
        ] {
            let (found, (low, high)) = ticks(&axis, values, whole);
            assert_eq!(found, labels, "{values:?}");
            assert!(
                (low - ends.0).abs() < 1e-9 && (high - ends.1).abs() < 1e-9,
                "{values:?}"
            );
        }
    }

    #[test]
    fn logarithmic_ticks_are_one_two_five_or_powers_of_ten() {
        let axis = Axis::log("", "");
        for (values, labels) in [
            (&[10.0, 1000.0][..], "10 20 50 100 200 500 1000"),
            (&[0.05, 0.4], "0.05 0.1 0.2"),
            (&[1.0, 1e6], "1 10 100 1000 10k 100k 1M"),
            (&[-1.0, 0.0, 3.0], "2 5"),
            (&[], "1 2 5 10"),
        ] {
            assert_eq!(ticks(&axis, values, false).0, labels, "{values:?}");
        }
        let ruler = Ruler::new(&axis, [10.0, 1000.0].into_iter(), 5.0, false);
        assert!((ruler.share(100.0).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(ruler.share(0.0), None);
    }

    #[test]
    fn what_must_be_on_the_axis_is() {
        let axis = Axis::linear("", "").with(&[1.0, 4.5]);
        assert_eq!(ticks(&axis, &[2.0, 3.0], true).0, "1 2 3 4 5");
    }
}

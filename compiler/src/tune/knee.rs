//! The knee of a curve: where giving more stops bringing much.
//!
//! The curve is scaled so that its first and last points are opposite corners of a square; the knee
//! is the point that is farthest ahead of the straight line between them (the offline part of
//! Kneedle: Satopaa, Albrecht, Irwin, Raghavan, "Finding a Kneedle in a Haystack", 2011). It depends
//! on where the curve begins and ends, so whoever shows it must show those too.

/// A curve that nowhere is ahead of its chord by more than this has no knee.
const LEAST_DISTANCE: f64 = 0.05;

/// The place of the knee among points in the order of the curve; none if it has none: fewer than
/// three points, ends at the same height, about a straight line, or one that brings more and more.
#[must_use]
pub fn knee(points: &[(f64, f64)]) -> Option<usize> {
    let (first, last) = (points.first()?, points.last()?);
    let (width, height) = (last.0 - first.0, last.1 - first.1);
    let farthest = points
        .iter()
        .enumerate()
        .map(|(index, (x, y))| {
            let along = (x - first.0) / width;
            let up = (y - first.1) / height;
            (index, up - along)
        })
        .filter(|(_, distance)| distance.is_finite())
        // Of equals the first: what costs less.
        .fold(
            None,
            |best: Option<(usize, f64)>, (index, distance)| match best {
                Some((_, most)) if distance <= most => best,
                _ => Some((index, distance)),
            },
        );
    farthest
        .filter(|(_, distance)| *distance >= LEAST_DISTANCE)
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::knee;

    fn curve(from: u32, to: u32, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (from..=to).map(f64::from).map(|x| (x, f(x))).collect()
    }

    #[test]
    fn known_knees() {
        // Two straight pieces that meet at 30.
        let bent = curve(0, 100, |x| {
            if x < 30.0 {
                2.0 * x
            } else {
                60.0 + 0.1 * (x - 30.0)
            }
        });
        assert_eq!(knee(&bent), Some(30));
        // The hyperbola 100/x from 1 to 100 turns at the middle of its ratios, 10.
        let hyperbola = curve(1, 100, |x| 100.0 / x);
        assert_eq!(hyperbola[knee(&hyperbola).unwrap()].0, 10.0);
        // x / (x + 5) from 0 to 995: its slope is that of the chord at x + 5 = sqrt(5 * 1000).
        let saturating = curve(0, 995, |x| x / (x + 5.0));
        let at = saturating[knee(&saturating).unwrap()].0;
        assert!((at - (5000_f64.sqrt() - 5.0)).abs() <= 0.5, "{at}");
    }

    #[test]
    fn no_knee() {
        assert_eq!(knee(&[]), None);
        assert_eq!(knee(&[(0.0, 0.0), (1.0, 1.0)]), None);
        assert_eq!(knee(&curve(0, 100, |x| 3.0 * x + 1.0)), None);
        assert_eq!(knee(&curve(0, 100, |_| 7.0)), None);
        assert_eq!(knee(&curve(0, 100, |x| x * x)), None);
        assert_eq!(knee(&[(0.0, 0.0), (1.0, f64::NAN), (2.0, 1.0)]), None);
    }

    proptest! {
        /// Units do not matter, and neither does which way the curve is turned.
        #[test]
        fn scales_do_not_matter(at in 5_u32..60, sx in 0.01..1e6_f64, sy in 0.01..1e6_f64, flip: bool) {
            let sign = if flip { -1.0 } else { 1.0 };
            let bent = curve(0, 100, |x| x.min(f64::from(at)) + x / 50.0);
            let scaled: Vec<_> = bent.iter().map(|(x, y)| (x * sx + 3.0, sign * y * sy - 5.0)).collect();
            prop_assert_eq!(knee(&scaled), Some(at as usize));
        }
    }
}

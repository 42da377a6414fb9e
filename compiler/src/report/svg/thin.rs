//! Which points of a long series have to be drawn, so that the picture is the same.
//!
//! Within one column of pixels a line is a vertical stroke from the least to the largest value, and
//! it is joined to its neighbours at the first and the last: four points per column draw the same
//! picture as a thousand (the M4 aggregation of Jugel, Jerzak, Hackenbroich and Markl, VLDB 2014).

use std::collections::BTreeSet;

/// The places of the points to keep, in order. `None` is a point that can't be drawn; one of a run
/// of them is kept, as it interrupts the line.
pub(super) fn line(pixels: &[Option<(f64, f64)>]) -> Vec<usize> {
    let mut kept = Vec::new();
    let mut column: Vec<(usize, f64)> = Vec::new();
    let mut at = None;
    for (index, pixel) in pixels.iter().enumerate() {
        let here = pixel.map(|(x, _)| x.floor());
        if here != at || here.is_none() {
            keep(&mut kept, &std::mem::take(&mut column));
        }
        match pixel {
            Some((_, y)) => column.push((index, *y)),
            None if at.is_some() => kept.push(index),
            None => {}
        }
        at = here;
    }
    keep(&mut kept, &column);
    kept
}

/// Keeps the first, the last, the least and the largest of a column.
fn keep(kept: &mut Vec<usize>, column: &[(usize, f64)]) {
    let by_value = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    let chosen = [
        column.first(),
        column.last(),
        column.iter().min_by(by_value),
        column.iter().max_by(by_value),
    ];
    let chosen: BTreeSet<usize> = chosen.into_iter().flatten().map(|(i, _)| *i).collect();
    kept.extend(chosen);
}

/// The places of the points to keep of points that are not joined: one for each pixel.
pub(super) fn dots(pixels: &[Option<(f64, f64)>]) -> Vec<usize> {
    let mut taken = BTreeSet::new();
    let free = pixels.iter().enumerate().filter(|(_, pixel)| {
        pixel.is_some_and(|(x, y)| taken.insert((x.round().to_bits(), y.round().to_bits())))
    });
    free.map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{dots, line};

    #[test]
    fn a_peak_of_one_point_in_a_million_stays() {
        let pixels: Vec<_> = (0..1_000_000_u32)
            .map(|n| Some((f64::from(n) / 2000.0, if n == 123_457 { 9.0 } else { 1.0 })))
            .collect();
        let kept = line(&pixels);
        assert!(
            kept.len() <= 2000 && kept.contains(&123_457),
            "{}",
            kept.len()
        );
    }

    #[test]
    fn interruptions_stay_and_are_not_repeated() {
        let point = Some((0.5, 0.0));
        assert_eq!(line(&[None, point, None, None, point, None]), [1, 2, 4, 5]);
    }

    #[test]
    fn one_dot_a_pixel() {
        let pixels = [Some((1.1, 2.2)), Some((0.9, 1.9)), None, Some((1.0, 3.0))];
        assert_eq!(dots(&pixels), [0, 3]);
    }

    proptest! {
        /// In every column the extremes, the begin and the end are those of all points.
        #[test]
        fn the_picture_is_the_same(steps in prop::collection::vec((0.0..0.3_f64, -5.0..5.0_f64), 1..400)) {
            let mut x = 0.0;
            let pixels: Vec<_> = steps.iter().map(|(dx, y)| { x += dx; Some((x, *y)) }).collect();
            let all: Vec<(f64, f64)> = pixels.iter().flatten().copied().collect();
            let kept: Vec<(f64, f64)> = line(&pixels).iter().map(|&i| all[i]).collect();
            let last = all.last().unwrap().0.floor();
            let mut column = 0.0;
            while column <= last {
                let of = |points: &[(f64, f64)]| {
                    let ys: Vec<f64> = points.iter().filter(|p| p.0.floor() == column).map(|p| p.1).collect();
                    let least = ys.iter().copied().fold(f64::INFINITY, f64::min);
                    let most = ys.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    (ys.first().copied(), ys.last().copied(), least, most)
                };
                prop_assert_eq!(of(&kept), of(&all));
                column += 1.0;
            }
        }
    }
}

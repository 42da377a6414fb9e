//! The intervals that are tried: whole milliseconds, as a policy says them, of two digits, each
//! about the same ratio longer than the one before.

/// Intervals from `from` to `to` milliseconds, both among them: about `count`, fewer where they
/// would be the same.
#[must_use]
pub fn geometric(from: u64, to: u64, count: u32) -> Vec<u64> {
    let (low, high) = (from.max(1) as f64, to.max(1) as f64);
    let steps = f64::from(count.max(2) - 1);
    let mut grid: Vec<u64> = (1..count.max(2) - 1)
        .map(|n| rounded(low * (high / low).powf(f64::from(n) / steps)))
        .filter(|interval| (from..=to).contains(interval))
        .chain([from.max(1), to.max(1)])
        .collect();
    grid.sort_unstable();
    grid.dedup();
    grid
}

/// Intervals between the neighbours of the one at `index` that are not in the grid yet: `count`
/// on either side at most.
#[must_use]
pub fn around(grid: &[u64], index: usize, count: u32) -> Vec<u64> {
    let gaps = [
        index.checked_sub(1).map(|before| (before, index)),
        Some((index, index + 1)),
    ];
    let mut fresh: Vec<u64> = gaps
        .into_iter()
        .flatten()
        .filter_map(|(left, right)| Some((*grid.get(left)?, *grid.get(right)?)))
        .flat_map(|(left, right)| geometric(left, right, count + 2))
        .filter(|interval| !grid.contains(interval))
        .collect();
    fresh.sort_unstable();
    fresh.dedup();
    fresh
}

/// To two digits, in whole milliseconds.
fn rounded(milliseconds: f64) -> u64 {
    let mut unit = 1_u64;
    while milliseconds / unit as f64 >= 100.0 {
        unit *= 10;
    }
    whole((milliseconds / unit as f64).round())
        .saturating_mul(unit)
        .max(1)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is a whole number below 100"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{around, geometric};

    #[test]
    fn a_decade_and_its_refinement() {
        let grid = geometric(10, 1000, 9);
        assert_eq!(grid, [10, 18, 32, 56, 100, 180, 320, 560, 1000]);
        assert_eq!(around(&grid, 4, 2), [68, 82, 120, 150]);
        assert_eq!(around(&grid, 0, 1), [13]);
        assert_eq!(around(&grid, 8, 1), [750]);
        assert!(around(&[5], 0, 3).is_empty());
        assert_eq!(geometric(3, 5, 20), [3, 4, 5]);
        assert_eq!(geometric(7, 7, 4), [7]);
    }

    proptest! {
        #[test]
        fn grids_ascend_between_their_ends(from in 1..5_000_u64, more in 0..50_000_u64, count in 0..60_u32) {
            let grid = geometric(from, from + more, count);
            prop_assert!(grid.is_sorted_by(|a, b| a < b));
            prop_assert_eq!((grid[0], grid[grid.len() - 1]), (from, from + more));
            prop_assert!(grid.len() <= count.max(2) as usize);
            for index in 0..grid.len() {
                for fresh in around(&grid, index, 3) {
                    prop_assert!(!grid.contains(&fresh) && fresh > from && fresh < from + more);
                }
            }
        }
    }
}

//! Sets of field values: sorted, disjoint, inclusive ranges of integers.
//!
//! Every field of a packet is an unsigned integer of a known width (an IPv6 address has 128 bits),
//! so ports, prefixes, MAC addresses and DSCP code points are all the same kind of set here.

use std::fmt;

/// An inclusive range of values, `low <= high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The lowest value in the range.
    pub low: u128,
    /// The highest value in the range.
    pub high: u128,
}

impl Range {
    /// The range of the values from `low` to `high`; the ends may be given in either order.
    #[must_use]
    pub fn new(low: u128, high: u128) -> Self {
        Self {
            low: low.min(high),
            high: low.max(high),
        }
    }

    /// Whether `value` lies in the range.
    #[must_use]
    pub fn contains(self, value: u128) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A set of values as sorted, disjoint ranges that do not touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueSet {
    ranges: Vec<Range>,
}

impl ValueSet {
    /// The empty set.
    #[must_use]
    pub const fn empty() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Every value of a field that is `width` bits wide (0 to 128).
    #[must_use]
    pub fn full(width: u32) -> Self {
        Self::from_ranges([Range::new(0, max_value(width))])
    }

    /// The set that holds exactly `value`.
    #[must_use]
    pub fn single(value: u128) -> Self {
        Self::from_ranges([Range::new(value, value)])
    }

    /// The set of the values from `low` to `high`.
    #[must_use]
    pub fn range(low: u128, high: u128) -> Self {
        Self::from_ranges([Range::new(low, high)])
    }

    /// The union of `ranges`, which may overlap and come in any order.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut sorted: Vec<Range> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.low <= last.high.saturating_add(1) => {
                    last.high = last.high.max(range.high);
                }
                _ => merged.push(range),
            }
        }
        Self { ranges: merged }
    }

    /// The ranges in ascending order; between two of them at least one value is missing.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Whether no value is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether every value of a `width`-bit field is in the set.
    #[must_use]
    pub fn is_full(&self, width: u32) -> bool {
        matches!(self.ranges.as_slice(), [only] if only.low == 0 && only.high >= max_value(width))
    }

    /// Whether `value` is in the set; takes time logarithmic in the number of ranges.
    #[must_use]
    pub fn contains(&self, value: u128) -> bool {
        let after = self.ranges.partition_point(|range| range.low <= value);
        after
            .checked_sub(1)
            .and_then(|at| self.ranges.get(at))
            .is_some_and(|r| r.contains(value))
    }

    /// The largest value in the set.
    #[must_use]
    pub fn max(&self) -> Option<u128> {
        self.ranges.last().map(|range| range.high)
    }

    /// The values in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// The values in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        let mut common = Vec::new();
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (low, high) = (a.low.max(b.low), a.high.min(b.high));
            if low <= high {
                common.push(Range { low, high });
            }
            if a.high <= b.high {
                left.next();
            } else {
                right.next();
            }
        }
        Self { ranges: common }
    }

    /// The values of a `width`-bit field that are not in the set.
    #[must_use]
    pub fn complement(&self, width: u32) -> Self {
        let max = max_value(width);
        let mut gaps = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = Some(0);
        for range in &self.ranges {
            if let Some(low) = next
                && low < range.low
            {
                gaps.push(Range {
                    low,
                    high: (range.low - 1).min(max),
                });
            }
            next = range.high.checked_add(1).filter(|&after| after <= max);
        }
        if let Some(low) = next {
            gaps.push(Range { low, high: max });
        }
        Self { ranges: gaps }
    }

    /// The values of the first set that are not in the second.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.intersection(&other.complement(128))
    }
}

/// The largest value of a field that is `width` bits wide.
#[must_use]
pub fn max_value(width: u32) -> u128 {
    1_u128.checked_shl(width).map_or(u128::MAX, |past| past - 1)
}

impl fmt::Display for ValueSet {
    /// Writes the ranges as decimal numbers, `{5060, 16384-32767}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let braces = self.ranges.len() != 1;
        if braces {
            f.write_str("{")?;
        }
        for (at, range) in self.ranges.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            if range.low == range.high {
                write!(f, "{}", range.low)?;
            } else {
                write!(f, "{}-{}", range.low, range.high)?;
            }
        }
        if braces {
            f.write_str("}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn byte_sets() -> impl Strategy<Value = ValueSet> {
        proptest::collection::vec((0_u128..256, 0_u128..256), 0..6)
            .prop_map(|ends| ValueSet::from_ranges(ends.into_iter().map(|(a, b)| Range::new(a, b))))
    }

    proptest! {
        /// Each operation agrees with its definition on every single value.
        #[test]
        fn operations_are_pointwise(a in byte_sets(), b in byte_sets()) {
            for value in 0..256 {
                let (in_a, in_b) = (a.contains(value), b.contains(value));
                prop_assert_eq!(in_a, a.ranges().iter().any(|r| r.contains(value)));
                prop_assert_eq!(a.union(&b).contains(value), in_a || in_b);
                prop_assert_eq!(a.intersection(&b).contains(value), in_a && in_b);
                prop_assert_eq!(a.minus(&b).contains(value), in_a && !in_b);
                prop_assert_eq!(a.complement(8).contains(value), !in_a);
            }
            prop_assert_eq!(a.complement(8).complement(8), a);
        }
    }

    #[test]
    fn the_widest_field_has_an_end() {
        assert_eq!(max_value(128), u128::MAX);
        assert!(ValueSet::full(128).complement(128).is_empty());
        assert!(ValueSet::empty().complement(128).is_full(128));
    }
}

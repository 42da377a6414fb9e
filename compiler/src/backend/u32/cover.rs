//! Value sets as masked values: the only question that a u32 key can ask.
//!
//! A range falls apart into aligned power-of-two runs (RFC 4632 calls the same thing prefixes).
//! Runs that differ in one bit are joined, so that a test of flag bits becomes one masked value.

use std::collections::BTreeMap;

use policy_lang::values::{Range, ValueSet};

/// The values that agree with `value` in the bits of `mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Masked {
    /// The wanted bits; none outside of `mask`.
    pub(super) value: u128,
    /// The bits that count.
    pub(super) mask: u128,
}

/// Disjoint masked values of a `width`-bit field whose union is `values`, in ascending order.
pub(super) fn cover(values: &ValueSet, width: u32) -> Vec<Masked> {
    let full = policy_lang::values::max_value(width);
    let within = values.intersection(&ValueSet::full(width));
    let mut runs: Vec<Masked> = Vec::new();
    for range in within.ranges() {
        aligned_runs(*range, full, &mut runs);
    }
    // The lowest bits first: neighbours are joined before anything further apart.
    for bit in 0..width {
        runs = joined_in(1 << bit, runs);
    }
    runs
}

/// Disjoint prefixes of a `width`-bit field whose union is `values`, in ascending order.
pub(super) fn prefixes(values: &ValueSet, width: u32) -> Vec<Masked> {
    let mut runs = Vec::new();
    for range in values.intersection(&ValueSet::full(width)).ranges() {
        aligned_runs(*range, policy_lang::values::max_value(width), &mut runs);
    }
    runs
}

fn aligned_runs(range: Range, full: u128, runs: &mut Vec<Masked>) {
    let mut low = range.low;
    loop {
        // As many low bits as the start is aligned to and the range has room for.
        let free = (0..128)
            .map(|bits| policy_lang::values::max_value(bits + 1))
            .take_while(|&bits| bits <= full && low & bits == 0 && range.high - low >= bits)
            .last()
            .unwrap_or(0);
        runs.push(Masked {
            value: low,
            mask: full & !free,
        });
        let last = low | free;
        if last >= range.high {
            return;
        }
        low = last + 1;
    }
}

/// The same values, with pairs that differ only in the masked bit `bit` made one.
fn joined_in(bit: u128, runs: Vec<Masked>) -> Vec<Masked> {
    if runs.len() < 2 {
        return runs;
    }
    let mut pairs: BTreeMap<(u128, u128), [bool; 2]> = BTreeMap::new();
    let mut joined = Vec::new();
    for run in runs {
        if run.mask & bit == 0 {
            joined.push(run);
        } else {
            let [zero, one] = pairs.entry((run.value & !bit, run.mask)).or_default();
            *(if run.value & bit == 0 { zero } else { one }) = true;
        }
    }
    joined.extend(pairs.into_iter().map(|((value, mask), seen)| match seen {
        [true, true] => Masked {
            value,
            mask: mask & !bit,
        },
        [_, one] => Masked {
            value: if one { value | bit } else { value },
            mask,
        },
    }));
    joined.sort_unstable();
    joined
}

#[cfg(test)]
mod tests {
    use policy_lang::values::max_value;
    use proptest::prelude::*;

    use super::*;

    fn holding(masked: &[Masked], value: u128) -> usize {
        masked.iter().filter(|m| value & m.mask == m.value).count()
    }

    fn sets(width: u32) -> impl Strategy<Value = ValueSet> {
        let max = max_value(width);
        let end = move || {
            (any::<u128>(), 0..=width)
                .prop_map(move |(v, s)| v.checked_shr(128 - s).unwrap_or(0) & max)
        };
        let range = (end(), end(), any::<bool>()).prop_map(move |(a, b, high)| {
            if high {
                Range::new(max - a, max - b)
            } else {
                Range::new(a, b)
            }
        });
        proptest::collection::vec(range, 1..5).prop_map(ValueSet::from_ranges)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Each value of the set is in exactly one masked value, any other value in none.
        #[test]
        fn covers_are_exact(values in sets(8)) {
            let cover = cover(&values, 8);
            for value in 0..256 {
                prop_assert_eq!(holding(&cover, value), usize::from(values.contains(value)), "{}", value);
            }
        }

        /// The same for wide fields: right at all borders, and of the right size.
        #[test]
        fn wide_covers_are_exact((width, values) in (9_u32..=128).prop_flat_map(|w| (Just(w), sets(w)))) {
            let cover = cover(&values, width);
            let max = max_value(width);
            for range in values.ranges() {
                for value in [range.low.saturating_sub(1), range.low, range.high, range.high.saturating_add(1).min(max)] {
                    prop_assert_eq!(holding(&cover, value), usize::from(values.contains(value)), "{:x}", value);
                }
            }
            prop_assert!(cover.iter().all(|m| m.value & !m.mask == 0 && m.mask <= max));
            let size = |m: &Masked| 1_u128.checked_shl((max & !m.mask).count_ones());
            let covered = cover.iter().try_fold(0_u128, |sum, m| sum.checked_add(size(m)?));
            let wanted = values.ranges().iter().try_fold(0_u128, |sum, r| sum.checked_add((r.high - r.low).checked_add(1)?));
            prop_assert_eq!(covered, wanted);
        }

        /// A range never takes more than twice its width less two.
        #[test]
        fn ranges_stay_small(a in 0_u128..65536, b in 0_u128..65536) {
            prop_assert!(cover(&ValueSet::range(a, b), 16).len() <= 30);
        }
    }

    #[test]
    fn one_masked_value_where_one_is_enough() {
        let one = |value, mask| vec![Masked { value, mask }];
        assert_eq!(
            cover(&ValueSet::range(16384, 32767), 16),
            one(0x4000, 0xc000)
        );
        assert_eq!(cover(&ValueSet::full(128), 128), one(0, 0));
        assert_eq!(
            cover(&ValueSet::single(u128::MAX), 128),
            one(u128::MAX, u128::MAX)
        );
        let syn_set =
            ValueSet::from_ranges((0..256).filter(|v| v & 2 != 0).map(|v| Range::new(v, v)));
        assert_eq!(cover(&syn_set, 8), one(2, 2));
    }
}

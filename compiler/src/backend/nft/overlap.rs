//! Which boxes of a list have packets in common.
//!
//! A sweep along one field: boxes whose ranges of that field do not meet are never compared. The
//! field with the fewest meetings is taken, so that lists of prefixes or ports stay cheap.

use std::collections::{BTreeMap, BTreeSet};

use policy_lang::field::Field;
use policy_lang::values::{Range, max_value};

use crate::ir::FieldBox;

/// Most pairs that are compared; beyond, the caller has to do without knowing.
const MOST_PAIRS: usize = 4_000_000;

/// Which pairs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairs<'a> {
    /// All.
    Any,
    /// Only those of a box that is marked and one that is not.
    Across(&'a [bool]),
}

impl Pairs<'_> {
    fn side(self, at: usize) -> bool {
        match self {
            Self::Any => false,
            Self::Across(marks) => marks.get(at).copied().unwrap_or(false),
        }
    }

    fn other_side(self, side: bool) -> bool {
        matches!(self, Self::Across(_)) != side
    }
}

/// The pairs `(i, j)` with `i < j` of boxes that have a packet in common, in order; `None` if that
/// would take too long to find out.
pub(super) fn overlapping(boxes: &[&FieldBox], asked: Pairs<'_>) -> Option<Vec<(usize, usize)>> {
    let fields: BTreeSet<Field> = boxes
        .iter()
        .flat_map(|b| b.fields.keys().copied())
        .collect();
    let (meetings, field) = fields
        .into_iter()
        .map(|field| (meetings(&spans(boxes, field), asked), field))
        .min()?;
    if meetings > MOST_PAIRS {
        return None;
    }
    let mut found = Vec::new();
    let mut open: BTreeMap<bool, BTreeSet<(u128, usize)>> = BTreeMap::new();
    for (range, at) in spans(boxes, field) {
        let side = asked.side(at);
        for set in open.values_mut() {
            while set.first().is_some_and(|(high, _)| *high < range.low) {
                set.pop_first();
            }
        }
        for &(_, other) in open.entry(asked.other_side(side)).or_default().iter() {
            if let (Some(a), Some(b)) = (boxes.get(at), boxes.get(other))
                && at != other
                && overlap(a, b)
            {
                found.push((at.min(other), at.max(other)));
            }
        }
        open.entry(side).or_default().insert((range.high, at));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// The ranges of one field with the boxes that they belong to, by their low ends.
fn spans(boxes: &[&FieldBox], field: Field) -> Vec<(Range, usize)> {
    let everything = [Range::new(0, max_value(field.width()))];
    let mut spans: Vec<(Range, usize)> = boxes
        .iter()
        .enumerate()
        .flat_map(|(at, one)| {
            let ranges = one
                .fields
                .get(&field)
                .map_or(&everything[..], |v| v.ranges());
            ranges.iter().map(move |&range| (range, at))
        })
        .collect();
    spans.sort_unstable();
    spans
}

/// How many pairs of ranges meet.
fn meetings(spans: &[(Range, usize)], asked: Pairs<'_>) -> usize {
    let of = |side: bool| spans.iter().filter(move |(_, at)| asked.side(*at) == side);
    let highs = |side| {
        let mut highs: Vec<u128> = of(side).map(|(range, _)| range.high).collect();
        highs.sort_unstable();
        highs
    };
    // A pair of ranges is apart if one of them ends before the other begins.
    let apart = |first: bool, then: bool| -> usize {
        let ends = highs(first);
        of(then)
            .map(|(range, _)| ends.partition_point(|&high| high < range.low))
            .sum()
    };
    match asked {
        Pairs::Any => (spans.len() * spans.len().saturating_sub(1) / 2) - apart(false, false),
        Pairs::Across(_) => {
            of(true).count() * of(false).count() - apart(true, false) - apart(false, true)
        }
    }
}

fn overlap(a: &FieldBox, b: &FieldBox) -> bool {
    a.fields.iter().all(|(field, mine)| {
        b.fields
            .get(field)
            .is_none_or(|theirs| meet(mine.ranges(), theirs.ranges()))
    })
}

fn meet(a: &[Range], b: &[Range]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        if x.high < y.low {
            a.next();
        } else if y.high < x.low {
            b.next();
        } else {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy_lang::values::ValueSet;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = Vec<FieldBox>> {
        let set = proptest::collection::vec((0_u128..12, 0_u128..12), 1..3)
            .prop_map(|r| ValueSet::from_ranges(r.into_iter().map(|(a, b)| Range::new(a, b))));
        let fields =
            proptest::sample::subsequence(vec![Field::Ttl, Field::Sport, Field::Dport], 1..=3);
        let one = (fields, proptest::collection::vec(set, 3)).prop_map(|(fields, sets)| FieldBox {
            fields: fields.into_iter().zip(sets).collect(),
        });
        proptest::collection::vec(one, 0..10)
    }

    proptest! {
        /// The sweep finds what comparing each with each other finds.
        #[test]
        fn every_common_packet_is_found(
            boxes in boxes(),
            marks in proptest::collection::vec(any::<bool>(), 10),
            across in any::<bool>(),
        ) {
            let asked = if across { Pairs::Across(&marks) } else { Pairs::Any };
            let refs: Vec<&FieldBox> = boxes.iter().collect();
            let mut expected = Vec::new();
            for i in 0..boxes.len() {
                for j in i + 1..boxes.len() {
                    let wanted = !across || marks[i] != marks[j];
                    if wanted && boxes[i].intersection(&boxes[j]).is_some() {
                        expected.push((i, j));
                    }
                }
            }
            prop_assert_eq!(overlapping(&refs, asked).unwrap_or_default(), expected);
        }
    }
}

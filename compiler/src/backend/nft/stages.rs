//! The order in which rules are asked, when only the order of rules that overlap matters.
//!
//! In the text, verdicts alternate as the author likes. Two rules with different verdicts must keep
//! their order only if they have a packet in common; all others may be asked together, in one
//! lookup. So rules are gathered into as few stages as that allows, each of one verdict.

use std::collections::BTreeSet;

use policy_lang::Verdict;

use super::overlap::{Pairs, overlapping};
use crate::ir::{Block, FieldBox};

/// Boxes with one verdict, asked together.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    /// The verdict of all of them.
    pub(super) verdict: Verdict,
    /// The packets: those in any of these boxes.
    pub(super) boxes: Vec<&'a FieldBox>,
    /// Indices of the policy rules that they come from.
    pub(super) sources: BTreeSet<usize>,
}

struct Item<'a> {
    verdict: Verdict,
    one: &'a FieldBox,
    source: usize,
}

/// The stages of a block in the order in which they are asked. Boxes that decide as the default
/// does and stand in no other box's way are left out.
pub(super) fn stages(block: &Block) -> Vec<Stage<'_>> {
    let items: Vec<Item<'_>> = block
        .rules
        .iter()
        .flat_map(|rule| {
            rule.boxes.iter().map(|one| Item {
                verdict: rule.verdict,
                one,
                source: rule.source,
            })
        })
        .collect();
    let delays = delays(&items, block.default);
    let last = delays.iter().flatten().max().copied();
    let mut stages: Vec<Stage<'_>> = Vec::new();
    stages.resize_with(last.map_or(0, |last| last + 1), || Stage {
        verdict: block.default,
        boxes: Vec::new(),
        sources: BTreeSet::new(),
    });
    for (item, delay) in items.iter().zip(delays) {
        if let Some(stage) = delay.and_then(|delay| stages.get_mut(delay)) {
            stage.verdict = item.verdict;
            stage.boxes.push(item.one);
            stage.sources.insert(item.source);
        }
    }
    stages.retain(|stage| !stage.boxes.is_empty());
    stages.reverse();
    stages
}

/// How many stages must come after each item, or `None` if it is not needed.
///
/// Of two overlapping items with different verdicts, the earlier one gets the larger number. So of
/// all items that a packet is in, none with the largest number contradicts the first of the text.
fn delays(items: &[Item<'_>], default: Verdict) -> Vec<Option<usize>> {
    let marks: Vec<bool> = items.iter().map(|item| item.verdict == default).collect();
    let boxes: Vec<&FieldBox> = items.iter().map(|item| item.one).collect();
    if marks.iter().all(|mark| !mark) {
        return vec![Some(0); items.len()];
    }
    let Some(pairs) = overlapping(&boxes, Pairs::Across(&marks)) else {
        return delays_of_runs(&marks);
    };
    let mut delays = vec![None; items.len()];
    let mut pairs = pairs.into_iter().rev().peekable();
    for (at, like_default) in marks.iter().enumerate().rev() {
        let mut delay = (!like_default).then_some(0);
        while let Some((_, later)) = pairs.next_if(|(earlier, _)| *earlier == at) {
            let after = delays.get(later).copied().flatten().map(|d: usize| d + 1);
            delay = delay.max(after);
        }
        if let Some(slot) = delays.get_mut(at) {
            *slot = delay;
        }
    }
    delays
}

/// As if each item overlapped with every other: a stage is a run of equal verdicts in the text.
fn delays_of_runs(marks: &[bool]) -> Vec<Option<usize>> {
    let mut delay = None;
    let mut delays: Vec<Option<usize>> = marks
        .iter()
        .rev()
        .map(|&like_default| {
            delay = match delay {
                None => (!like_default).then_some(0),
                Some(d) if (d % 2 == 1) == like_default => Some(d),
                Some(d) => Some(d + 1),
            };
            delay
        })
        .collect();
    delays.reverse();
    delays
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;
    use policy_lang::field::Field;
    use policy_lang::values::{Range, ValueSet};
    use proptest::prelude::*;

    const SIDE: u128 = 8;

    fn block() -> impl Strategy<Value = Block> {
        let range = (0..SIDE, 0..SIDE).prop_map(|(a, b)| ValueSet::from_ranges([Range::new(a, b)]));
        let one = (range.clone(), range).prop_map(|(s, d)| FieldBox {
            fields: [(Field::Sport, s), (Field::Dport, d)].into(),
        });
        random::block(one)
    }

    fn holds(one: &FieldBox, sport: u128, dport: u128) -> bool {
        one.fields[&Field::Sport].contains(sport) && one.fields[&Field::Dport].contains(dport)
    }

    proptest! {
        #[test]
        fn stages_decide_as_the_rules_in_order(block in block()) {
            let stages = stages(&block);
            prop_assert!(stages.windows(2).all(|two| two[0].verdict != two[1].verdict));
            for (s, d) in (0..SIDE).flat_map(|s| (0..SIDE).map(move |d| (s, d))) {
                let ruled = block.rules.iter().find(|r| r.boxes.iter().any(|b| holds(b, s, d)));
                let staged = stages.iter().find(|g| g.boxes.iter().any(|b| holds(b, s, d)));
                prop_assert_eq!(
                    ruled.map_or(block.default, |r| r.verdict),
                    staged.map_or(block.default, |g| g.verdict),
                );
            }
        }

        #[test]
        fn runs_keep_the_order(marks in proptest::collection::vec(any::<bool>(), 0..12)) {
            let delays = delays_of_runs(&marks);
            for (i, j) in (0..marks.len()).flat_map(|j| (0..j).map(move |i| (i, j))) {
                if marks[i] != marks[j] && delays[j].is_some() {
                    prop_assert!(delays[i] > delays[j]);
                }
            }
        }
    }
}

//! Large blocks cut into parts by the leading bits of one field, so that a packet is only looked up
//! among the rules near it.
//!
//! What a set of intervals costs a packet grows with its elements (nft_set_pipapo.c), what a map from
//! single values costs does not (nft_set_hash.c). So the leading bits of an address or a port are
//! looked up in such a map, which leads to a chain with as much of the block as lies there. Inside of
//! a part the first rule that matches is the first of the block that does, whatever the verdicts.

use std::collections::{BTreeMap, BTreeSet};

use policy_lang::field::Field;
use policy_lang::values::{Range, ValueSet, max_value};

use super::tables::weight;
use crate::ir::{Block, FieldBox, FlatRule};

/// Up to so many elements are not worth a cut: measured, they cost as much as those of a part and the
/// map together.
const FEW: usize = 128;
/// A cut goes as deep as it takes for an element to have no more than so many in its part, on average,
const ENOUGH: usize = 64;
/// but makes at most so many parts.
const MOST_PARTS: usize = 1_024;
/// A range in more parts than these does not make parts, but is asked for in those that are there
/// anyhow, and behind them all.
const NARROW: u128 = 4;
/// All parts together have at most so many hundredths of the elements of the block. What is in each part
/// makes the proof long.
const MOST_COPIES: usize = 125;
/// Parts are cut again, but no deeper than this; the kernel allows sixteen chains.
pub(super) const DEEPEST: usize = 3;
/// The fields that may be cut: whole bytes of which a VM's rules have many values.
const FIELDS: [Field; 6] = [
    Field::Src4,
    Field::Dst4,
    Field::Src6,
    Field::Dst6,
    Field::Sport,
    Field::Dport,
];

/// A block in parts.
#[derive(Debug)]
pub(super) struct Cut {
    /// The field that tells the parts apart,
    pub(super) field: Field,
    /// without so many of its last bits.
    pub(super) free: u32,
    /// The parts, each with the values that it is about.
    pub(super) parts: Vec<(Range, Block)>,
    /// The block for packets that are in no part.
    pub(super) rest: Block,
}

/// Where to cut, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Choice {
    /// How many elements a part has, or the rest, on average over elements. All that is enough is alike.
    size: usize,
    parts: usize,
    field: Field,
    free: u32,
}

/// The block in parts, if it is large and falls apart.
pub(super) fn cut(block: &Block) -> Option<Cut> {
    let all = elements(block);
    if all <= FEW {
        return None;
    }
    let choice = FIELDS
        .into_iter()
        .filter_map(|field| Spans::new(block, field).choice(all))
        .min()?;
    Some(Cut::new(block, choice.field, choice.free))
}

/// How many elements a block has in sets of intervals.
fn elements(block: &Block) -> usize {
    let boxes = block.rules.iter().flat_map(|rule| &rule.boxes);
    boxes.map(weight).fold(0, usize::saturating_add)
}

/// The ranges of one field, each with the elements that come with it.
struct Spans {
    field: Field,
    ranges: Vec<(Range, usize)>,
    /// Elements that the field says nothing about.
    everywhere: usize,
}

impl Spans {
    fn new(block: &Block, field: Field) -> Self {
        let mut spans = Self {
            field,
            ranges: Vec::new(),
            everywhere: 0,
        };
        for one in block.rules.iter().flat_map(|rule| &rule.boxes) {
            match one.fields.get(&field) {
                None => spans.everywhere += weight(one),
                Some(values) => {
                    let ranges = values.ranges();
                    let each = weight(one).div_ceil(ranges.len().max(1));
                    spans
                        .ranges
                        .extend(ranges.iter().map(|&range| (range, each)));
                }
            }
        }
        spans
    }

    /// The best cut of a block with so many elements, if one is worth it.
    fn choice(&self, all: usize) -> Option<Choice> {
        let mut choices = Vec::new();
        for free in (0..self.field.width()).rev() {
            let (choice, copies) = self.without(free);
            if choice.parts > MOST_PARTS || copies > all.saturating_mul(MOST_COPIES) / 100 {
                break;
            }
            if choice.parts > 1 && choice.size <= all / 2 {
                choices.push(choice);
            }
            if choice.size <= ENOUGH {
                break;
            }
        }
        choices.into_iter().min()
    }

    /// What comes of a cut without so many bits, and the elements of all parts and the rest together.
    fn without(&self, free: u32) -> (Choice, usize) {
        let mut parts: BTreeMap<u128, usize> = BTreeMap::new();
        let (narrow, wide): (Vec<_>, Vec<_>) = self
            .ranges
            .iter()
            .partition(|(range, _)| is_narrow(*range, free));
        for (range, weight) in narrow {
            for value in range.low >> free..=range.high >> free {
                *parts.entry(value).or_default() += weight;
            }
        }
        let mut rest = 0;
        for (range, weight) in wide {
            rest += weight;
            for (_, sum) in parts.range_mut(range.low >> free..=range.high >> free) {
                *sum += weight;
            }
        }
        let sums = parts.values().chain([&rest]);
        let sums: Vec<usize> = sums.map(|sum| sum + self.everywhere).collect();
        let all: usize = sums.iter().sum();
        let squares: usize = sums.iter().map(|sum| sum.saturating_mul(*sum)).sum();
        let choice = Choice {
            size: (squares / all.max(1)).max(ENOUGH),
            parts: parts.len(),
            field: self.field,
            free,
        };
        (choice, all)
    }
}

fn is_narrow(range: Range, free: u32) -> bool {
    (range.high >> free) - (range.low >> free) < NARROW
}

impl Cut {
    fn new(block: &Block, field: Field, free: u32) -> Self {
        let boxes = block.rules.iter().flat_map(|rule| &rule.boxes);
        let values: BTreeSet<u128> = boxes
            .filter_map(|one| one.fields.get(&field))
            .flat_map(ValueSet::ranges)
            .filter(|range| is_narrow(**range, free))
            .flat_map(|range| range.low >> free..=range.high >> free)
            .collect();
        let empty = || Block {
            guard: block.guard,
            rules: Vec::new(),
            default: block.default,
        };
        let mut parts: BTreeMap<u128, Block> = values.iter().map(|&v| (v, empty())).collect();
        let mut rest = empty();
        for rule in &block.rules {
            for one in &rule.boxes {
                let Some(ranges) = one.fields.get(&field).map(ValueSet::ranges) else {
                    parts
                        .values_mut()
                        .for_each(|part| add(part, rule, one.clone()));
                    add(&mut rest, rule, one.clone());
                    continue;
                };
                let touched: BTreeSet<u128> = ranges
                    .iter()
                    .flat_map(|r| values.range(r.low >> free..=r.high >> free))
                    .copied()
                    .collect();
                for value in touched {
                    if let Some(part) = parts.get_mut(&value) {
                        add(part, rule, within(one, field, slab(value, free)));
                    }
                }
                // What is narrow lies in parts wholly.
                let wide = ranges.iter().filter(|range| !is_narrow(**range, free));
                let wide = ValueSet::from_ranges(wide.copied());
                if !wide.is_empty() {
                    let mut one = one.clone();
                    one.fields.insert(field, wide);
                    add(&mut rest, rule, one);
                }
            }
        }
        Self {
            field,
            free,
            parts: parts
                .into_iter()
                .map(|(value, part)| (slab(value, free), part.settled()))
                .collect(),
            rest,
        }
    }
}

/// The values of a part.
fn slab(value: u128, free: u32) -> Range {
    Range::new(value << free, value << free | max_value(free))
}

/// The box inside of a slab, without the field if it may be anything there.
fn within(one: &FieldBox, field: Field, slab: Range) -> FieldBox {
    let slab = ValueSet::from_ranges([slab]);
    let mut one = one.clone();
    if let Some(values) = one.fields.remove(&field) {
        let values = values.intersection(&slab);
        if values != slab {
            one.fields.insert(field, values);
        }
    }
    one
}

/// Adds a box of `rule` behind what the block has.
fn add(block: &mut Block, rule: &FlatRule, one: FieldBox) {
    match block.rules.last_mut() {
        Some(last) if last.source == rule.source => last.boxes.push(one),
        _ => block.rules.push(FlatRule {
            verdict: rule.verdict,
            boxes: vec![one],
            source: rule.source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;
    use crate::ir::{Guard, Shape};
    use policy_lang::Verdict;
    use proptest::prelude::*;

    const SIDE: u128 = 48;

    fn block() -> impl Strategy<Value = Block> {
        let range = (0..SIDE, 0..SIDE, 1_u128..9)
            .prop_map(|(a, b, length)| Range::new(a, if length < 8 { a + length } else { b }));
        let values = proptest::collection::vec(range, 1..4).prop_map(ValueSet::from_ranges);
        let values = proptest::option::weighted(0.8, values);
        let one = (values.clone(), values).prop_map(|(s, d)| FieldBox {
            fields: [(Field::Sport, s), (Field::Dport, d)]
                .into_iter()
                .filter_map(|(field, values)| Some((field, values?)))
                .collect(),
        });
        random::block(one)
    }

    fn decided(block: &Block, sport: u128, dport: u128) -> Verdict {
        let holds = |one: &FieldBox, field, value| {
            let values: Option<&ValueSet> = one.fields.get(&field);
            values.is_none_or(|values| values.contains(value))
        };
        let boxes = |rule: &&FlatRule| {
            let mut boxes = rule.boxes.iter();
            boxes.any(|b| holds(b, Field::Sport, sport) && holds(b, Field::Dport, dport))
        };
        let rule = block.rules.iter().find(boxes);
        rule.map_or(block.default, |rule| rule.verdict)
    }

    proptest! {
        #[test]
        fn parts_decide_as_the_whole(block in block(), free in 0_u32..7) {
            let cut = Cut::new(&block, Field::Sport, free);
            for (s, d) in (0..SIDE + 10).flat_map(|s| (0..SIDE + 10).map(move |d| (s, d))) {
                let part = cut.parts.iter().find(|(range, _)| range.contains(s));
                let there = part.map_or(&cut.rest, |(_, part)| part);
                prop_assert_eq!(decided(there, s, d), decided(&block, s, d));
            }
        }
    }

    /// Rules of a range of one field each, so many.
    fn row(field: Field, count: u128, step: u128, length: u128) -> Block {
        let rule = |n: u128| FlatRule {
            verdict: Verdict::Bypass,
            boxes: vec![FieldBox {
                fields: [(field, ValueSet::range(n * step, n * step + length))].into(),
            }],
            source: usize::try_from(n).unwrap_or_default(),
        };
        Block {
            guard: Guard {
                tagged: None,
                shape: Shape::Any,
            },
            rules: (0..count).map(rule).collect(),
            default: Verdict::Buffer,
        }
    }

    #[test]
    fn what_is_large_and_falls_apart_is_cut() {
        let cut = cut(&row(Field::Sport, 300, 200, 100)).expect("a cut");
        assert_eq!((cut.field, cut.free), (Field::Sport, 13));
        assert!(cut.parts.iter().all(|(_, part)| elements(part) <= ENOUGH));
        assert_eq!(elements(&cut.rest), 0);
    }

    #[test]
    fn what_is_small_exact_or_of_one_piece_is_left() {
        assert!(cut(&row(Field::Sport, 128, 200, 100)).is_none());
        assert!(cut(&row(Field::Sport, 300, 200, 0)).is_none());
        assert!(cut(&row(Field::Sport, 300, 1, 50_000)).is_none());
        assert!(cut(&row(Field::Ttl, 300, 2, 1)).is_none());
    }
}

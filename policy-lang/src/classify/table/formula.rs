//! Conditions as one kind of packet sees them, and what is left of them once a byte of the key is
//! known.
//!
//! Equal formulas are one, so that they are compared by number, and worked on once.

use std::collections::HashMap;
use std::rc::Rc;

use super::Shape;
use super::level::{Key, Levels, at_least, complement, is_full};
use crate::field::{Family, Field, Layer, NEXT_HEADER_FRAGMENT, Transport};
use crate::policy::{Condition, Media, Test, rtp_second_byte};
use crate::values::{Range, ValueSet, max_value};

/// The number of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(u32);

/// Holds for no packet.
pub(super) const NEVER: Id = Id(0);
/// Holds for every packet.
pub(super) const ALWAYS: Id = Id(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Formula {
    /// One of the two constants.
    Constant(bool),
    /// The part of the key from this byte on is in the set, which is neither empty nor full.
    In(u16, ValueSet),
    /// All of these, two or more.
    All(Box<[Id]>),
    /// Any of these, two or more.
    Any(Box<[Id]>),
}

/// What is left of a formula for the values of a byte: up to each value, from behind the one
/// before. The last value is 255.
pub(super) type Parts = Rc<[(u8, Id)]>;

/// All formulas so far.
#[derive(Debug)]
pub(super) struct Formulas {
    levels: Levels,
    known: HashMap<Rc<Formula>, Id>,
    all: Vec<Rc<Formula>>,
    /// The first byte of the key that each asks for.
    first: Vec<u16>,
    parts: Vec<Option<Parts>>,
    work: usize,
}

impl Formulas {
    pub(super) fn new() -> Self {
        let mut formulas = Self {
            levels: Levels::new(),
            known: HashMap::new(),
            all: Vec::new(),
            first: Vec::new(),
            parts: Vec::new(),
            work: 0,
        };
        for value in [false, true] {
            formulas.intern(Formula::Constant(value));
        }
        formulas
    }

    /// Steps of work done so far.
    pub(super) fn work(&self) -> usize {
        self.work
    }

    pub(super) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The first byte of the key that the formula asks for; the largest number if it asks nothing.
    pub(super) fn first(&self, id: Id) -> u16 {
        self.first.get(index(id)).copied().unwrap_or(u16::MAX)
    }

    fn intern(&mut self, formula: Formula) -> Id {
        if let Some(&id) = self.known.get(&formula) {
            return id;
        }
        let id = Id(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let first = match &formula {
            Formula::Constant(_) => u16::MAX,
            Formula::In(level, _) => *level,
            Formula::All(parts) | Formula::Any(parts) => {
                let first = parts.iter().map(|part| self.first(*part));
                first.min().unwrap_or(u16::MAX)
            }
        };
        let formula = Rc::new(formula);
        self.known.insert(Rc::clone(&formula), id);
        self.all.push(formula);
        self.first.push(first);
        self.parts.push(None);
        id
    }

    /// All of `ids` with `all`, else any of them.
    fn join(&mut self, all: bool, mut ids: Vec<Id>) -> Id {
        let (neutral, decisive) = if all {
            (ALWAYS, NEVER)
        } else {
            (NEVER, ALWAYS)
        };
        self.work += ids.len() + 1;
        if ids.contains(&decisive) {
            return decisive;
        }
        ids.retain(|id| *id != neutral);
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [] => neutral,
            [only] => *only,
            _ if all => self.intern(Formula::All(ids.into())),
            _ => self.intern(Formula::Any(ids.into())),
        }
    }

    /// What is left of a formula for each value of this byte of the key, which is the first one
    /// that it asks for, or one before that.
    pub(super) fn parts(&mut self, id: Id, level: u16) -> Parts {
        if self.first(id) != level {
            return Rc::new([(u8::MAX, id)]);
        }
        if let Some(Some(known)) = self.parts.get(index(id)) {
            return Rc::clone(known);
        }
        let formula = self.all.get(index(id)).map(Rc::clone);
        let parts = match formula.as_deref() {
            Some(Formula::In(_, set)) => self.cut(set, level),
            Some(Formula::All(ids)) => self.sweep(true, ids, level),
            Some(Formula::Any(ids)) => self.sweep(false, ids, level),
            Some(Formula::Constant(_)) | None => Rc::new([(u8::MAX, id)]),
        };
        self.work += parts.len();
        if let Some(place) = self.parts.get_mut(index(id)) {
            *place = Some(Rc::clone(&parts));
        }
        parts
    }

    /// Cuts a set by the first byte of its values.
    fn cut(&mut self, set: &ValueSet, level: u16) -> Parts {
        let rest = self.levels.get(level).map_or(0, |level| level.rest);
        let behind = max_value(rest);
        let mut runs: Vec<(u128, u128, Vec<Range>)> = Vec::new();
        let mut add = |first: u128, last: u128, range: Range| match runs.last_mut() {
            Some((f, l, ranges)) if (*f, *l) == (first, last) => ranges.push(range),
            _ => runs.push((first, last, vec![range])),
        };
        for range in set.ranges() {
            let (low, high) = (range.low >> rest, range.high >> rest);
            if low == high {
                add(
                    low,
                    low,
                    Range::new(range.low & behind, range.high & behind),
                );
                continue;
            }
            add(low, low, Range::new(range.low & behind, behind));
            if high - low > 1 {
                add(low + 1, high - 1, Range::new(0, behind));
            }
            add(high, high, Range::new(0, range.high & behind));
        }
        self.work += set.ranges().len();
        let mut parts = Vec::with_capacity(2 * runs.len() + 1);
        let mut next = 0_u128;
        for (first, last, ranges) in runs {
            if next < first {
                push(&mut parts, first - 1, NEVER);
            }
            let left = ValueSet::from_ranges(ranges);
            let left = if rest == 0 || left.is_full(rest) {
                ALWAYS
            } else {
                self.intern(Formula::In(level + 1, left))
            };
            push(&mut parts, last, left);
            next = last + 1;
        }
        if next <= u8::MAX.into() {
            push(&mut parts, u8::MAX.into(), NEVER);
        }
        parts.into()
    }

    /// What is left of several formulas together.
    fn sweep(&mut self, all: bool, ids: &[Id], level: u16) -> Parts {
        let each: Vec<Parts> = ids.iter().map(|id| self.parts(*id, level)).collect();
        let mut ends: Vec<u8> = each
            .iter()
            .flat_map(|p| p.iter().map(|part| part.0))
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let mut left: Vec<&[(u8, Id)]> = each.iter().map(|parts| &**parts).collect();
        let mut parts = Vec::with_capacity(ends.len());
        for end in ends {
            let mut now = Vec::with_capacity(left.len());
            for parts in &mut left {
                while let Some(((last, id), behind)) = parts.split_first() {
                    if *last >= end {
                        now.push(*id);
                        break;
                    }
                    *parts = behind;
                }
            }
            let joined = self.join(all, now);
            push(&mut parts, end.into(), joined);
        }
        parts.into()
    }

    /// The condition as packets of this shape see it; with `wanted` false its complement.
    pub(super) fn of(&mut self, condition: &Condition, shape: Shape, wanted: bool) -> Id {
        match condition {
            Condition::Always => constant(wanted),
            Condition::Test { test, .. } => self.test(test, shape, wanted),
            Condition::Not(inner) => self.of(inner, shape, !wanted),
            Condition::All(parts) | Condition::Any(parts) => {
                let all = matches!(condition, Condition::All(_)) == wanted;
                let ids = parts.iter().map(|part| self.of(part, shape, wanted));
                let ids = ids.collect();
                self.join(all, ids)
            }
        }
    }

    fn test(&mut self, test: &Test, shape: Shape, wanted: bool) -> Id {
        match test {
            Test::Tagged => constant(shape.tagged == wanted),
            Test::Ip(family) => constant((shape.family == Some(*family)) == wanted),
            Test::Fragment => match shape.family {
                Some(Family::V4) => {
                    let set = ValueSet::range(1, max_value(Field::FragmentBits.width()));
                    self.field(Field::FragmentBits, &set, shape, wanted)
                }
                Some(Family::V6) => {
                    let next = ValueSet::single(NEXT_HEADER_FRAGMENT.into());
                    self.field(Field::Protocol, &next, shape, wanted)
                }
                None => constant(!wanted),
            },
            Test::Field(field, set) => self.field(*field, set, shape, wanted),
            Test::EitherPort(set) => {
                let ports = [Field::Sport, Field::Dport];
                let ids = ports.map(|port| self.field(port, set, shape, wanted));
                self.join(!wanted, ids.to_vec())
            }
            Test::Media(media) => self.media(*media, &media.second_byte(), shape, wanted),
            Test::RtpPayloadType(types) => {
                self.media(Media::Rtp, &rtp_second_byte(types), shape, wanted)
            }
        }
    }

    fn media(&mut self, media: Media, second: &ValueSet, shape: Shape, wanted: bool) -> Id {
        let length = at_least(media.header_len());
        let ids = vec![
            self.part_of_key(Key::PayloadLength, &length, shape, wanted),
            self.part_of_key(
                Key::Field(Field::PayloadFirst),
                &media.first_byte(),
                shape,
                wanted,
            ),
            self.part_of_key(Key::Field(Field::PayloadSecond), second, shape, wanted),
        ];
        self.join(wanted, ids)
    }

    fn field(&mut self, field: Field, set: &ValueSet, shape: Shape, wanted: bool) -> Id {
        let asked = self.part_of_key(Key::Field(field), set, shape, wanted);
        // A payload may be too short for its first bytes.
        let bytes = match field {
            Field::PayloadFirst => 1,
            Field::PayloadSecond => 2,
            _ => return asked,
        };
        let there = self.part_of_key(Key::PayloadLength, &at_least(bytes), shape, wanted);
        self.join(wanted, vec![there, asked])
    }

    fn part_of_key(&mut self, key: Key, set: &ValueSet, shape: Shape, wanted: bool) -> Id {
        let family = shape.family.unwrap_or(Family::V4);
        let Some(level) = self.levels.first(key, family).filter(|_| shape.has(key)) else {
            return constant(!wanted);
        };
        if let Some(value) = shape.value(key) {
            return constant(set.contains(value) == wanted);
        }
        let set = if wanted {
            complement(key, &complement(key, set))
        } else {
            complement(key, set)
        };
        if set.is_empty() || is_full(key, &set) {
            return constant(!set.is_empty());
        }
        self.intern(Formula::In(level, set))
    }
}

impl Shape {
    /// Whether packets of this shape have this part of the key.
    fn has(self, key: Key) -> bool {
        let Key::Field(field) = key else {
            return self.transport == Some(Transport::Udp);
        };
        match field.layer() {
            Layer::Ethernet => true,
            Layer::Tag => self.tagged,
            Layer::Ip(wanted) => self
                .family
                .is_some_and(|family| wanted.is_none_or(|wanted| wanted == family)),
            Layer::Transport(any_of) => self.transport.is_some_and(|t| any_of.contains(&t)),
            Layer::Payload => self.transport == Some(Transport::Udp),
        }
    }

    /// The value that this part of the key has in every packet of this shape, if it is one.
    fn value(self, key: Key) -> Option<u128> {
        match key {
            Key::Field(Field::Ethertype) => self.family.map(|family| family.ethertype().into()),
            Key::Field(Field::Protocol) => self.transport.map(|t| t.protocol().into()),
            Key::Field(Field::FragmentBits) => self.transport.map(|_| 0),
            _ => None,
        }
    }
}

/// Adds a run of values; joins it with the one before if they have the same left.
fn push(parts: &mut Vec<(u8, Id)>, last: u128, id: Id) {
    let last = u8::try_from(last).unwrap_or(u8::MAX);
    match parts.last_mut() {
        Some((end, before)) if *before == id => *end = last,
        _ => parts.push((last, id)),
    }
}

fn constant(holds: bool) -> Id {
    if holds { ALWAYS } else { NEVER }
}

fn index(id: Id) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

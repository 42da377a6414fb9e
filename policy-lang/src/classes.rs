//! Sets of frames in the words of the language: the fewest classes, each of few terms.
//!
//! A set that conditions make is the same for all frames that come out alike in every test of
//! these conditions. So any frame of the set grows into a class: write down how each test comes
//! out for it, leave out every term that is not needed to stay within the set, and widen the values
//! of those that are left. Classes that the others cover are dropped again.

mod grow;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::field::{Family, Field};
use crate::policy::{Condition, Media, Policy, Test};
use crate::set::{PacketSet, Space, SpaceFull};
use crate::values::ValueSet;

pub use text::condition as in_the_language;

/// Most classes that a set is told in.
pub const MOST_CLASSES: usize = 64;

/// The tests that a set may be told in.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Per field, the values at which a test starts to come out differently.
    steps: BTreeMap<Field, BTreeSet<u128>>,
    media: BTreeSet<Media>,
    payload_types: BTreeSet<ValueSet>,
    families: BTreeSet<Family>,
    tagged: bool,
    fragment: bool,
}

/// Frames that a few terms describe.
#[derive(Clone, Debug)]
pub struct Class {
    /// The terms, all of which hold.
    pub terms: Vec<Term>,
    /// A frame of the set that is in this class and in no earlier one.
    pub frame: Vec<u8>,
}

/// One term of a class, or its opposite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The test.
    pub test: Test,
    /// Whether it has to hold, or not to.
    pub holds: bool,
}

/// A set in classes.
#[derive(Clone, Debug)]
pub struct Classes {
    /// The classes; each lies within the set, and without a rest they cover it.
    pub classes: Vec<Class>,
    /// A frame that is in none of them, if there were more than [`MOST_CLASSES`].
    pub rest: Option<Vec<u8>>,
}

impl Vocabulary {
    /// Adds the tests of a policy's rules.
    pub fn policy(&mut self, policy: &Policy) {
        for rule in &policy.rules {
            self.condition(&rule.condition);
        }
    }

    /// Adds the tests of a condition.
    pub fn condition(&mut self, condition: &Condition) {
        condition.tests().for_each(|(test, _)| self.test(test));
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Tagged => self.tagged = true,
            Test::Ip(family) => {
                self.families.insert(*family);
            }
            Test::Fragment => self.fragment = true,
            Test::Field(field, values) => self.step(*field, values),
            Test::EitherPort(values) => {
                self.step(Field::Sport, values);
                self.step(Field::Dport, values);
            }
            Test::Media(media) => {
                self.media.insert(*media);
            }
            Test::RtpPayloadType(types) => {
                self.payload_types.insert(types.clone());
            }
        }
    }

    fn step(&mut self, field: Field, values: &ValueSet) {
        let steps = self.steps.entry(field).or_default();
        for range in values.ranges() {
            steps.insert(range.low);
            steps.extend(range.high.checked_add(1));
        }
    }

    /// The values of `field` around `value` that no test tells from it.
    fn around(&self, field: Field, value: u128) -> ValueSet {
        let max = crate::values::max_value(field.width());
        let Some(steps) = self.steps.get(&field) else {
            return ValueSet::range(0, max);
        };
        let low = steps.range(..=value).next_back().copied().unwrap_or(0);
        let above = value
            .checked_add(1)
            .and_then(|from| steps.range(from..).next());
        let high = above.map_or(max, |next| (next - 1).min(max));
        ValueSet::range(low, high)
    }
}

impl Class {
    /// The class as a condition of the language.
    #[must_use]
    pub fn text(&self) -> String {
        text::class(self)
    }
}

/// Tells `set`, a part of `whole` that tests of `vocabulary` make, in classes: what of `whole` is in
/// none of them is not in `set`. What they say about frames outside of `whole` means nothing.
///
/// # Errors
///
/// [`SpaceFull`].
pub fn classes(
    space: &Space,
    set: &PacketSet,
    whole: &PacketSet,
    vocabulary: &Vocabulary,
) -> Result<Classes, SpaceFull> {
    let mut found: Vec<(Class, PacketSet)> = Vec::new();
    let mut left = space.intersection(set, &space.all())?;
    let outside = space.intersection(&space.minus(whole, set)?, &space.all())?;
    while found.len() < MOST_CLASSES
        && let Some(frame) = space.shortest(&left)?
    {
        let (class, covered) = grow::grow(space, [whole, &outside], vocabulary, frame)?;
        left = space.minus(&left, &covered)?;
        found.push((class, covered));
    }
    let rest = space.shortest(&left)?;
    Ok(Classes {
        classes: needed(space, set, found)?,
        rest,
    })
}

/// Leaves out the classes that the others cover, the earliest first: they were grown for less.
fn needed(
    space: &Space,
    set: &PacketSet,
    found: Vec<(Class, PacketSet)>,
) -> Result<Vec<Class>, SpaceFull> {
    let mut later = vec![space.none()];
    for (_, covered) in found.iter().rev() {
        let before = later.last().cloned().unwrap_or_else(|| space.none());
        later.push(space.union(&before, covered)?);
    }
    later.pop();
    let mut kept = Vec::new();
    let mut earlier = space.none();
    for (class, covered) in found {
        let others = space.union(&earlier, &later.pop().unwrap_or_else(|| space.none()))?;
        let alone = space.intersection(&space.minus(&covered, &others)?, set)?;
        if let Some(frame) = space.shortest(&alone)? {
            earlier = space.union(&earlier, &covered)?;
            kept.push(Class { frame, ..class });
        }
    }
    Ok(kept)
}

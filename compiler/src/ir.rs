//! The rule program: what every back end turns into rules of its own.
//!
//! A program is a list of blocks. The first block whose guard holds for a frame decides about it,
//! wholly: its rules are tried in order, and if none matches, its default counts. A guard says
//! which headers are there, so inside a block every field that a rule mentions can be read, and a
//! rule is nothing but value sets: no presence, no negation, no nesting.

use std::collections::BTreeMap;

use policy_lang::Verdict;
use policy_lang::field::{Family, Field, Transport};
use policy_lang::values::ValueSet;

/// Blocks in order; the last one has the guard [`Shape::Any`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The blocks. There is at least one.
    pub blocks: Vec<Block>,
}

/// What happens to the frames of one guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which frames the block decides, of those that no earlier block has taken.
    pub guard: Guard,
    /// The rules in order; the first that matches decides.
    pub rules: Vec<FlatRule>,
    /// The verdict if none matches.
    pub default: Verdict,
}

impl Block {
    /// The same without what stands behind a rule that matches everything.
    #[must_use]
    pub fn settled(mut self) -> Self {
        let everything = |rule: &FlatRule| rule.boxes.iter().any(FieldBox::is_everything);
        if let Some(at) = self.rules.iter().position(everything) {
            self.default = self.rules.get(at).map_or(self.default, |rule| rule.verdict);
            self.rules.truncate(at);
        }
        self
    }
}

/// Which frames a block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Only frames with (`Some(true)`) or without (`Some(false)`) the transparent 802.1Q tag.
    /// Either all guards of a program ask, or none does.
    pub tagged: Option<bool>,
    /// Which headers must be there.
    pub shape: Shape,
}

/// The headers that a frame must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A plain packet with the whole header of a transport, and bytes behind that header.
    Plain {
        /// The family of the IP header.
        family: Family,
        /// The transport.
        transport: Transport,
        /// How many bytes must follow the transport header; not 0 for UDP only.
        payload: usize,
    },
    /// A whole IP header of this family.
    Ip(Family),
    /// Any frame.
    Any,
}

/// A rule of a block: matches a packet that is in any of its boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatRule {
    /// What the rule decides.
    pub verdict: Verdict,
    /// The packets it matches. Never empty; boxes may overlap.
    pub boxes: Vec<FieldBox>,
    /// Index of the policy rule it comes from.
    pub source: usize,
}

/// A conjunction: every listed field has a value in its set. Fields not listed may be anything.
///
/// The sets are neither empty nor full.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldBox {
    /// The constrained fields.
    pub fields: BTreeMap<Field, ValueSet>,
}

impl FieldBox {
    /// Whether the box holds every packet of its block.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.fields.is_empty()
    }

    /// The packets in both boxes, or `None` if there are none.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let mut fields = self.fields.clone();
        for (field, values) in &other.fields {
            let both = match fields.get(field) {
                Some(mine) => mine.intersection(values),
                None => values.clone(),
            };
            if both.is_empty() {
                return None;
            }
            fields.insert(*field, both);
        }
        Some(Self { fields })
    }

    /// Whether every packet of `other` is in this box.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.fields.iter().all(|(field, values)| {
            other
                .fields
                .get(field)
                .is_some_and(|theirs| theirs.minus(values).is_empty())
        })
    }
}

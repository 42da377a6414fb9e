//! Sets of frames, exactly: which of all possible Ethernet frames a condition holds for.
//!
//! A set is a decision diagram over the bits of a frame. What a frame is to a set: its addresses,
//! whether it has the one transparent tag, the tag, the ethertype, how many bytes lie behind, and
//! the first [`NETWORK_BYTES`] of them. Nothing that the language or a back end can ask about lies
//! outside of that. The diagrams are OxiDD's; nobody outside this module sees one.
//!
//! A builder that reads a bit must first require that the frame is long enough to have it
//! ([`Space::at_least`]): then bits behind the end of a frame never matter.

mod known;
mod layout;
mod meaning;
mod values;
mod witness;

pub use layout::NETWORK_BYTES;

use std::fmt;

use oxidd::bcdd::{BCDDFunction, BCDDManagerRef};
use oxidd::{BooleanFunction, Function, Manager, ManagerRef};

use crate::field::{Base, ETHERTYPE_VLAN, Place, TAG_LEN};
use crate::packet::Packet;
use crate::values::{Range, ValueSet};
use known::{About, Known};
use layout::{Layout, Slot};

/// There is no room for the diagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceFull {
    /// They outgrew the nodes that were given to them. Try again with more.
    #[error("the packet sets need more than {0} diagram nodes")]
    Nodes(usize),
    /// The machine has no memory for the stack that they are worked on with, of so many bytes.
    #[error("there is no memory for a stack of {0} bytes")]
    Stack(usize),
}

/// The variable that oxidd takes the size of its stack from, in bytes. Its default is a gibibyte, of
/// which a policy uses little, and which a small dom0 does not have.
pub const STACK_SIZE: &str = "OXIDD_STACK_SIZE";

/// Whether the worker that oxidd is going to start can be started: oxidd itself would panic.
fn room_for_stack() -> Result<(), SpaceFull> {
    let given = std::env::var(STACK_SIZE);
    let bytes = given.ok().and_then(|text| text.parse().ok());
    let bytes = bytes.unwrap_or(1 << 30);
    let worker = std::thread::Builder::new().stack_size(bytes).spawn(|| ());
    let joined = worker.is_ok_and(|worker| worker.join().is_ok());
    if joined {
        Ok(())
    } else {
        Err(SpaceFull::Stack(bytes))
    }
}

/// Where packet sets live. Sets of different spaces must not be mixed.
pub struct Space {
    manager: BCDDManagerRef,
    nodes: usize,
    layout: Layout,
    variables: Vec<BCDDFunction>,
    none: PacketSet,
    all: PacketSet,
    known: Known,
}

/// A set of frames of one [`Space`].
#[derive(Clone, PartialEq, Eq)]
pub struct PacketSet {
    diagram: BCDDFunction,
}

/// Rules in first-match order folded into one: which frames they decide, and which they let pass.
///
/// Folding is associative, so that long lists are folded as a tree and stay fast.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The frames that some rule matches.
    pub matched: PacketSet,
    /// Those of them whose first match lets them pass.
    pub bypass: PacketSet,
}

impl Space {
    /// A space for up to `nodes` diagram nodes (each takes about 20 bytes once it is used).
    ///
    /// # Errors
    ///
    /// [`SpaceFull`] if not even the variables fit, or the stack.
    pub fn new(nodes: usize) -> Result<Self, SpaceFull> {
        let full = |_| SpaceFull::Nodes(nodes);
        room_for_stack()?;
        let manager = oxidd::bcdd::new_manager(nodes, (nodes / 4).max(1 << 12), 1);
        let layout = Layout::new();
        let count = layout.len();
        manager.with_manager_exclusive(|m| {
            m.add_vars(u32::try_from(count).unwrap_or(u32::MAX));
        });
        let (variables, none, all) = manager.with_manager_shared(|m| {
            let variables: Result<Vec<_>, _> = (0..u32::try_from(count).unwrap_or(u32::MAX))
                .map(|v| BCDDFunction::var(m, v))
                .collect();
            (variables, BCDDFunction::f(m), BCDDFunction::t(m))
        });
        let mut space = Self {
            manager,
            nodes,
            layout,
            variables: variables.map_err(full)?,
            none: PacketSet { diagram: none },
            all: PacketSet { diagram: all },
            known: Known::default(),
        };
        // A whole tag with ethertype 0x8100 is the transparent one: it never shows as an ethertype.
        let opaque_tag = space.intersection(
            &space.bits_in(
                Place {
                    base: Base::Type,
                    bit: 0,
                    width: 16,
                },
                &ValueSet::single(ETHERTYPE_VLAN.into()),
            )?,
            &space.at_least(TAG_LEN)?,
        )?;
        space.all =
            space.complement_of_bits(&space.intersection(&opaque_tag, &space.untagged()?)?)?;
        Ok(space)
    }

    /// The capacity of this space in diagram nodes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.nodes
    }

    /// Nodes in use now, counting what is no longer needed but not yet collected.
    #[must_use]
    pub fn nodes_in_use(&self) -> usize {
        self.manager
            .with_manager_shared(|m| m.approx_num_inner_nodes())
    }

    /// The empty set.
    #[must_use]
    pub fn none(&self) -> PacketSet {
        self.none.clone()
    }

    /// Every Ethernet frame, from 14 bytes on.
    #[must_use]
    pub fn all(&self) -> PacketSet {
        self.all.clone()
    }

    /// The frames with the transparent tag.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`] as with every operation here.
    pub fn tagged(&self) -> Result<PacketSet, SpaceFull> {
        self.slot(Slot::Tagged)
    }

    fn untagged(&self) -> Result<PacketSet, SpaceFull> {
        self.complement_of_bits(&self.tagged()?)
    }

    /// The frames with at least `bytes` bytes behind the Ethernet header and the transparent tag.
    ///
    /// Lengths of 65,535 bytes and more are one: nothing asks for a longer one.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn at_least(&self, bytes: usize) -> Result<PacketSet, SpaceFull> {
        self.known.or_make(About::AtLeast(bytes), || {
            let wanted = ValueSet::range(bytes.min(usize::from(u16::MAX)) as u128, u16::MAX.into());
            self.slots_in(&self.layout.length(), &wanted)
        })
    }

    /// The frames whose number of bytes behind the Ethernet header and the tag is in `lengths`.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn length_in(&self, lengths: &ValueSet) -> Result<PacketSet, SpaceFull> {
        let within = lengths.intersection(&ValueSet::full(16));
        let longer = lengths.max().is_some_and(|max| max > u128::from(u16::MAX));
        let set = if longer {
            within.union(&ValueSet::single(u16::MAX.into()))
        } else {
            within
        };
        self.slots_in(&self.layout.length(), &set)
    }

    /// The frames whose bits at `place` are a number in `values`, as far as they have these bits.
    ///
    /// The caller requires the length, the tag and the headers that give the bits their meaning.
    /// Bits from [`NETWORK_BYTES`] on are not known to a set; a place that reaches there is empty.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn bits_in(&self, place: Place, values: &ValueSet) -> Result<PacketSet, SpaceFull> {
        match self.layout.place(place) {
            Some(slots) => self.slots_in(&slots, values),
            None => Ok(self.none()),
        }
    }

    /// The frames whose bits at `place`, under `mask`, equal `value`.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn bits_masked(
        &self,
        place: Place,
        value: u128,
        mask: u128,
    ) -> Result<PacketSet, SpaceFull> {
        let Some(slots) = self.layout.place(place) else {
            return Ok(self.none());
        };
        let mut set = self.all();
        for (distance, slot) in slots.iter().rev().enumerate() {
            if mask >> distance & 1 == 1 {
                let bit = self.slot(*slot)?;
                let wanted = if value >> distance & 1 == 1 {
                    bit
                } else {
                    self.complement_of_bits(&bit)?
                };
                set = self.intersection(&set, &wanted)?;
            }
        }
        // A value with bits outside of its mask can never be met.
        Ok(
            if value & !mask & crate::values::max_value(place.width) == 0 {
                set
            } else {
                self.none()
            },
        )
    }

    /// The frames in either set.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn union(&self, a: &PacketSet, b: &PacketSet) -> Result<PacketSet, SpaceFull> {
        self.set(a.diagram.or(&b.diagram))
    }

    /// The frames in any of `sets`, joined as a tree.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn union_all(&self, sets: Vec<PacketSet>) -> Result<PacketSet, SpaceFull> {
        Ok(fold_tree(sets, |a, b| self.union(a, b))?.unwrap_or_else(|| self.none()))
    }

    /// The frames in both sets.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn intersection(&self, a: &PacketSet, b: &PacketSet) -> Result<PacketSet, SpaceFull> {
        self.set(a.diagram.and(&b.diagram))
    }

    /// The frames in the first set that are not in the second.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn minus(&self, a: &PacketSet, b: &PacketSet) -> Result<PacketSet, SpaceFull> {
        self.set(b.diagram.imp_strict(&a.diagram))
    }

    /// All frames that are not in the set.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn complement(&self, a: &PacketSet) -> Result<PacketSet, SpaceFull> {
        self.minus(&self.all, a)
    }

    /// Two lists of rules as one: what the first list matches, the second never sees.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn first_match(&self, first: &Decided, then: &Decided) -> Result<Decided, SpaceFull> {
        let later = self.minus(&then.bypass, &first.matched)?;
        Ok(Decided {
            matched: self.union(&first.matched, &then.matched)?,
            bypass: self.union(&first.bypass, &later)?,
        })
    }

    /// A whole list of rules as one, folded as a tree.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn first_match_all(&self, rules: Vec<Decided>) -> Result<Decided, SpaceFull> {
        let nothing = || Decided {
            matched: self.none(),
            bypass: self.none(),
        };
        Ok(fold_tree(rules, |a, b| self.first_match(a, b))?.unwrap_or_else(nothing))
    }

    /// Whether `frame` is in the set. Byte strings of fewer than 14 bytes are in no set.
    #[must_use]
    pub fn contains(&self, set: &PacketSet, frame: &[u8]) -> bool {
        let Some(values) = self.layout.encode(Packet::new(frame)) else {
            return false;
        };
        set.diagram.eval((0..).zip(values))
    }

    /// The complement over all bit strings, among them those that no frame has.
    fn complement_of_bits(&self, a: &PacketSet) -> Result<PacketSet, SpaceFull> {
        self.set(a.diagram.not())
    }

    fn slot(&self, slot: Slot) -> Result<PacketSet, SpaceFull> {
        let variable = self
            .layout
            .variable(slot)
            .and_then(|at| self.variables.get(at));
        Ok(variable.map_or_else(|| self.none(), |v| PacketSet { diagram: v.clone() }))
    }

    /// The bit strings whose `slots`, most significant first, are a number in `values`.
    fn slots_in(&self, slots: &[Slot], values: &ValueSet) -> Result<PacketSet, SpaceFull> {
        self.trie(slots, 0, values.ranges())
    }

    /// As [`Self::slots_in`] for the numbers that start at `low` and share its higher bits.
    fn trie(&self, slots: &[Slot], low: u128, ranges: &[Range]) -> Result<PacketSet, SpaceFull> {
        let high = low + crate::values::max_value(u32::try_from(slots.len()).unwrap_or(128));
        let first = ranges.partition_point(|range| range.high < low);
        let last = ranges.partition_point(|range| range.low <= high);
        let ranges = ranges.get(first..last).unwrap_or_default();
        match (ranges, slots.split_first()) {
            ([], _) | (_, None) if ranges.is_empty() => Ok(self.none()),
            ([only], _) if only.low <= low && high <= only.high => Ok(self.bits_all()),
            (_, None) => Ok(self.bits_all()),
            (_, Some((slot, rest))) => {
                let half = low + (high - low) / 2 + 1;
                let zero = self.trie(rest, low, ranges)?;
                let one = self.trie(rest, half, ranges)?;
                self.set(self.slot(*slot)?.diagram.ite(&one.diagram, &zero.diagram))
            }
        }
    }

    fn bits_all(&self) -> PacketSet {
        PacketSet {
            diagram: self.manager.with_manager_shared(|m| BCDDFunction::t(m)),
        }
    }

    fn set<E>(&self, made: Result<BCDDFunction, E>) -> Result<PacketSet, SpaceFull> {
        made.map(|diagram| PacketSet { diagram })
            .map_err(|_| SpaceFull::Nodes(self.nodes))
    }
}

impl PacketSet {
    /// Whether no frame is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.diagram.satisfiable()
    }

    /// Number of nodes of the set's diagram: how complicated the set is.
    #[must_use]
    pub fn complexity(&self) -> usize {
        self.diagram.node_count()
    }
}

/// Folds `items` pairwise, neighbours first, so that the operands stay of like size: the work of
/// joining decision diagrams grows with their sizes. `None` if there are no items.
///
/// # Errors
/// The first one of `join`.
pub fn fold_tree<T, E>(
    mut items: Vec<T>,
    join: impl Fn(&T, &T) -> Result<T, E>,
) -> Result<Option<T>, E> {
    while items.len() > 1 {
        let mut joined = Vec::with_capacity(items.len().div_ceil(2));
        let mut pairs = items.into_iter();
        while let Some(a) = pairs.next() {
            joined.push(match pairs.next() {
                Some(b) => join(&a, &b)?,
                None => a,
            });
        }
        items = joined;
    }
    Ok(items.pop())
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PacketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketSet")
            .field("empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! A table as sets of frames: what is proved about it is proved about the nodes that are walked.

use std::collections::BTreeMap;

use super::{Next, Node, Shape, Table};
use crate::classify::Decision;
use crate::field::Transport;
use crate::set::{PacketSet, Space, SpaceFull};
use crate::values::ValueSet;

/// What a table does to all frames of 14 bytes or more.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The frames that the table decides, by decision, in the order of the rules.
    pub by_table: Vec<(Decision, PacketSet)>,
    /// The frames that it leaves to the judge.
    pub by_judge: PacketSet,
}

/// The frames of each way out of a node, as far as they reach it.
type Ways = BTreeMap<Next, PacketSet>;

impl Table<'_> {
    /// Which frames the table decides how.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`] if the sets outgrow their space.
    pub fn decided(&self, space: &Space) -> Result<Decided, SpaceFull> {
        let mut nodes: Vec<Ways> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            // The children of a node were made before it.
            let ways = self.node(space, node, &nodes)?;
            nodes.push(ways);
        }
        let mut all: BTreeMap<Next, Vec<PacketSet>> = BTreeMap::new();
        for shape in Shape::all() {
            let Some(&root) = self.roots.get(shape.number()) else {
                continue;
            };
            let frames = shape.frames(space)?;
            for (way, set) in ways(space, root, &nodes) {
                let reached = space.intersection(&frames, &set)?;
                all.entry(way).or_default().push(reached);
            }
        }
        let mut frames_of = |way| space.union_all(all.remove(&way).unwrap_or_default());
        let mut by_table = Vec::with_capacity(self.decisions.len());
        for (decision, number) in self.decisions.iter().zip(0..) {
            by_table.push((*decision, frames_of(Next::decided(number))?));
        }
        Ok(Decided {
            by_table,
            by_judge: frames_of(Next::JUDGE)?,
        })
    }

    fn node(&self, space: &Space, node: &Node, before: &[Ways]) -> Result<Ways, SpaceFull> {
        let mut values: BTreeMap<Next, ValueSet> = BTreeMap::new();
        for value in 0..=node.read.mask {
            let child = self.children.get(node.start as usize + node.child(value));
            let child = child.copied().unwrap_or(Next::JUDGE);
            let known = values.entry(child).or_default();
            *known = known.union(&ValueSet::single(value.into()));
        }
        let mut all: BTreeMap<Next, Vec<PacketSet>> = BTreeMap::new();
        for (child, values) in values {
            let looked = looks_like(space, node, &values)?;
            for (way, set) in ways(space, child, before) {
                let reached = space.intersection(&looked, &set)?;
                all.entry(way).or_default().push(reached);
            }
        }
        let joined = all
            .into_iter()
            .map(|(way, sets)| Ok((way, space.union_all(sets)?)));
        joined.collect()
    }
}

/// The ways out from a place in the table.
fn ways(space: &Space, from: Next, nodes: &[Ways]) -> Ways {
    let of_node = match from.0 & Next::DECIDED {
        0 => nodes.get(from.0 as usize),
        _ => None,
    };
    let out = || BTreeMap::from([(from, space.all())]);
    of_node.cloned().unwrap_or_else(out)
}

/// The frames whose byte of the key is one of `values`.
fn looks_like(space: &Space, node: &Node, values: &ValueSet) -> Result<PacketSet, SpaceFull> {
    if let Some(place) = node.read.place() {
        return space.bits_in(place, values);
    }
    // Lengths count from behind the ethertype in a set.
    let begin = usize::from(node.read.at).saturating_sub(2);
    let mut sets = Vec::new();
    for range in values.ranges() {
        let from = space.at_least(begin.saturating_add(range.low as usize))?;
        sets.push(if range.high >= node.read.mask.into() {
            from
        } else {
            let longer = space.at_least(begin.saturating_add(range.high as usize + 1))?;
            space.minus(&from, &longer)?
        });
    }
    space.union_all(sets)
}

impl Shape {
    /// The frames that have this shape.
    fn frames(self, space: &Space) -> Result<PacketSet, SpaceFull> {
        let tagged = space.tagged()?;
        let headers = match (self.family, self.transport) {
            (Some(family), Some(transport)) => space.plain(family, transport, 0)?,
            (Some(family), None) => {
                let mut left = space.ip(family)?;
                for transport in Transport::ALL {
                    left = space.minus(&left, &space.plain(family, transport, 0)?)?;
                }
                left
            }
            (None, _) => {
                let mut left = space.all();
                for family in crate::field::Family::ALL {
                    left = space.minus(&left, &space.ip(family)?)?;
                }
                left
            }
        };
        if self.tagged {
            space.intersection(&headers, &tagged)
        } else {
            space.minus(&headers, &tagged)
        }
    }
}

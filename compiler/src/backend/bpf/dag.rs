//! The decision DAG: loads and comparisons, each kept once, so that what is equal is shared.
//!
//! An entry is a node that starts with a load or decides; comparisons are only ever reached with
//! the value loaded that they are about. So a comparison can be shared between values.

use std::collections::BTreeMap;

use policy_lang::Verdict;
use policy_lang::values::max_value;

/// A node's place in the DAG.
pub(super) type Id = usize;

/// What can be loaded into the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The length of the frame, without a tag that the kernel has taken off.
    Length,
    /// Whether the kernel has taken a tag off.
    TagPresent,
    /// The ethertype of that tag.
    TagKind,
    /// The control information of that tag.
    Tag,
    /// So many bytes of the frame: 1, 2 or 4.
    Bytes {
        /// Offset from the destination address.
        at: u32,
        /// How many.
        count: u32,
    },
}

/// A load, and what is made of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    /// Where the number comes from.
    pub(super) source: Source,
    /// The bits that count, or `None` for all.
    pub(super) mask: Option<u32>,
    /// How far it is shifted to the right then.
    pub(super) shift: u32,
}

impl Load {
    /// A number as it is.
    pub(super) const fn whole(source: Source) -> Self {
        Self {
            source,
            mask: None,
            shift: 0,
        }
    }
}

/// What is asked about the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Compare {
    /// Equal.
    Equal,
    /// Greater or equal, unsigned.
    AtLeast,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// The verdict.
    Return(Bypass),
    /// Load, then go on.
    Load(Load, Id),
    /// Compare with the number: where to go if it holds, and if not.
    Test(Compare, u32, Id, Id),
}

/// Whether the frame passes.
pub(super) type Bypass = bool;

/// The entry that holds: the first node of every DAG, and what a search leads to that finds nothing.
pub(super) const HOLD: Id = 0;

/// Singles that are tried one after the other rather than split further.
const FEW: usize = 4;

/// The nodes.
#[derive(Clone, Debug)]
pub(super) struct Dag {
    nodes: Vec<Node>,
    known: BTreeMap<Node, Id>,
}

impl Dag {
    /// Only [`HOLD`].
    pub(super) fn new() -> Self {
        let hold = Node::Return(false);
        Self {
            nodes: vec![hold],
            known: BTreeMap::from([(hold, HOLD)]),
        }
    }

    /// A node.
    pub(super) fn get(&self, id: Id) -> Option<Node> {
        self.nodes.get(id).copied()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn node(&mut self, node: Node) -> Id {
        let next = self.nodes.len();
        let id = *self.known.entry(node).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    /// The entry that decides.
    pub(super) fn verdict(&mut self, verdict: Verdict) -> Id {
        self.node(Node::Return(verdict == Verdict::Bypass))
    }

    /// The entry that loads, and goes on with `then`; `then` itself if it does not compare.
    pub(super) fn load(&mut self, load: Load, then: Id) -> Id {
        match self.get(then) {
            Some(Node::Test(..)) => self.node(Node::Load(load, then)),
            _ => then,
        }
    }

    /// A comparison of what is loaded.
    pub(super) fn test(&mut self, compare: Compare, number: u32, yes: Id, no: Id) -> Id {
        if yes == no {
            yes
        } else {
            self.node(Node::Test(compare, number, yes, no))
        }
    }

    /// Finds the run that a number is in: `words` are its parts from the highest on, `runs` the
    /// lowest number of each run, in ascending order from 0, and the entry that it leads to.
    pub(super) fn find(&mut self, words: &[(Load, u32)], runs: &[(u128, Id)]) -> Id {
        let Some(((load, _), lower)) = words.split_first() else {
            return runs.first().map_or(HOLD, |&(_, entry)| entry);
        };
        let below: u32 = lower.iter().map(|&(_, width)| width).sum();
        let mut tops: Vec<(u32, Id)> = Vec::new();
        let mut before: Option<Id> = None;
        for part in runs.chunk_by(|a, b| a.0 >> below == b.0 >> below) {
            let Some(&(first, _)) = part.first() else {
                continue;
            };
            let top = first >> below;
            let start = top << below;
            // The run before goes on into this part, unless a run starts with it.
            let mut inside: Vec<(u128, Id)> = before
                .filter(|_| first != start)
                .map(|entry| (0, entry))
                .into_iter()
                .collect();
            inside.extend(part.iter().map(|&(low, entry)| (low - start, entry)));
            let entry = match inside.as_slice() {
                [(_, only)] => *only,
                _ => self.find(lower, &inside),
            };
            let top = u32::try_from(top).unwrap_or(u32::MAX);
            if tops.last().is_some_and(|&(last, _)| last == top) {
                tops.pop();
            }
            tops.push((top, entry));
            before = part.last().map(|&(_, entry)| entry);
            if let (Some(entry), Some(next)) = (before, top.checked_add(1)) {
                tops.push((next, entry));
            }
        }
        let width = words.first().map_or(32, |&(_, width)| width);
        tops.retain(|&(low, _)| u128::from(low) <= max_value(width));
        tops.dedup_by(|next, kept| next.1 == kept.1);
        let found = self.search(&tops);
        self.load(*load, found)
    }

    /// A balanced search; numbers that stand alone between like runs are asked for by themselves.
    fn search(&mut self, runs: &[(u32, Id)]) -> Id {
        let [(_, first), rest @ ..] = runs else {
            return HOLD;
        };
        if rest.is_empty() {
            return *first;
        }
        if let Some(found) = self.singles(runs) {
            return found;
        }
        let (left, right) = runs.split_at(runs.len() / 2);
        let number = right.first().map_or(0, |&(low, _)| low);
        let yes = self.search(right);
        let no = self.search(left);
        self.test(Compare::AtLeast, number, yes, no)
    }

    fn singles(&mut self, runs: &[(u32, Id)]) -> Option<Id> {
        if runs.len() <= 2 || runs.len() > 2 * FEW + 1 {
            return None;
        }
        let single = |at: usize| {
            let (low, next) = (runs.get(at)?.0, runs.get(at + 1)?.0);
            Some(next - low == 1)
        };
        let wide = (0..runs.len()).find(|&at| single(at) != Some(true))?;
        let (_, other) = *runs.get(wide)?;
        let alone: Vec<usize> = (0..runs.len())
            .filter(|&at| runs.get(at).is_some_and(|&(_, entry)| entry != other))
            .collect();
        if alone.len() > FEW || !alone.iter().all(|&at| single(at) == Some(true)) {
            return None;
        }
        let mut found = other;
        for at in alone.into_iter().rev() {
            let (number, entry) = *runs.get(at)?;
            found = self.test(Compare::Equal, number, entry, found);
        }
        Some(found)
    }
}

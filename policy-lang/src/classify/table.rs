//! A policy compiled for speed: [`classify`] of millions of frames.
//!
//! The headers of a frame tell its [`Shape`]. Each shape has a decision diagram over the bytes of
//! the key, see `level`; a node looks at one byte, and no byte is looked at twice. A policy whose
//! diagrams would grow too large keeps what fits, and what does not fit is left to [`classify`]: so
//! a table always answers, and always with the judge's [`Decision`].
//!
//! That it does is tested on random policies and frames and on every capture (`tests/meaning`),
//! and can be proved for one policy: [`Table::decided`] is the table as sets of frames.

mod build;
mod formula;
mod level;
mod meaning;

use super::headers::Headers;
use super::{Decision, Reason, classify};
use crate::field::{Family, Transport};
use crate::policy::Policy;
use build::Builder;
use level::Read;

/// What the headers of a frame tell: which of them are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    tagged: bool,
    family: Option<Family>,
    transport: Option<Transport>,
}

/// Families and none of them, times transports and none of them, times two for the tag.
const SHAPES: usize = (Family::ALL.len() + 1) * (Transport::ALL.len() + 1) * 2;

impl Shape {
    /// All shapes that a frame can have; those of media first.
    fn all() -> impl Iterator<Item = Self> {
        let every = |tagged, family| {
            let transports = Transport::ALL.map(Some).into_iter().chain([None]);
            transports.map(move |transport| Self {
                tagged,
                family,
                transport,
            })
        };
        let families = [Some(Family::V4), Some(Family::V6), None];
        let places = [false, true].map(|tagged| families.map(|family| (tagged, family)));
        let all = places.into_iter().flatten();
        let all = all.flat_map(move |(tagged, family)| every(tagged, family));
        all.filter(|shape| match (shape.transport, shape.family) {
            (Some(transport), Some(family)) => transport.runs_over(family),
            (transport, _) => transport.is_none(),
        })
    }

    /// A number below [`SHAPES`].
    fn number(self) -> usize {
        let family = self.family.map_or(0, |family| family as usize + 1);
        let transport = self.transport.map_or(0, |transport| transport as usize + 1);
        (family * (Transport::ALL.len() + 1) + transport) * 2 + usize::from(self.tagged)
    }
}

impl From<&Headers<'_>> for Shape {
    fn from(headers: &Headers<'_>) -> Self {
        Self {
            tagged: headers.tagged(),
            family: headers.family(),
            transport: headers.transport(),
        }
    }
}

/// Where to go: to a node, or to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Next(u32);

impl Next {
    const DECIDED: u32 = 1 << 31;
    /// The table does not know.
    const JUDGE: Self = Self(u32::MAX);

    fn node(number: u32) -> Self {
        if number < Self::DECIDED {
            Self(number)
        } else {
            Self::JUDGE
        }
    }

    fn decided(decision: u32) -> Self {
        if decision < Self::DECIDED {
            Self(decision | Self::DECIDED)
        } else {
            Self::JUDGE
        }
    }
}

/// A look at one byte of the key.
#[derive(Clone, Copy, Debug)]
struct Node {
    read: Read,
    /// Whether there is a child for each value; otherwise for each run of values.
    in_table: bool,
    /// The last values of the runs but the last one; behind them the largest value.
    bounds: [u8; 4],
    /// The first child.
    start: u32,
}

impl Node {
    /// Which of its children stands for a value.
    #[inline]
    fn child(&self, value: u8) -> usize {
        if self.in_table {
            return usize::from(value);
        }
        let passed = self.bounds.map(|bound| usize::from(bound < value));
        passed.iter().sum()
    }
}

/// A policy compiled for speed.
#[derive(Clone, Debug)]
pub struct Table<'policy> {
    policy: &'policy Policy,
    roots: [Next; SHAPES],
    nodes: Vec<Node>,
    children: Vec<Next>,
    /// The decision of each rule, and behind them that of no rule.
    decisions: Vec<Decision>,
}

impl<'policy> Table<'policy> {
    /// Compiles a policy.
    #[must_use]
    pub fn new(policy: &'policy Policy) -> Self {
        let mut builder = Builder::new();
        let mut roots = [Next::JUDGE; SHAPES];
        for shape in Shape::all() {
            if let Some(root) = roots.get_mut(shape.number()) {
                *root = builder.root(policy, shape);
            }
        }
        let rules = policy.rules.iter().zip(0..);
        let of_rules = rules.map(|(rule, index)| Decision {
            verdict: rule.verdict,
            reason: Reason::Rule(index),
        });
        let of_none = Decision {
            verdict: policy.default,
            reason: match policy.default_span {
                Some(_) => Reason::Default,
                None => Reason::NothingMatched,
            },
        };
        Self {
            policy,
            roots,
            nodes: builder.nodes,
            children: builder.children,
            decisions: of_rules.chain([of_none]).collect(),
        }
    }

    /// Decides about `frame` as [`classify`] does.
    #[must_use]
    #[inline]
    pub fn classify(&self, frame: &[u8]) -> Decision {
        match Headers::of(frame) {
            Some(headers) => self.decide(&headers),
            None => classify(self.policy, frame),
        }
    }

    /// As [`Self::classify`], for a frame whose headers have been found.
    #[must_use]
    #[inline]
    pub fn decide(&self, headers: &Headers<'_>) -> Decision {
        self.walk(headers)
            .unwrap_or_else(|| classify(self.policy, headers.frame()))
    }

    #[inline]
    fn walk(&self, headers: &Headers<'_>) -> Option<Decision> {
        let mut next = *self.roots.get(Shape::from(headers).number())?;
        while next.0 & Next::DECIDED == 0 {
            let node = self.nodes.get(next.0 as usize)?;
            let value = node.read.of(headers.frame(), headers.type_at())?;
            next = *self.children.get(node.start as usize + node.child(value))?;
        }
        self.decisions
            .get((next.0 & !Next::DECIDED) as usize)
            .copied()
    }

    /// Bytes that the nodes take.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of_val(self.nodes.as_slice()) + size_of_val(self.children.as_slice())
    }

    /// Whether no frame of 14 bytes or more is left to [`classify`].
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let roots = Shape::all().filter_map(|shape| self.roots.get(shape.number()));
        self.children
            .iter()
            .chain(roots)
            .all(|next| *next != Next::JUDGE)
    }
}

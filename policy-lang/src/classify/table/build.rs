//! From rules to nodes.
//!
//! What remains to be decided is always a list: formulas in the order of their rules, each with its
//! decision, the last of which always holds. A node splits its list by the first byte of the key
//! that any formula asks for. Equal lists are one node.

use std::collections::HashMap;
use std::rc::Rc;

use super::formula::{ALWAYS, Formulas, Id, NEVER, Parts};
use super::{Next, Node, Shape};
use crate::policy::Policy;

/// A formula and the decision of its rule.
type Entry = (Id, u32);

/// Bytes that the nodes of a table may take.
const MOST_BYTES: usize = 32 << 20;

/// Steps of work that a table may take, of which one takes some ten nanoseconds.
const MOST_WORK: usize = 5_000_000;

/// Splits a node tells apart without a table of all 256 values.
const MOST_BOUNDS: usize = 4;

/// The nodes so far.
#[derive(Debug)]
pub(super) struct Builder {
    formulas: Formulas,
    known: HashMap<Rc<[Entry]>, Next>,
    pub(super) nodes: Vec<Node>,
    pub(super) children: Vec<Next>,
    pushed: usize,
    work_limit: usize,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            formulas: Formulas::new(),
            known: HashMap::new(),
            nodes: Vec::new(),
            children: Vec::new(),
            pushed: 0,
            work_limit: 0,
        }
    }

    /// Where packets of this shape begin.
    pub(super) fn root(&mut self, policy: &Policy, shape: Shape) -> Next {
        // No shape may take all of the work that is left from those that come after it.
        self.work_limit = self.work() + MOST_WORK.saturating_sub(self.work()) / 2;
        let mut list = Vec::new();
        for (rule, decision) in policy.rules.iter().zip(0..) {
            let id = self.formulas.of(&rule.condition, shape, true);
            if id != NEVER {
                list.push((id, decision));
            }
            if id == ALWAYS || self.work() > self.work_limit {
                break;
            }
        }
        // Behind the last rule stands the decision of none.
        list.push((
            ALWAYS,
            u32::try_from(policy.rules.len()).unwrap_or(u32::MAX),
        ));
        self.next(list)
    }

    fn work(&self) -> usize {
        self.pushed + self.formulas.work()
    }

    fn is_full(&self) -> bool {
        let bytes = self.nodes.len() * size_of::<Node>() + self.children.len() * size_of::<Next>();
        self.work() > self.work_limit || bytes > MOST_BYTES
    }

    /// The node that decides a list, or its decision.
    fn next(&mut self, list: Vec<Entry>) -> Next {
        if self.is_full() {
            return Next::JUDGE;
        }
        if let Some((ALWAYS, decision)) = list.first() {
            return Next::decided(*decision);
        }
        let list: Rc<[Entry]> = list.into();
        if let Some(known) = self.known.get(&list) {
            return *known;
        }
        let next = self.split(&list);
        self.known.insert(list, next);
        next
    }

    fn split(&mut self, list: &[Entry]) -> Next {
        let asked = list.iter().map(|(id, _)| self.formulas.first(*id));
        let level = asked.min().unwrap_or_default();
        let Some(read) = self.formulas.levels().get(level).map(|level| level.read) else {
            return Next::JUDGE;
        };
        let parts: Vec<(Parts, u32)> = list
            .iter()
            .map(|(id, decision)| (self.formulas.parts(*id, level), *decision))
            .collect();
        let (ends, lists) = self.classes(&parts, read.mask);
        if self.is_full() {
            return Next::JUDGE;
        }
        let children: Vec<Next> = lists.into_iter().map(|list| self.next(list)).collect();
        if let [only] = children.as_slice() {
            return *only;
        }
        self.add(read, &ends, &children)
    }

    /// The runs of values of a byte that leave the same, by their last values, and what they leave.
    fn classes(&mut self, parts: &[(Parts, u32)], most: u8) -> (Vec<u8>, Vec<Vec<Entry>>) {
        let mut is_end = [false; 256];
        for (last, _) in parts.iter().flat_map(|(parts, _)| parts.iter()) {
            if let Some(end) = is_end.get_mut(usize::from((*last).min(most))) {
                *end = true;
            }
        }
        let ends: Vec<u8> = (0..=u8::MAX)
            .zip(is_end)
            .filter(|(_, end)| *end)
            .map(|(value, _)| value)
            .collect();
        let mut lists: Vec<(bool, Vec<Entry>)> = vec![(false, Vec::new()); ends.len()];
        let mut open = lists.len();
        for (parts, decision) in parts {
            let mut class = 0;
            for (last, id) in parts.iter() {
                let behind = ends.partition_point(|end| end <= last);
                let run = lists.get_mut(class..behind).unwrap_or_default();
                class = behind;
                if *id == NEVER {
                    continue;
                }
                self.pushed += run.len();
                for (closed, list) in run.iter_mut().filter(|(closed, _)| !closed) {
                    list.push((*id, *decision));
                    if *id == ALWAYS {
                        *closed = true;
                        open -= 1;
                    }
                }
            }
            if open == 0 || self.is_full() {
                break;
            }
        }
        (ends, lists.into_iter().map(|(_, list)| list).collect())
    }

    fn add(&mut self, read: super::level::Read, ends: &[u8], children: &[Next]) -> Next {
        let start = u32::try_from(self.children.len());
        let number = u32::try_from(self.nodes.len());
        let (Ok(start), Ok(number)) = (start, number) else {
            return Next::JUDGE;
        };
        // Neighbours that lead to the same are one.
        let mut runs: Vec<(u8, Next)> = Vec::new();
        for (end, child) in ends.iter().zip(children) {
            match runs.last_mut() {
                Some((last, before)) if before == child => *last = *end,
                _ => runs.push((*end, *child)),
            }
        }
        if let [(_, only)] = runs.as_slice() {
            return *only;
        }
        let mut bounds = [u8::MAX; MOST_BOUNDS];
        let in_table = runs.len() > MOST_BOUNDS + 1;
        if in_table {
            let mut from = 0;
            for (end, child) in runs {
                let count = usize::from(end) + 1 - from;
                self.children.extend(std::iter::repeat_n(child, count));
                from += count;
            }
        } else {
            for ((end, child), bound) in runs.iter().zip(bounds.iter_mut().map(Some).chain([None]))
            {
                self.children.push(*child);
                if let Some(bound) = bound {
                    *bound = *end;
                }
            }
        }
        self.nodes.push(Node {
            read,
            in_table,
            bounds,
            start,
        });
        Next::node(number)
    }
}

//! The lines of a `tc -batch` file.
//!
//! Syntax as in iproute2's tc/f_u32.c; everything numeric is explicit. Handles are
//! `table:bucket:node` in hexadecimal, and nodes are tried in the order of their numbers, so every
//! node has one (without, the 2,049th of a table would be tried first). A root table gets its id
//! from the kernel: its nodes are named `::node`.

use std::fmt::Write as _;

use policy_lang::Verdict;

use super::flower::Group;
use super::pattern::{Filter, Pattern, Word};
use super::tree::{Item, Table};
use crate::backend::Target;

/// Ids that user tables may have; the kernel numbers root tables from 0x800 on.
pub(super) const MOST_TABLES: usize = 0x7ff;

/// The first pref of a chain. What tc lists of pref 1, the guard's while rules change, is of all chains.
const FIRST_IN_CHAIN: usize = 2;

/// The ids of user tables ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfTables;

/// Writes the batch from top to bottom.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    target: &'a Target,
    /// What to say about the rule of this index.
    about_rules: &'a [String],
    text: String,
    tables: usize,
    said: Option<usize>,
}

/// The pref that filters are written for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pref {
    /// Prefs are tried in ascending order.
    pub(super) number: usize,
    /// What tc compares the outermost ethertype with.
    pub(super) protocol: &'static str,
    /// A word that is in every frame that gets to this pref's tables.
    pub(super) anchor: i32,
}

impl<'a> Batch<'a> {
    /// A batch with the target's header.
    pub(super) fn new(target: &'a Target, about_rules: &'a [String]) -> Self {
        let mut batch = Self {
            target,
            about_rules,
            text: String::new(),
            tables: 0,
            said: None,
        };
        for line in target.header.iter().flat_map(|line| line.lines()) {
            batch.comment(line);
        }
        batch
    }

    /// The finished text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A comment. Must not contain line breaks.
    pub(super) fn comment(&mut self, line: &str) {
        self.said = None;
        self.line(format_args!("# {line}"));
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A table that decides about every frame that it gets: the items, then `otherwise`.
    pub(super) fn total_table(
        &mut self,
        pref: Pref,
        items: &[Item],
        otherwise: Verdict,
    ) -> Result<usize, OutOfTables> {
        let table = self.new_table(pref, 1)?;
        let nodes = self.bucket(pref, table, 0, items)?;
        self.comment(&format!("anything else: {}", otherwise.keyword()));
        let rest = anything(pref.anchor);
        let verdict = self.verdict(otherwise);
        self.node(pref, table, 0, nodes + 1, &rest, &verdict);
        Ok(table)
    }

    /// A chain of flower filters that decides about every frame that it gets: the groups, a pref each,
    /// then `otherwise`.
    pub(super) fn flower_chain(
        &mut self,
        chain: usize,
        protocol: &str,
        groups: &[Group],
        otherwise: Verdict,
    ) {
        let filter = format!("filter add dev {} ingress chain {chain}", self.target.vif);
        for (group, pref) in groups.iter().zip(FIRST_IN_CHAIN..) {
            let action = self.flower_action(group.verdict);
            for ((words, source), handle) in group.filters.iter().zip(1..) {
                self.about(*source);
                self.line(format_args!(
                    "{filter} pref {pref} protocol {protocol} handle {handle:#x} flower{words}{action}"
                ));
            }
        }
        self.comment(&format!("anything else: {}", otherwise.keyword()));
        let (pref, action) = (groups.len() + FIRST_IN_CHAIN, self.flower_action(otherwise));
        self.line(format_args!(
            "{filter} pref {pref} protocol all handle 0x1 flower{action}"
        ));
    }

    /// A flower filter without an action lets pass.
    fn flower_action(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Bypass => String::new(),
            Verdict::Buffer => format!(" action mirred egress redirect dev {}", self.target.ifb),
        }
    }

    /// What makes a filter hand a frame to a chain, for good.
    pub(super) fn go_to(chain: usize) -> String {
        format!("flowid :1 action goto chain {chain}")
    }

    /// The filters of a pref's root table, which all do the same.
    pub(super) fn root(&mut self, pref: Pref, patterns: &[Pattern], what: &str) {
        let add = self.add(pref);
        for (pattern, node) in patterns.iter().zip(1..) {
            let keys = keys(pattern, pref.anchor);
            self.line(format_args!("{add} handle ::{node:x} u32{keys} {what}"));
        }
    }

    /// What makes a filter look into a table.
    pub(super) fn link(table: usize) -> String {
        format!("link {table:x}:")
    }

    /// What makes a filter decide. Without `flowid` or an action a match would mean nothing.
    pub(super) fn verdict(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Bypass => String::from("flowid :1"),
            Verdict::Buffer => {
                let ifb = &self.target.ifb;
                format!("flowid :1 action mirred egress redirect dev {ifb}")
            }
        }
    }

    fn new_table(&mut self, pref: Pref, divisor: usize) -> Result<usize, OutOfTables> {
        if self.tables == MOST_TABLES {
            return Err(OutOfTables);
        }
        self.tables += 1;
        let (add, id) = (self.add(pref), self.tables);
        self.line(format_args!("{add} handle {id:x}: u32 divisor {divisor}"));
        Ok(id)
    }

    /// Writes a bucket and returns how many nodes it got.
    fn bucket(
        &mut self,
        pref: Pref,
        table: usize,
        bucket: usize,
        items: &[Item],
    ) -> Result<usize, OutOfTables> {
        for (at, item) in items.iter().enumerate() {
            match item {
                Item::Filter(filter) => self.filter(pref, table, bucket, at + 1, filter),
                Item::Table(inner) => self.table_below(pref, table, bucket, at + 1, inner)?,
            }
        }
        Ok(items.len())
    }

    /// Says which rule the next lines come from, if that is not said.
    fn about(&mut self, source: usize) {
        if self.said != Some(source) {
            if let Some(about) = self.about_rules.get(source) {
                self.comment(about);
            }
            self.said = Some(source);
        }
    }

    fn filter(&mut self, pref: Pref, table: usize, bucket: usize, node: usize, filter: &Filter) {
        self.about(filter.source);
        let verdict = self.verdict(filter.verdict);
        self.node(pref, table, bucket, node, &filter.pattern, &verdict);
    }

    /// A table below another one: made and filled first, so that it is whole when it is linked.
    fn table_below(
        &mut self,
        pref: Pref,
        table: usize,
        bucket: usize,
        node: usize,
        inner: &Table,
    ) -> Result<(), OutOfTables> {
        let window = inner.window;
        let id = self.new_table(pref, inner.buckets.len())?;
        for (value, items) in inner.buckets.iter().enumerate() {
            self.bucket(pref, id, value, items)?;
        }
        let (pattern, what) = if window.bits == 0 {
            (anything(pref.anchor), Self::link(id))
        } else {
            let (mask, at) = (window.mask(), window.at);
            let link = Self::link(id);
            let what = format!("{link} hashkey mask {mask:#010x} at {at}");
            (anything(at), what)
        };
        self.node(pref, table, bucket, node, &pattern, &what);
        Ok(())
    }

    fn node(
        &mut self,
        pref: Pref,
        table: usize,
        bucket: usize,
        node: usize,
        pattern: &Pattern,
        what: &str,
    ) {
        let keys = keys(pattern, pref.anchor);
        let add = self.add(pref);
        self.line(format_args!(
            "{add} handle {table:x}:{bucket:x}:{node:x} u32 ht {table:x}:{bucket:x}:{keys} {what}"
        ));
    }

    fn add(&self, pref: Pref) -> String {
        let Pref {
            number, protocol, ..
        } = pref;
        let vif = &self.target.vif;
        format!("filter add dev {vif} ingress pref {number} protocol {protocol}")
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A pattern that every frame with the word at `at` matches.
pub(super) fn anything(at: i32) -> Pattern {
    Pattern::default().and(Word {
        at,
        value: 0,
        mask: 0,
    })
}

/// The keys of a filter; tc wants at least one.
fn keys(pattern: &Pattern, anchor: i32) -> String {
    if pattern.is_everything() {
        return keys(&anything(anchor), anchor);
    }
    pattern
        .words()
        .iter()
        .fold(String::new(), |mut keys, Word { at, value, mask }| {
            let _ = match mask {
                0 => write!(keys, " match u32 0 0 at {at}"),
                _ => write!(keys, " match u32 {value:#010x} {mask:#010x} at {at}"),
            };
            keys
        })
}

//! What filters do to a frame, as functions of SMT-LIB: the kernel's walk as in [`super::meaning`].
//!
//! One function per rule says what becomes of a frame from this rule of its bucket on, so that the
//! last rule is defined first. What the names stand for is said in [`crate::smt::frame`].

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Action, Classifier, ETH_P_ALL, Filters, HashKey, Key, Knode, Pref};
use crate::readback::ReadbackError;
use crate::smt::fate::{CUT, HELD, LOST, NONE, PASSES, SORT, going};
use crate::smt::frame::shown;
use crate::smt::term::{all, any, constant, define};

/// `TC_U32_MAXDEPTH` of `linux/pkt_cls.h`.
const MAX_DEPTH: usize = 8;

/// Defines `rules-fate` and `rules-unsure`.
pub(super) fn rules(filters: &Filters, ifb: &str) -> Result<String, ReadbackError> {
    let mut writer = Writer {
        filters,
        ifb,
        text: String::from("\n; The filters of tc: each rule goes on with the next one.\n"),
        tables: BTreeSet::new(),
    };
    for (chain, prefs) in &filters.chains {
        writer.chain(&format!("tc-chain-{chain}"), prefs, true)?;
    }
    writer.chain("tc", &filters.prefs, false)?;
    let (mut fate, mut unsure) = (String::from("tc-fate"), vec![String::from("tc-unsure")]);
    for chain in filters.chains.keys() {
        let goes = format!("(= tc-fate {})", going(*chain));
        unsure.push(format!("(and {goes} tc-chain-{chain}-unsure)"));
        fate = format!("(ite {goes} tc-chain-{chain}-fate {fate})");
    }
    // Nothing decides about a frame that goes to a chain without filters.
    fate = format!(
        "(let ((end {fate})) (ite (bvuge end {}) {PASSES} end))",
        going(0)
    );
    let mut text = writer.text;
    text.push_str(&define("rules-fate", SORT, &fate));
    text.push_str(&define("rules-unsure", "Bool", &any(&unsure)));
    Ok(text)
}

struct Writer<'filters> {
    filters: &'filters Filters,
    ifb: &'filters str,
    text: String,
    /// Tables that are defined, by how many links lead there.
    tables: BTreeSet<(u16, usize)>,
}

impl Writer<'_> {
    fn define(&mut self, name: &str, sort: &str, term: &str) {
        self.text.push_str(&define(name, sort, term));
    }

    /// Defines what the preferences of a chain do: `NAME-fate` and `NAME-unsure`.
    fn chain(
        &mut self,
        name: &str,
        prefs: &BTreeMap<u16, Pref>,
        inner: bool,
    ) -> Result<(), ReadbackError> {
        let (mut fate, mut unsure) = (PASSES.to_owned(), String::from("false"));
        for (number, pref) in prefs.iter().rev() {
            let own = format!("{name}-pref-{number}");
            let Some((answer, doubt)) = self.answer(&own, pref, inner)? else {
                continue;
            };
            let asked = match pref.protocol {
                ETH_P_ALL => String::from("true"),
                protocol => format!("(= k-outermost {})", constant(protocol.into(), 16)),
            };
            let answer_name = format!("{own}-answer");
            self.define(
                &answer_name,
                SORT,
                &format!("(ite {asked} {answer} {NONE})"),
            );
            let goes_on = format!("(or (= {answer_name} {NONE}) (= {answer_name} {CUT}))");
            let later = format!("(ite {goes_on} {fate} {answer_name})");
            let doubts = format!("(or (and {asked} {doubt}) (and {goes_on} {unsure}))");
            (fate, unsure) = (format!("{own}-fate"), format!("{own}-unsure"));
            self.define(&fate, SORT, &later);
            self.define(&unsure, "Bool", &doubts);
        }
        self.define(&format!("{name}-fate"), SORT, &fate);
        self.define(&format!("{name}-unsure"), "Bool", &unsure);
        Ok(())
    }

    /// What a preference answers to frames that it is asked about, and for which kernels differ;
    /// `None` if it never answers.
    fn answer(
        &mut self,
        name: &str,
        pref: &Pref,
        inner: bool,
    ) -> Result<Option<(String, String)>, ReadbackError> {
        let sure = String::from("false");
        Ok(Some(match &pref.classifier {
            Classifier::Matchall { action: None, .. } | Classifier::Bpf { action: None, .. } => {
                return Ok(None);
            }
            Classifier::Matchall {
                action: Some(action),
                ..
            } => (self.fate(action), sure),
            Classifier::U32 { root } => {
                self.table(*root, 0)?;
                (self.bucket(*root, 0, 0), sure)
            }
            Classifier::Bpf {
                source,
                program,
                action: Some(action),
            } => {
                let (text, matches) = program.smt(name).map_err(|why| source.refuse(why))?;
                self.text.push_str(&text);
                (
                    format!("(ite {matches} {} {NONE})", self.fate(action)),
                    sure,
                )
            }
            Classifier::Flower { action, filters } => {
                let each: Vec<_> = filters.values().map(|one| one.keys.smt()).collect();
                let (known, matches): (Vec<_>, Vec<_>) = each.into_iter().unzip();
                let (matches, mut doubt) = (any(&matches), format!("(not {})", all(&known)));
                // A second change of chain: what it leads to is not worked out.
                let fate = if inner && matches!(action, Action::Goto(_)) {
                    doubt = format!("(or {doubt} {matches})");
                    LOST.to_owned()
                } else {
                    self.fate(action)
                };
                (format!("(ite {matches} {fate} {NONE})"), doubt)
            }
        }))
    }

    fn fate(&self, action: &Action) -> String {
        match action {
            Action::Pass => PASSES.to_owned(),
            Action::Redirect(device) if device == self.ifb => HELD.to_owned(),
            Action::Redirect(_) | Action::Drop => LOST.to_owned(),
            Action::Goto(chain) => going(*chain),
        }
    }

    /// The function of a bucket of a table that is defined.
    fn bucket(&self, table: u16, bucket: u8, depth: usize) -> String {
        let knodes = self.filters.tables.get(&table).map(|table| &table.knodes);
        let first = knodes.and_then(|knodes| {
            let mut rules = knodes.range((bucket, 0)..=(bucket, u16::MAX));
            rules.next()
        });
        first.map_or_else(
            || NONE.to_owned(),
            |((_, node), _)| rule(table, bucket, *node, depth),
        )
    }

    /// Defines all rules of a table that `depth` links lead to.
    fn table(&mut self, id: u16, depth: usize) -> Result<(), ReadbackError> {
        if !self.tables.insert((id, depth)) {
            return Ok(());
        }
        let filters = self.filters;
        let Some(table) = filters.tables.get(&id) else {
            return Ok(());
        };
        let mut behind: Option<(u8, String)> = None;
        for (&(bucket, node), knode) in table.knodes.iter().rev() {
            let next = behind.filter(|(other, _)| *other == bucket);
            let next = next.map_or_else(|| NONE.to_owned(), |(_, name)| name);
            let term = self.knode(knode, depth, &next)?;
            let name = rule(id, bucket, node, depth);
            self.define(&name, SORT, &term);
            behind = Some((bucket, name));
        }
        Ok(())
    }

    fn knode(
        &mut self,
        knode: &Knode,
        depth: usize,
        behind: &str,
    ) -> Result<String, ReadbackError> {
        let unknown = |offset| {
            let reason = format!("the bytes at {offset} are not known here");
            knode.source.refuse(reason)
        };
        let action = knode.action.as_ref();
        let mut term = action.map_or_else(|| behind.to_owned(), |action| self.fate(action));
        if let Some(link) = knode.link {
            let found = if depth == MAX_DEPTH {
                CUT.to_owned()
            } else {
                self.table(link, depth + 1)?;
                self.linked(link, depth + 1, knode.hash)
                    .ok_or_else(|| unknown(knode.hash.offset))?
            };
            term = format!("(let ((found {found})) (ite (= found {NONE}) {term} found))");
        }
        for key in knode.keys.iter().rev() {
            let matches = matching(*key).ok_or_else(|| unknown(key.offset))?;
            term = there(key.offset, &format!("(ite {matches} {term} {behind})"));
        }
        Ok(term)
    }

    /// What a table answers of which `hash` chooses the bucket; `None` if by bytes not known here.
    fn linked(&self, id: u16, depth: usize, hash: HashKey) -> Option<String> {
        let table = self.filters.tables.get(&id)?;
        if table.buckets == 1 {
            return Some(self.bucket(id, 0, depth));
        }
        // `u32_hash_fold`: a mask of 0 is not shifted.
        let shift = hash.mask.trailing_zeros() % u32::BITS;
        let buckets: BTreeSet<u8> = table.knodes.keys().map(|(bucket, _)| *bucket).collect();
        let mut term = NONE.to_owned();
        for bucket in buckets {
            let mask = u64::from(table.buckets - 1) << shift & u64::from(hash.mask);
            let value = u64::from(bucket) << shift;
            if value & !mask != 0 {
                continue;
            }
            let chosen = matching(Key {
                offset: hash.offset,
                mask: u32::try_from(mask).ok()?,
                value: u32::try_from(value).ok()?,
            })?;
            term = format!("(ite {chosen} {} {term})", self.bucket(id, bucket, depth));
        }
        Some(there(hash.offset, &term))
    }
}

fn rule(table: u16, bucket: u8, node: u16, depth: usize) -> String {
    format!("tc-{table:x}.{bucket:x}.{node:x}-{depth}")
}

/// `then` if a whole word lies at `offset`; else the walk through the preference ends.
fn there(offset: i32, then: &str) -> String {
    match u32::try_from(offset + 4) {
        Err(_) | Ok(0) => then.to_owned(),
        Ok(end) => format!(
            "(ite (bvuge k-len {}) {then} {CUT})",
            constant(end.into(), 16)
        ),
    }
}

/// Whether a key matches, byte by byte; `None` if it asks for a byte that is not known here.
fn matching(key: Key) -> Option<String> {
    let masks = key.mask.to_be_bytes().into_iter();
    let bytes = masks.zip(key.value.to_be_bytes()).zip(key.offset..);
    let tests = bytes.filter(|((mask, _), _)| *mask != 0);
    let tests = tests.map(|((mask, value), offset)| {
        let byte = shown(offset)?;
        let value = constant((value & mask).into(), 8);
        Some(match mask {
            0xff => format!("(= {byte} {value})"),
            _ => format!("(= (bvand {byte} {}) {value})", constant(mask.into(), 8)),
        })
    });
    Some(all(&tests.collect::<Option<Vec<_>>>()?))
}

//! What each name stands for.
//!
//! Definitions may come in any order, so they are read in the order of their dependencies, found
//! with an explicit stack: a chain of a hundred thousand names must not overflow ours.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, MAX_EXPANDED_DEPTH, constant};
use crate::diagnostic::{Code, Diagnostic};
use crate::policy::{Condition, Test};
use crate::syntax::tree::{
    self, Atom, Element, File, Let, LetValue, Name, Set, StatementKind, TermKind, Value, ValueKind,
};

/// A defined name.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a Name,
    pub(super) meaning: Meaning<'a>,
    used: bool,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Meaning<'a> {
    /// A condition, and how large it is, ranges counted.
    Condition { condition: Condition, size: usize },
    /// Values, and how deep the sets that it names nest.
    Set(Cow<'a, Set>, usize),
    /// Nothing usable; that has been reported.
    Unknown,
}

impl<'a> Checker<'a> {
    /// Reads all definitions.
    pub(super) fn define_names(&mut self, tree: &'a File) {
        let mut definitions: BTreeMap<&'a str, &'a Let> = BTreeMap::new();
        let mut order = Vec::new();
        for statement in &tree.statements {
            match &statement.kind {
                StatementKind::Let(definition) => {
                    let name = &definition.name;
                    if let Some(first) = definitions.get(name.text.as_str()) {
                        let message = format!("`{}` is defined twice", name.text);
                        self.twice(Code::DuplicateLet, message, first.name.span, name.span);
                    } else {
                        definitions.insert(&name.text, definition);
                        order.push(name.text.as_str());
                    }
                }
                StatementKind::Broken {
                    defines: Some(name),
                    ..
                } => {
                    self.broken_names.insert(name);
                }
                _ => {}
            }
        }
        for name in self.by_dependency(&definitions, &order) {
            if self.sink.is_full() {
                break;
            }
            if let Some(definition) = definitions.get(name) {
                let meaning = self.meaning(definition);
                let entry = Entry {
                    name: &definition.name,
                    meaning,
                    used: false,
                };
                self.names.insert(name, entry);
            }
        }
        self.count_uses_in_definitions(&definitions);
    }

    /// The names so that each comes after those it uses. Cycles are reported and their members
    /// entered as unknown.
    fn by_dependency(
        &mut self,
        definitions: &BTreeMap<&'a str, &'a Let>,
        order: &[&'a str],
    ) -> Vec<&'a str> {
        let mut sorted = Vec::new();
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut path: Vec<(&'a str, Vec<&'a str>)> = Vec::new();
        let mut on_path: BTreeSet<&str> = BTreeSet::new();
        for &start in order {
            let mut next = Some(start);
            loop {
                if let Some(name) = next.take()
                    && let Some(definition) = definitions.get(name)
                    && !done.contains(name)
                {
                    if on_path.insert(name) {
                        let mut uses = Vec::new();
                        names_in(definition, &mut uses);
                        path.push((name, uses));
                    } else {
                        let from = path.iter().position(|(on, _)| *on == name).unwrap_or(0);
                        let cycle: Vec<_> = path.iter().skip(from).map(|(on, _)| *on).collect();
                        self.report_cycle(&cycle, definitions);
                    }
                }
                match path.last_mut() {
                    None => break,
                    Some((name, uses)) => match uses.pop() {
                        Some(used) => next = Some(used),
                        None => {
                            sorted.push(*name);
                            done.insert(*name);
                            on_path.remove(*name);
                            path.pop();
                        }
                    },
                }
            }
        }
        sorted.retain(|name| !self.cyclic.contains(name));
        sorted
    }

    fn report_cycle(&mut self, cycle: &[&'a str], definitions: &BTreeMap<&'a str, &'a Let>) {
        let mut places = cycle
            .iter()
            .filter_map(|name| definitions.get(name))
            .map(|d| &d.name);
        let Some(first) = places.next() else { return };
        let message = format!("`{}` is defined by itself", first.text);
        let mut found = Diagnostic::new(Code::CyclicLet, message, first.span);
        for place in places.take(8) {
            found = found.also(place.span, format!("through `{}`", place.text));
        }
        self.sink.push(found);
        for &name in cycle {
            self.cyclic.insert(name);
            if let Some(definition) = definitions.get(name) {
                let entry = Entry {
                    name: &definition.name,
                    meaning: Meaning::Unknown,
                    used: true,
                };
                self.names.insert(name, entry);
            }
        }
    }

    fn meaning(&mut self, definition: &'a Let) -> Meaning<'a> {
        let name = &definition.name;
        if constant::kind_of(&name.text).is_some() {
            let message = format!("`{}` is the name of a built-in value", name.text);
            self.sink.push(
                Diagnostic::new(Code::BuiltInName, message, name.span)
                    .label("can't be redefined")
                    .help(format!("choose another name, such as `my-{}`", name.text)),
            );
            return Meaning::Unknown;
        }
        let set = match &definition.value {
            LetValue::Set(set) => Some(Cow::Borrowed(set)),
            LetValue::Condition(condition) => self.lone_set(condition),
        };
        if let Some(set) = set {
            let depth = 1 + self.depth_of(&set);
            return if self.is_too_deep(depth, name) {
                Meaning::Unknown
            } else {
                Meaning::Set(set, depth)
            };
        }
        let LetValue::Condition(condition) = &definition.value else {
            return Meaning::Unknown;
        };
        match self.condition(condition) {
            Some(condition) => {
                let (size, depth) = measure(&condition);
                if self.is_too_deep(depth, name) {
                    return Meaning::Unknown;
                }
                Meaning::Condition { condition, size }
            }
            None => Meaning::Unknown,
        }
    }

    /// A condition that is nothing but the name of a set or of a value is that set.
    fn lone_set(&mut self, condition: &tree::Condition) -> Option<Cow<'a, Set>> {
        let [conjunction] = condition.alternatives.as_slice() else {
            return None;
        };
        let [factor] = conjunction.factors.as_slice() else {
            return None;
        };
        let Atom::Term(term) = &factor.atom else {
            return None;
        };
        let TermKind::Name(text) = &term.kind else {
            return None;
        };
        let entry = self.names.get(text.as_str());
        let is_set = match entry {
            Some(entry) => matches!(entry.meaning, Meaning::Set(..)),
            None => constant::kind_of(text).is_some(),
        };
        let value = Value {
            span: term.span,
            kind: ValueKind::Word,
            text: text.clone(),
        };
        (is_set && factor.negations == 0).then_some(Cow::Owned(Set::Element(Element::Value(value))))
    }

    /// How deep the named sets inside a set nest.
    fn depth_of(&self, set: &Set) -> usize {
        match set {
            Set::Braces { items, .. } => {
                1 + items
                    .iter()
                    .map(|item| self.depth_of(&item.set))
                    .max()
                    .unwrap_or(0)
            }
            Set::Element(Element::Value(value)) => match self.names.get(value.text.as_str()) {
                Some(Entry {
                    meaning: Meaning::Set(_, depth),
                    ..
                }) => *depth,
                _ => 0,
            },
            Set::Element(Element::Range(..)) => 0,
        }
    }

    fn is_too_deep(&mut self, depth: usize, name: &Name) -> bool {
        if depth > MAX_EXPANDED_DEPTH {
            let message = format!(
                "`{}` nests too deep once its names are filled in",
                name.text
            );
            self.sink.push(
                Diagnostic::new(Code::ExpansionTooLarge, message, name.span)
                    .help(format!("at most {MAX_EXPANDED_DEPTH} levels")),
            );
        }
        depth > MAX_EXPANDED_DEPTH
    }

    /// Names that a misspelt word may have been meant for; not all of very many, which takes long.
    pub(super) fn names_to_suggest(&self) -> impl Iterator<Item = &'a str> {
        self.names.keys().copied().take(1000)
    }

    /// Notes that a name is used.
    pub(super) fn mark_used(&mut self, name: &str) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.used = true;
        }
    }

    /// A set is read only where it is used, so names in definitions of sets have not been seen.
    fn count_uses_in_definitions(&mut self, definitions: &BTreeMap<&'a str, &'a Let>) {
        for definition in definitions.values() {
            let mut uses = Vec::new();
            names_in(definition, &mut uses);
            uses.into_iter().for_each(|name| self.mark_used(name));
        }
    }

    /// Warns of names that nothing uses, and reports what is wrong with their values.
    pub(super) fn report_unused(&mut self, tree: &'a File) {
        let broken = |s: &tree::Statement| matches!(s.kind, StatementKind::Broken { .. });
        let complete = !self.sink.is_full() && !tree.statements.iter().any(broken);
        let names: Vec<_> = self.names.keys().copied().collect();
        let read: BTreeSet<_> = self.typed.keys().map(|(name, _)| *name).collect();
        for name in names {
            let Some(entry) = self.names.get(name) else {
                continue;
            };
            let place = entry.name;
            let used = entry.used || matches!(entry.meaning, Meaning::Unknown);
            if let Meaning::Set(set, _) = &entry.meaning
                && !read.contains(name)
            {
                let set = set.clone();
                self.check_spelling(&set);
            }
            if !used && complete {
                let message = format!("`{name}` is never used");
                self.sink.push(
                    Diagnostic::new(Code::UnusedLet, message, place.span)
                        .label("defined here")
                        .help("delete it, or use it in a rule"),
                );
            }
        }
    }
}

/// Size and depth of a condition, ranges counted.
fn measure(condition: &Condition) -> (usize, usize) {
    let of = |parts: &[Condition]| {
        parts
            .iter()
            .map(measure)
            .fold((1, 1), |(size, depth), (s, d)| (size + s, depth.max(d + 1)))
    };
    match condition {
        Condition::Always => (1, 1),
        Condition::Test { test, .. } => match test {
            Test::Field(_, set) | Test::EitherPort(set) | Test::RtpPayloadType(set) => {
                (1 + set.ranges().len(), 1)
            }
            Test::Tagged | Test::Ip(_) | Test::Fragment | Test::Media(_) => (1, 1),
        },
        Condition::Not(inner) => {
            let (size, depth) = measure(inner);
            (size + 1, depth + 1)
        }
        Condition::All(parts) | Condition::Any(parts) => of(parts),
    }
}

/// All words in a definition that may be names.
fn names_in<'a>(definition: &'a Let, out: &mut Vec<&'a str>) {
    match &definition.value {
        LetValue::Condition(condition) => names_in_condition(condition, out),
        LetValue::Set(set) => names_in_set(set, out),
    }
}

fn names_in_condition<'a>(condition: &'a tree::Condition, out: &mut Vec<&'a str>) {
    for factor in condition.alternatives.iter().flat_map(|one| &one.factors) {
        match &factor.atom {
            Atom::Group { condition, .. } => names_in_condition(condition, out),
            Atom::Term(term) => match &term.kind {
                TermKind::Name(text) => out.push(text),
                TermKind::Field { set, .. } => names_in_set(set, out),
                TermKind::Shape(_) => {}
            },
        }
    }
}

fn names_in_set<'a>(set: &'a Set, out: &mut Vec<&'a str>) {
    match set {
        Set::Braces { items, .. } => items.iter().for_each(|item| names_in_set(&item.set, out)),
        Set::Element(Element::Value(value)) if value.kind == ValueKind::Word => {
            out.push(&value.text);
        }
        Set::Element(_) => {}
    }
}

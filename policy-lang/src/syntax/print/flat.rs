//! A part of a statement on one line, if it fits and has no comments.

use super::super::tree::{
    Atom, Condition, Conjunction, Element, Factor, Item, Set, Term, TermKind,
};

/// A line under construction that gives up once it is too long. Every function returns `None`
/// then, or on a comment, which has no place inside a line.
#[derive(Debug)]
pub(super) struct Flat {
    text: String,
    room: usize,
}

/// A string in quotes, as the grammar reads it.
pub(super) fn escape(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Flat {
    /// What `write` writes, if it takes at most `room` bytes.
    pub(super) fn of(room: usize, write: impl FnOnce(&mut Self) -> Option<()>) -> Option<String> {
        let mut flat = Self {
            text: String::new(),
            room,
        };
        write(&mut flat)?;
        Some(flat.text)
    }

    fn write(&mut self, text: &str) -> Option<()> {
        self.text.push_str(text);
        (self.text.len() <= self.room).then_some(())
    }

    pub(super) fn condition(&mut self, condition: &Condition) -> Option<()> {
        for (at, conjunction) in condition.alternatives.iter().enumerate() {
            self.write(if at == 0 { "" } else { " or " })?;
            self.conjunction(conjunction)?;
        }
        Some(())
    }

    pub(super) fn conjunction(&mut self, conjunction: &Conjunction) -> Option<()> {
        self.factors(&conjunction.factors)
    }

    pub(super) fn factors(&mut self, factors: &[Factor]) -> Option<()> {
        for (at, factor) in factors.iter().enumerate() {
            self.write(if at == 0 { "" } else { " " })?;
            self.write(if factor.and { "and " } else { "" })?;
            for _ in 0..factor.negations {
                self.write("not ")?;
            }
            match &factor.atom {
                Atom::Group { condition, end } if end.is_empty() => {
                    self.write("(")?;
                    self.condition(condition)?;
                    self.write(")")?;
                }
                Atom::Group { .. } => return None,
                Atom::Term(term) => self.term(term)?,
            }
        }
        Some(())
    }

    fn term(&mut self, term: &Term) -> Option<()> {
        if !term.comments.is_empty() {
            return None;
        }
        match &term.kind {
            TermKind::Shape(shape) => self.write(shape.as_str()),
            TermKind::Name(name) => self.write(name),
            TermKind::Field { field, set, .. } => {
                self.write(field.as_str())?;
                self.write(" ")?;
                self.set(set)
            }
        }
    }

    pub(super) fn set(&mut self, set: &Set) -> Option<()> {
        match set {
            Set::Element(Element::Value(value)) => self.write(&value.text),
            Set::Element(Element::Range(low, high)) => {
                self.write(&low.text)?;
                self.write("-")?;
                self.write(&high.text)
            }
            Set::Braces { items, end, .. } => {
                if !end.is_empty() {
                    return None;
                }
                if items.is_empty() {
                    return self.write("{}");
                }
                self.write("{ ")?;
                for (at, Item { comments, set }) in items.iter().enumerate() {
                    if !comments.is_empty() {
                        return None;
                    }
                    self.write(if at == 0 { "" } else { ", " })?;
                    self.set(set)?;
                }
                self.write(" }")
            }
        }
    }
}

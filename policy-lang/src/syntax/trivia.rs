//! Hangs the comments inside a statement on the terms, values and settings that they stand at.
//!
//! A comment behind one of those on its line belongs to it; any other belongs to what comes next,
//! up to the closing bracket. What then is left goes to the statement as a whole. The result is
//! such that printing the tree and reading it again gives the same tree.

use super::split::comment_text;
use super::tree::{
    Atom, Comment, Comments, Condition, Item, LetValue, Set, Statement, StatementKind, Term,
    TermKind,
};
use crate::source::{SourceFile, Span};

/// A thing that a comment can hang on.
enum Anchor<'a> {
    /// A term, value or setting with nothing inside: comments above it and behind it.
    Leaf(Span, &'a mut Comments),
    /// What stands in front of an opening brace: comments above it only.
    Head(Span, &'a mut Comments),
    /// A closing bracket: comments above it.
    Close(Span, &'a mut Vec<String>),
}

/// Where an anchor is, without holding on to the tree.
struct Place {
    end: usize,
    leaf: bool,
}

/// Puts the comments at `spans` into the statement.
pub(super) fn attach(statement: &mut Statement, spans: &[Span], source: &SourceFile) {
    if spans.is_empty() {
        return;
    }
    let end = statement.span.end;
    let mut places = Vec::new();
    visit(&mut statement.kind, end, &mut |anchor| {
        places.push(match anchor {
            Anchor::Leaf(span, _) => Place {
                end: span.end,
                leaf: true,
            },
            Anchor::Head(span, _) | Anchor::Close(span, _) => Place {
                end: span.end,
                leaf: false,
            },
        });
    });
    let broken = matches!(statement.kind, StatementKind::Broken { .. });
    let mut above = vec![Vec::new(); places.len()];
    let mut behind = vec![None; places.len()];
    let mut loose = Vec::new();
    for &span in spans {
        let text = comment_text(source, span);
        let next = places.partition_point(|place| place.end <= span.start);
        let previous = next.checked_sub(1);
        let same_line = previous.and_then(|at| places.get(at)).is_some_and(|place| {
            let between = source.slice(Span::new(place.end, span.start));
            place.leaf && !between.contains('\n')
        });
        let slot = previous
            .filter(|_| same_line)
            .and_then(|at| behind.get_mut(at));
        if let Some(slot @ None) = slot {
            *slot = Some(text);
        } else if let Some(list) = above.get_mut(next) {
            list.push(text);
        } else if !broken || span.start >= end {
            loose.push(text);
        }
    }
    // Behind the last leaf comes only the end of the statement, and there it is printed.
    let last = behind.last_mut().and_then(Option::take);
    for text in last.into_iter().chain(loose) {
        if statement.after.is_none() {
            statement.after = Some(text);
        } else {
            statement.before.push(Comment { gap: false, text });
        }
    }
    let mut taken = above.into_iter().zip(behind);
    visit(&mut statement.kind, end, &mut |anchor| {
        let Some((before, after)) = taken.next() else {
            return;
        };
        match anchor {
            Anchor::Leaf(_, comments) | Anchor::Head(_, comments) => {
                *comments = Comments { before, after };
            }
            Anchor::Close(_, list) => *list = before,
        }
    });
}

type See<'f> = &'f mut dyn FnMut(Anchor<'_>);

/// Shows all anchors of a statement in the order of the text.
fn visit(kind: &mut StatementKind, end: usize, see: See<'_>) {
    match kind {
        StatementKind::Rule(rule) => {
            if let Some(condition) = &mut rule.condition {
                visit_condition(condition, see);
            }
        }
        StatementKind::Expect(expect) => visit_condition(&mut expect.condition, see),
        StatementKind::Let(definition) => match &mut definition.value {
            LetValue::Condition(condition) => visit_condition(condition, see),
            LetValue::Set(set) => visit_inside(set, see),
        },
        StatementKind::Gate(gate) => {
            for setting in &mut gate.settings {
                see(Anchor::Leaf(setting.span, &mut setting.comments));
            }
            see(Anchor::Close(last_byte(end), &mut gate.end));
        }
        StatementKind::Default(_) | StatementKind::Allow(_) | StatementKind::Broken { .. } => {}
    }
}

fn last_byte(end: usize) -> Span {
    Span::new(end.saturating_sub(1), end)
}

fn visit_condition(condition: &mut Condition, see: See<'_>) {
    let conjunctions = condition.alternatives.iter_mut();
    for factor in conjunctions.flat_map(|conjunction| &mut conjunction.factors) {
        match &mut factor.atom {
            Atom::Term(term) => visit_term(term, see),
            Atom::Group { condition, end } => {
                visit_condition(condition, see);
                see(Anchor::Close(last_byte(factor.span.end), end));
            }
        }
    }
}

fn visit_term(term: &mut Term, see: See<'_>) {
    match &mut term.kind {
        TermKind::Field {
            head,
            set: set @ Set::Braces { .. },
            ..
        } => {
            see(Anchor::Head(*head, &mut term.comments));
            visit_inside(set, see);
        }
        _ => see(Anchor::Leaf(term.span, &mut term.comments)),
    }
}

/// The members of a set in braces; a lone value is part of what stands in front of it.
fn visit_inside(set: &mut Set, see: See<'_>) {
    let Set::Braces { span, items, end } = set else {
        return;
    };
    for Item { comments, set } in items {
        let at = set.span();
        match set {
            Set::Braces { .. } => {
                see(Anchor::Head(Span::new(at.start, at.start + 1), comments));
                visit_inside(set, see);
            }
            Set::Element(_) => see(Anchor::Leaf(at, comments)),
        }
    }
    see(Anchor::Close(last_byte(span.end), end));
}

//! The one canonical form of a policy text.
//!
//! A statement that fits a line and has no comments inside stands on one line. Otherwise its
//! outermost bracket or list is opened up, then what is inside, one thing per line. Comments stay
//! at the thing that they stand at, empty lines between statements are kept as one. Printing what
//! was read from printed text changes nothing.

mod flat;
mod lines;

use lines::Lines;

use super::tree::{
    Atom, Comments, Condition, Conjunction, Factor, File, Gate, Item, LetValue, Set, Statement,
    StatementKind, Term, TermKind,
};
use flat::{Flat, escape};

/// Longest line that is not broken up, in bytes.
const WIDTH: usize = 100;

/// Writes the tree as policy text.
pub fn print(file: &File) -> String {
    let mut out = Lines::default();
    for statement in &file.statements {
        for comment in &statement.before {
            out.gap(comment.gap);
            out.comment(&comment.text);
        }
        out.gap(statement.gap);
        print_statement(&mut out, statement);
        out.write(if matches!(statement.kind, StatementKind::Gate(_)) {
            ""
        } else {
            ";"
        });
        out.behind(statement.after.as_deref());
        out.newline();
    }
    for comment in &file.end {
        out.gap(comment.gap);
        out.comment(&comment.text);
    }
    out.text
}

/// A factor of a condition on one line, without the `and` in front of it; `None` if it has comments,
/// which have no place there.
#[must_use]
pub fn factor_text(factor: &Factor) -> Option<String> {
    let bare = Factor {
        and: false,
        ..factor.clone()
    };
    Flat::of(usize::MAX, |flat| flat.factors(std::slice::from_ref(&bare)))
}

fn verdict(bypass: bool) -> &'static str {
    if bypass { "bypass" } else { "buffer" }
}

fn print_statement(out: &mut Lines, statement: &Statement) {
    match &statement.kind {
        StatementKind::Rule(rule) => {
            let because = rule.because.as_ref().map(|reason| escape(&reason.text));
            let because = because.map_or_else(String::new, |reason| format!("because {reason}"));
            out.write(verdict(rule.verdict.bypass));
            if let Some(condition) = &rule.condition {
                let room = because.len() + 2;
                print_body(out, condition, room, &because);
            } else if !because.is_empty() {
                out.write(" ");
                out.write(&because);
            }
        }
        StatementKind::Default(word) => {
            out.write("default ");
            out.write(verdict(word.bypass));
        }
        StatementKind::Let(definition) => {
            out.write("let ");
            out.write(&definition.name.text);
            out.write(" =");
            match &definition.value {
                LetValue::Condition(condition) => print_body(out, condition, 1, ""),
                LetValue::Set(set) => {
                    out.write(" ");
                    print_set(out, set, 1);
                }
            }
        }
        StatementKind::Expect(expect) => {
            out.write("expect ");
            out.write(verdict(expect.verdict.bypass));
            print_body(out, &expect.condition, 1, "");
        }
        StatementKind::Gate(gate) => print_gate(out, gate),
        StatementKind::Allow(allow) => {
            let because = escape(&allow.because.text);
            out.write(&format!("allow {} because {because}", allow.lint.text));
        }
        StatementKind::Broken { text, .. } => out.write(text),
    }
}

/// A condition behind the head of its statement, and `tail` behind that.
fn print_body(out: &mut Lines, condition: &Condition, room: usize, tail: &str) {
    let flat = Flat::of(WIDTH.saturating_sub(out.column() + 1 + room), |flat| {
        flat.condition(condition)
    });
    let single = match condition.alternatives.as_slice() {
        [one] => Some(one),
        _ => None,
    };
    if let Some(flat) = flat {
        out.write(" ");
        out.write(&flat);
    } else if single.is_some_and(|one| print_hugging(out, one, " ")) {
        // The last set or group of it has been opened up behind the rest.
    } else {
        out.indent += 1;
        out.newline();
        print_condition(out, condition);
        if !tail.is_empty() {
            out.newline();
            out.write(tail);
        }
        out.indent -= 1;
        return;
    }
    if !tail.is_empty() {
        out.write(" ");
        out.write(tail);
    }
}

/// Alternatives on lines of their own, without the end of the last line.
fn print_condition(out: &mut Lines, condition: &Condition) {
    let several = condition.alternatives.len() > 1;
    for (at, conjunction) in condition.alternatives.iter().enumerate() {
        let prefix = if at == 0 { "" } else { "or " };
        if at > 0 {
            out.newline();
        }
        let room = WIDTH.saturating_sub(out.column() + prefix.len() + 1);
        if let Some(flat) = Flat::of(room, |flat| flat.conjunction(conjunction)) {
            out.write(prefix);
            out.write(&flat);
        } else if conjunction.factors.len() == 1 || !print_hugging(out, conjunction, prefix) {
            print_conjunction(out, conjunction, prefix, several);
        }
    }
}

/// Factors on lines of their own.
fn print_conjunction(out: &mut Lines, conjunction: &Conjunction, prefix: &str, inset: bool) {
    for (at, factor) in conjunction.factors.iter().enumerate() {
        match at {
            0 => print_factor(out, factor, prefix),
            _ => {
                out.indent += usize::from(inset);
                out.newline();
                print_factor(out, factor, if factor.and { "and " } else { "" });
                out.indent -= usize::from(inset);
            }
        }
    }
}

/// All factors but the last on the line, and the last opened up behind them; false, with nothing
/// written, if that can't be done.
fn print_hugging(out: &mut Lines, conjunction: &Conjunction, prefix: &str) -> bool {
    let Some((last, rest)) = conjunction.factors.split_last() else {
        return false;
    };
    let opens = match &last.atom {
        Atom::Group { .. } => true,
        Atom::Term(Term {
            comments,
            kind:
                TermKind::Field {
                    set: Set::Braces { .. },
                    ..
                },
            ..
        }) => comments.is_empty(),
        Atom::Term(_) => false,
    };
    // Room for the head of the last factor and its bracket.
    let room = WIDTH.saturating_sub(out.column() + prefix.len() + 24);
    let Some(flat) = Flat::of(room, |flat| flat.factors(rest)).filter(|_| opens) else {
        return false;
    };
    out.write(prefix);
    out.write(&flat);
    if !rest.is_empty() {
        out.write(" ");
    }
    let and = if last.and { "and " } else { "" };
    print_factor(out, last, and);
    true
}

fn print_factor(out: &mut Lines, factor: &Factor, prefix: &str) {
    if let Atom::Term(term) = &factor.atom {
        out.comments_before(&term.comments);
    }
    out.write(prefix);
    for _ in 0..factor.negations {
        out.write("not ");
    }
    match &factor.atom {
        Atom::Group { condition, end } => {
            let room = WIDTH.saturating_sub(out.column() + 3);
            let flat = Flat::of(room, |flat| flat.condition(condition));
            match flat.filter(|_| end.is_empty()) {
                Some(flat) => out.write(&format!("({flat})")),
                None => out.block("(", ")", end, |out| {
                    print_condition(out, condition);
                    out.newline();
                }),
            }
        }
        Atom::Term(term) => {
            match &term.kind {
                TermKind::Field { field, set, .. } => {
                    out.write(field.as_str());
                    out.write(" ");
                    print_set(out, set, 1);
                }
                TermKind::Shape(shape) => out.write(shape.as_str()),
                TermKind::Name(name) => out.write(name),
            }
            out.behind(term.comments.after.as_deref());
        }
    }
}

fn print_set(out: &mut Lines, set: &Set, room: usize) {
    let room = WIDTH.saturating_sub(out.column() + room);
    let flat = match set {
        // A lone value can't be opened up, however long it is.
        Set::Element(_) => Flat::of(usize::MAX, |flat| flat.set(set)),
        Set::Braces { .. } => Flat::of(room, |flat| flat.set(set)),
    };
    match (flat, set) {
        (Some(flat), _) => out.write(&flat),
        (None, Set::Element(_)) => {}
        (None, Set::Braces { items, end, .. }) => out.block("{", "}", end, |out| {
            for (at, Item { comments, set }) in items.iter().enumerate() {
                out.comments_before(comments);
                print_set(out, set, 1);
                if at + 1 < items.len() {
                    out.write(",");
                }
                out.behind(comments.after.as_deref());
                out.newline();
            }
        }),
    }
}

fn print_gate(out: &mut Lines, gate: &Gate) {
    out.write("gate ");
    out.block("{", "}", &gate.end, |out| {
        for setting in &gate.settings {
            let Comments { after, .. } = &setting.comments;
            out.comments_before(&setting.comments);
            out.write(&setting.name.text);
            for value in &setting.values {
                out.write(" ");
                out.write(&value.text);
            }
            out.write(";");
            out.behind(after.as_deref());
            out.newline();
        }
    });
}

//! Random trees and random texts.

use policy_lang::source::Span;
use policy_lang::syntax::print;
use policy_lang::syntax::tree::{
    Allow, Atom, Comment, Comments, Condition, Conjunction, Element, Expect, Factor, Field, File,
    Gate, Item, Let, LetValue, Name, Rule, Set, Setting, Shape, Statement, StatementKind, Term,
    TermKind, Text, Value, ValueKind, Verdict,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const NOWHERE: Span = Span { start: 0, end: 0 };

fn comment() -> impl Strategy<Value = String> {
    "( ?[a-z#;{}\"(]{0,12})?".prop_map(|text| text.trim_end().to_owned())
}

fn value() -> impl Strategy<Value = Value> {
    let of = |kind, texts: &'static [&'static str]| {
        select(texts).prop_map(move |text| Value {
            span: NOWHERE,
            kind,
            text: text.to_owned(),
        })
    };
    prop_oneof![
        of(
            ValueKind::Number,
            &["0", "5060", "0x10", "99999999999999999999"]
        ),
        of(
            ValueKind::Ipv4,
            &["10.0.0.1", "10.0.0.0/8", "300.1", "10/8"]
        ),
        of(
            ValueKind::Ipv6,
            &["::", "fe80::/10", "::ffff:10.0.0.1", "1:2:3:4:5:6:7:8"]
        ),
        of(ValueKind::Mac, &["00:16:3e:01:02:03", "1:2:3:4:5:6"]),
        of(
            ValueKind::Word,
            &["ef", "af11", "phones", "tcp", "syn", "icmp6"]
        ),
        of(ValueKind::Flags, &["syn+ack", "fin+psh+urg"]),
    ]
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        3 => value().prop_map(Element::Value),
        1 => (value(), value()).prop_filter_map("words have hyphens", |(low, high)| {
            let word = matches!(low.kind, ValueKind::Word | ValueKind::Flags);
            (!word).then_some(Element::Range(low, high))
        }),
    ]
}

/// Comments where they are seldom enough that most things stay on one line.
fn comments(after: bool) -> impl Strategy<Value = Comments> {
    let some =
        (vec(comment(), 0..3), option::of(comment())).prop_map(move |(before, behind)| Comments {
            before,
            after: behind.filter(|_| after),
        });
    prop_oneof![9 => Just(Comments::default()), 1 => some]
}

fn end_comments() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![9 => Just(Vec::new()), 1 => vec(comment(), 1..3)]
}

fn item(set: Set) -> impl Strategy<Value = Item> {
    let leaf = matches!(set, Set::Element(_));
    comments(leaf).prop_map(move |comments| Item {
        comments,
        set: set.clone(),
    })
}

fn braces() -> impl Strategy<Value = Set> {
    element()
        .prop_map(Set::Element)
        .prop_recursive(3, 24, 8, |inner| {
            (vec(inner.prop_flat_map(item), 0..8), end_comments()).prop_map(|(items, end)| {
                Set::Braces {
                    span: NOWHERE,
                    items,
                    end,
                }
            })
        })
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![element().prop_map(Set::Element), braces()]
}

fn term() -> impl Strategy<Value = Term> {
    let field = (select(Field::ALL), set()).prop_filter_map("takes no keyword", |(field, set)| {
        // `vlan tcp` is two terms.
        let keyword = |value: &Value| Shape::from_text(&value.text).is_some();
        let two = matches!(&set, Set::Element(Element::Value(value)) if keyword(value));
        let kind = TermKind::Field {
            head: NOWHERE,
            field,
            set,
        };
        (!(field == Field::Vlan && two)).then_some(kind)
    });
    prop_oneof![
        select(Shape::ALL).prop_map(TermKind::Shape),
        field,
        select(&["media", "phones", "_x-1"][..]).prop_map(|name| TermKind::Name(name.to_owned())),
    ]
    .prop_flat_map(|kind| {
        let leaf = !matches!(
            &kind,
            TermKind::Field {
                set: Set::Braces { .. },
                ..
            }
        );
        comments(leaf).prop_map(move |comments| Term {
            span: NOWHERE,
            comments,
            kind: kind.clone(),
        })
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let join = |atoms: Vec<Vec<(bool, usize, Atom)>>| {
        let alternatives = atoms.into_iter().map(|atoms| {
            let factors = atoms
                .into_iter()
                .enumerate()
                .map(|(at, (and, negations, atom))| Factor {
                    span: NOWHERE,
                    and: and && at > 0,
                    negations,
                    atom,
                });
            Conjunction {
                span: NOWHERE,
                factors: separate(factors.collect()),
            }
        });
        Condition {
            span: NOWHERE,
            alternatives: alternatives.collect(),
        }
    };
    let negations = || prop_oneof![6 => Just(0_usize), 1 => 1..3_usize];
    let leaf = term().prop_map(Atom::Term);
    let atom = leaf.prop_recursive(3, 24, 4, move |inner| {
        let factors = vec((any::<bool>(), negations(), inner), 1..4);
        (vec(factors, 1..4), end_comments()).prop_map(move |(atoms, end)| Atom::Group {
            condition: join(atoms),
            end,
        })
    });
    vec(vec((any::<bool>(), negations(), atom), 1..4), 1..4).prop_map(join)
}

/// `vlan` in front of a name would take it as its values; `and` between them keeps them apart.
fn separate(mut factors: Vec<Factor>) -> Vec<Factor> {
    let mut behind_vlan = false;
    for factor in &mut factors {
        factor.and |= behind_vlan;
        behind_vlan = matches!(
            &factor.atom,
            Atom::Term(Term {
                kind: TermKind::Shape(Shape::Vlan),
                ..
            })
        );
    }
    factors
}

fn verdict() -> impl Strategy<Value = Verdict> {
    any::<bool>().prop_map(|bypass| Verdict {
        span: NOWHERE,
        bypass,
    })
}

fn name() -> impl Strategy<Value = Name> {
    select(&["media", "phones", "_x-1", "interval", "on-overflow"][..]).prop_map(|text| Name {
        span: NOWHERE,
        text: text.to_owned(),
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let word = select(&["40ms", "64MiB", "drop", "1.5"][..]).prop_map(|text| Name {
        span: NOWHERE,
        text: text.to_owned(),
    });
    (comments(true), name(), vec(word, 0..3)).prop_map(|(comments, name, values)| Setting {
        span: NOWHERE,
        comments,
        name,
        values,
    })
}

fn kind() -> impl Strategy<Value = StatementKind> {
    let because = "[a-z\"\\\\ #;é]{0,12}".prop_map(|text| Text {
        span: NOWHERE,
        text,
    });
    let lint = "L[0-9]{1,4}".prop_map(|text| Name {
        span: NOWHERE,
        text,
    });
    let allow = (lint, because.clone()).prop_map(|(lint, because)| Allow { lint, because });
    let rule = (verdict(), option::of(condition()), option::of(because)).prop_map(
        |(verdict, condition, because)| Rule {
            verdict,
            condition,
            because,
        },
    );
    let value = prop_oneof![
        condition().prop_map(LetValue::Condition),
        set().prop_filter_map("a lone word is a condition", |set| {
            let word = |value: &Value| value.kind == ValueKind::Word;
            let lone = matches!(&set, Set::Element(Element::Value(value)) if word(value));
            (!lone).then_some(LetValue::Set(set))
        }),
    ];
    prop_oneof![
        4 => rule.prop_map(StatementKind::Rule),
        1 => verdict().prop_map(StatementKind::Default),
        3 => (name(), value).prop_map(|(name, value)| StatementKind::Let(Let { name, value })),
        2 => (verdict(), condition())
            .prop_map(|(verdict, condition)| StatementKind::Expect(Expect { verdict, condition })),
        1 => (vec(setting(), 0..4), end_comments())
            .prop_map(|(settings, end)| StatementKind::Gate(Gate { settings, end })),
        1 => allow.prop_map(StatementKind::Allow),
    ]
}

fn loose_comments() -> impl Strategy<Value = Vec<Comment>> {
    vec(
        (any::<bool>(), comment()).prop_map(|(gap, text)| Comment { gap, text }),
        0..3,
    )
}

/// A tree as the parser could have made it.
pub(super) fn file() -> impl Strategy<Value = File> {
    let statement = (
        loose_comments(),
        any::<bool>(),
        kind(),
        option::of(comment()),
    )
        .prop_map(|(before, gap, mut kind, mut after)| {
            if let Some(last) = last_leaf(&mut kind) {
                // The parser moves it there.
                after = after.or_else(|| last.after.take());
                last.after = None;
            }
            Statement {
                span: NOWHERE,
                before,
                gap,
                kind,
                after,
            }
        });
    (vec(statement, 0..5), loose_comments()).prop_map(|(mut statements, mut end)| {
        // There is no gap in front of the very first thing.
        match statements.first_mut() {
            Some(Statement { before, gap, .. }) => match before.first_mut() {
                Some(comment) => comment.gap = false,
                None => *gap = false,
            },
            None => {
                if let Some(comment) = end.first_mut() {
                    comment.gap = false;
                }
            }
        }
        File { statements, end }
    })
}

/// The comments of the last term, if nothing but the `;` follows it.
fn last_leaf(kind: &mut StatementKind) -> Option<&mut Comments> {
    let condition = match kind {
        StatementKind::Rule(rule) => rule.condition.as_mut()?,
        StatementKind::Expect(expect) => &mut expect.condition,
        StatementKind::Let(Let {
            value: LetValue::Condition(condition),
            ..
        }) => condition,
        _ => return None,
    };
    match &mut condition.alternatives.last_mut()?.factors.last_mut()?.atom {
        Atom::Term(term) => Some(&mut term.comments),
        Atom::Group { .. } => None,
    }
}

/// The text of a tree without comments, with comments and line breaks strewn in.
pub(super) fn scattered() -> impl Strategy<Value = String> {
    let space = prop_oneof![
        6 => Just(" ".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("\r\n\t".to_owned()),
        1 => Just("\n\n\n".to_owned()),
        1 => "[a-z]{1,5}".prop_map(|text| format!(" #~{text}\n")),
        1 => "[a-z]{1,5}".prop_map(|text| format!("\n #~{text} \n\n")),
    ];
    (file(), vec(space, 1..40)).prop_map(|(mut tree, spaces)| {
        strip(&mut tree);
        let mut spaces = spaces.iter().cycle();
        let mut out = String::new();
        let mut quoted = false;
        let mut escaped = false;
        for c in print(&tree).chars() {
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && quoted && !escaped;
            match c {
                '(' | ')' | '{' | '}' | ',' | ';' if !quoted => {
                    out.extend(spaces.next().map(String::as_str));
                    out.push(c);
                    out.extend(spaces.next().map(String::as_str));
                }
                ' ' | '\n' if !quoted => out.extend(spaces.next().map(String::as_str)),
                c => out.push(c),
            }
        }
        out
    })
}

/// Takes the comments away by way of the text: a line that is only a comment and the end of any
/// other go.
fn strip(tree: &mut File) {
    tree.end.clear();
    for statement in &mut tree.statements {
        statement.before.clear();
        statement.after = None;
        match &mut statement.kind {
            StatementKind::Rule(rule) => {
                rule.because = rule
                    .because
                    .take()
                    .filter(|reason| !reason.text.contains(['#', ';']));
                rule.condition.iter_mut().for_each(strip_condition);
            }
            StatementKind::Expect(expect) => strip_condition(&mut expect.condition),
            StatementKind::Let(Let {
                value: LetValue::Condition(condition),
                ..
            }) => {
                strip_condition(condition);
            }
            StatementKind::Let(Let {
                value: LetValue::Set(set),
                ..
            }) => strip_set(set),
            StatementKind::Gate(gate) => {
                gate.end.clear();
                gate.settings
                    .iter_mut()
                    .for_each(|setting| setting.comments = Comments::default());
            }
            StatementKind::Allow(allow) => {
                allow.because.text.retain(|c| !"#;".contains(c));
            }
            StatementKind::Default(_) | StatementKind::Broken { .. } => {}
        }
    }
}

fn strip_condition(condition: &mut Condition) {
    for factor in condition
        .alternatives
        .iter_mut()
        .flat_map(|one| &mut one.factors)
    {
        match &mut factor.atom {
            Atom::Group { condition, end } => {
                end.clear();
                strip_condition(condition);
            }
            Atom::Term(term) => {
                term.comments = Comments::default();
                if let TermKind::Field { set, .. } = &mut term.kind {
                    strip_set(set);
                }
            }
        }
    }
}

fn strip_set(set: &mut Set) {
    if let Set::Braces { items, end, .. } = set {
        end.clear();
        for item in items {
            item.comments = Comments::default();
            strip_set(&mut item.set);
        }
    }
}

/// Words and signs of the language in any order.
pub(super) fn token_soup() -> impl Strategy<Value = String> {
    const TOKENS: &[&str] = &[
        "buffer",
        "bypass",
        "default",
        "let",
        "expect",
        "gate",
        "allow",
        "because",
        "and",
        "or",
        "not",
        "tcp",
        "vlan",
        "src",
        "dst",
        "mac",
        "rtp",
        "pt",
        "dport",
        "flags",
        "upd",
        "x",
        "(",
        ")",
        "{",
        "}",
        ",",
        ";",
        "-",
        "=",
        "+",
        "\"",
        "\"a\"",
        "# c\n",
        "\n",
        "5",
        "5-6",
        "0x",
        "10.1",
        "::1",
        "::",
        "00:16:3e:01:02:03",
        "/8",
        "interval",
        "40ms",
        "&&",
        "!",
        "é",
        "\u{0}",
        "\\",
    ];
    (vec(select(TOKENS), 0..40), select(&["", " "][..])).prop_map(|(all, by)| all.join(by))
}

/// The text of a tree with some bytes gone, doubled or replaced.
pub(super) fn damaged() -> impl Strategy<Value = String> {
    (
        file(),
        vec((any::<prop::sample::Index>(), 0..3, any::<char>()), 1..4),
    )
        .prop_map(|(tree, damages)| {
            let mut chars: Vec<char> = print(&tree).chars().collect();
            for (at, how, c) in damages {
                if chars.is_empty() {
                    break;
                }
                let at = at.index(chars.len());
                match how {
                    0 => drop(chars.remove(at)),
                    1 => chars.insert(at, chars[at]),
                    _ => chars[at] = c,
                }
            }
            chars.into_iter().collect()
        })
}

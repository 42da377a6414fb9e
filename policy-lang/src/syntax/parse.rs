//! Text to tree. Never fails: what can't be read is reported and kept as a broken statement.

use pest::Parser as _;
use pest::iterators::Pair;

use super::grammar::{Grammar, Rule};
use super::lexeme::Lexer;
use super::split::{Chunk, Splitter};
use super::tree::{
    Allow, Atom, Comments, Condition, Conjunction, Element, Expect, Factor, Field, File, Gate,
    Item, Let, LetValue, Name, Rule as RuleStatement, Set, Setting, Shape, Statement,
    StatementKind, Term, TermKind, Text, Value, ValueKind, Verdict,
};
use super::{MAX_POLICY_BYTES, expected, trivia};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::source::{SourceFile, Span};

/// Reads a policy. All statements that can be read are in the tree, all errors in the list, in
/// the order of the text. With too many errors the rest of the text is left out of both.
pub fn parse(source: &SourceFile) -> (File, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let mut file = File::default();
    if source.text().len() > MAX_POLICY_BYTES {
        let message = format!("policy larger than {} MiB", MAX_POLICY_BYTES >> 20);
        sink.push(Diagnostic::new(Code::PolicyTooLarge, message, Span::at(0)));
        return (file, sink.finish());
    }
    let mut splitter = Splitter::new(source);
    while !sink.is_full()
        && let Some(chunk) = splitter.next(&mut sink)
    {
        file.statements.push(statement(source, chunk, &mut sink));
    }
    file.end = splitter.end();
    (file, sink.finish())
}

fn statement(source: &SourceFile, chunk: Chunk, sink: &mut Sink) -> Statement {
    let Chunk {
        span,
        before,
        gap,
        inner,
        after,
        faulty,
    } = chunk;
    let kind = read(source, span, faulty, sink).unwrap_or_else(|| StatementKind::Broken {
        text: source.slice(span).to_owned(),
        defines: defined_name(source, span),
    });
    let mut statement = Statement {
        span,
        before,
        gap,
        kind,
        after,
    };
    trivia::attach(&mut statement, &inner, source);
    statement
}

fn read(source: &SourceFile, span: Span, faulty: bool, sink: &mut Sink) -> Option<StatementKind> {
    if faulty {
        return None;
    }
    if let Some(diagnostic) = expected::statement(source, span) {
        sink.push(diagnostic);
        return None;
    }
    match Grammar::parse(Rule::input, source.slice(span)) {
        Err(error) => {
            sink.push(expected::explain(source, span, &error));
            None
        }
        Ok(mut pairs) => {
            let mut builder = Builder {
                base: span.start,
                bad: None,
            };
            let kind = pairs
                .next()
                .and_then(|input| builder.statement(first(input)?));
            if let Some(diagnostic) = builder.bad {
                sink.push(diagnostic);
                return None;
            }
            kind
        }
    }
}

/// The name that a statement which can't be read would have defined.
fn defined_name(source: &SourceFile, span: Span) -> Option<String> {
    let text = source.slice(span);
    let mut words = Lexer::new(text, 0).map(|l| text.get(l.span.start..l.span.end).unwrap_or(""));
    (words.next() == Some("let"))
        .then(|| words.next().map(str::to_owned))
        .flatten()
}

fn first(pair: Pair<'_, Rule>) -> Option<Pair<'_, Rule>> {
    pair.into_inner().next()
}

/// Turns pairs into tree nodes. `None` would mean that a function here and the grammar disagree;
/// the statement is then treated as broken, and `every_statement_of_the_grammar_is_built` fails.
struct Builder {
    /// Where the statement starts in the file.
    base: usize,
    /// What is wrong although the grammar took it.
    bad: Option<Diagnostic>,
}

impl Builder {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        Span::new(self.base + span.start(), self.base + span.end())
    }

    fn statement(&mut self, pair: Pair<'_, Rule>) -> Option<StatementKind> {
        let rule = pair.as_rule();
        let mut parts = pair.into_inner().filter(|part| !is_sign(part.as_rule()));
        Some(match rule {
            Rule::rule_line => {
                let verdict = self.verdict(&parts.next()?);
                let mut line = RuleStatement {
                    verdict,
                    condition: None,
                    because: None,
                };
                for part in parts {
                    match part.as_rule() {
                        Rule::condition => line.condition = Some(self.condition(part)?),
                        _ => line.because = Some(self.text(&part.into_inner().nth(1)?)),
                    }
                }
                StatementKind::Rule(line)
            }
            Rule::default_line => StatementKind::Default(self.verdict(&parts.next()?)),
            Rule::expect_line => {
                let verdict = self.verdict(&parts.next()?);
                let condition = self.condition(parts.next()?)?;
                StatementKind::Expect(Expect { verdict, condition })
            }
            Rule::let_line => {
                let name = self.name(&parts.next()?);
                let value = parts.next()?;
                let value = match value.as_rule() {
                    Rule::bare_set => LetValue::Set(self.set(first(value)?)?),
                    _ => LetValue::Condition(self.condition(value)?),
                };
                StatementKind::Let(Let { name, value })
            }
            Rule::allow_line => {
                let lint = self.name(&parts.next()?);
                let because = self.text(&parts.next()?.into_inner().nth(1)?);
                StatementKind::Allow(Allow { lint, because })
            }
            Rule::gate_block => {
                let settings = parts
                    .map(|part| self.setting(part))
                    .collect::<Option<_>>()?;
                StatementKind::Gate(Gate {
                    settings,
                    end: Vec::new(),
                })
            }
            _ => return None,
        })
    }

    fn verdict(&self, pair: &Pair<'_, Rule>) -> Verdict {
        Verdict {
            span: self.span(pair),
            bypass: pair.as_str() == "bypass",
        }
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Name {
        Name {
            span: self.span(pair),
            text: pair.as_str().to_owned(),
        }
    }

    fn text(&mut self, pair: &Pair<'_, Rule>) -> Text {
        let span = self.span(pair);
        let raw = pair.as_str();
        let raw = raw
            .strip_prefix('"')
            .and_then(|raw| raw.strip_suffix('"'))
            .unwrap_or(raw);
        let mut text = String::with_capacity(raw.len());
        let mut chars = raw.char_indices();
        while let Some((at, c)) = chars.next() {
            let (taken, wrong) = match c {
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => (c, false),
                    _ => (c, true),
                },
                c => (c, c.is_control() || disguises(c)),
            };
            text.push(taken);
            if wrong && self.bad.is_none() {
                let at = span.start + 1 + at;
                let found = Diagnostic::new(
                    Code::BadString,
                    "bad string",
                    Span::new(at, at + c.len_utf8()),
                );
                self.bad = Some(match c {
                    '\\' => found
                        .label("not an escape")
                        .help("the only escapes are `\\\"` and `\\\\`"),
                    _ => found
                        .label("control character")
                        .help("a reason is one line of text"),
                });
            }
        }
        Text { span, text }
    }

    fn setting(&self, pair: Pair<'_, Rule>) -> Option<Setting> {
        let span = self.span(&pair);
        let mut words = pair.into_inner().map(|word| self.name(&word));
        let name = words.next()?;
        let values: Vec<_> = words.collect();
        // The pair may reach over white space in front of the `;`.
        let span = values
            .last()
            .map_or(name.span, |last| Span::new(span.start, last.span.end));
        Some(Setting {
            span,
            comments: Comments::default(),
            name,
            values,
        })
    }

    fn condition(&self, pair: Pair<'_, Rule>) -> Option<Condition> {
        let parts = pair
            .into_inner()
            .filter(|part| part.as_rule() == Rule::conjunction);
        let alternatives: Vec<_> = parts.map(|p| self.conjunction(p)).collect::<Option<_>>()?;
        let span = alternatives.first()?.span.to(alternatives.last()?.span);
        Some(Condition { span, alternatives })
    }

    fn conjunction(&self, pair: Pair<'_, Rule>) -> Option<Conjunction> {
        let mut factors = Vec::new();
        let mut and = false;
        for part in pair.into_inner() {
            if part.as_rule() == Rule::kw_and {
                and = true;
            } else {
                factors.push(self.factor(part, std::mem::take(&mut and))?);
            }
        }
        let span = factors.first()?.span.to(factors.last()?.span);
        Some(Conjunction { span, factors })
    }

    fn factor(&self, pair: Pair<'_, Rule>, and: bool) -> Option<Factor> {
        let mut negations = 0;
        let start = self.span(&pair).start;
        for part in pair.into_inner() {
            if part.as_rule() == Rule::kw_not {
                negations += 1;
                continue;
            }
            let (atom, end) = if part.as_rule() == Rule::group {
                let end = self.span(&part).end;
                let condition = self.condition(part.into_inner().nth(1)?)?;
                (
                    Atom::Group {
                        condition,
                        end: Vec::new(),
                    },
                    end,
                )
            } else {
                let term = self.term(part)?;
                let end = term.span.end;
                (Atom::Term(term), end)
            };
            return Some(Factor {
                span: Span::new(start, end),
                and,
                negations,
                atom,
            });
        }
        None
    }

    fn term(&self, pair: Pair<'_, Rule>) -> Option<Term> {
        let mut parts = pair.into_inner();
        let head = parts.next()?;
        let set = match parts.next() {
            Some(set) => Some(self.set(set)?),
            None => None,
        };
        let at = self.span(&head);
        let kind = match (head.as_rule(), set) {
            (Rule::field, Some(set)) => {
                let (field, head) = self.field(head)?;
                TermKind::Field { head, field, set }
            }
            (Rule::vlan, Some(set)) => TermKind::Field {
                head: at,
                field: Field::Vlan,
                set,
            },
            (Rule::vlan, None) => TermKind::Shape(Shape::Vlan),
            (Rule::shape, None) => TermKind::Shape(Shape::from_text(head.as_str())?),
            (Rule::name, None) => TermKind::Name(head.as_str().to_owned()),
            _ => return None,
        };
        let span = match &kind {
            TermKind::Field { set, .. } => at.to(set.span()),
            _ => at,
        };
        Some(Term {
            span,
            comments: Comments::default(),
            kind,
        })
    }

    fn field(&self, pair: Pair<'_, Rule>) -> Option<(Field, Span)> {
        let words: Vec<_> = pair.into_inner().collect();
        let text: Vec<_> = words.iter().map(Pair::as_str).collect();
        let span = self.span(words.first()?).to(self.span(words.last()?));
        Some((Field::from_text(&text.join(" "))?, span))
    }

    fn set(&self, pair: Pair<'_, Rule>) -> Option<Set> {
        let inner = first(pair)?;
        if inner.as_rule() == Rule::element {
            return Some(Set::Element(self.element(first(inner)?)?));
        }
        let span = self.span(&inner);
        let members = inner
            .into_inner()
            .filter(|part| part.as_rule() == Rule::set);
        let items = members
            .map(|part| {
                Some(Item {
                    comments: Comments::default(),
                    set: self.set(part)?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Set::Braces {
            span,
            items,
            end: Vec::new(),
        })
    }

    fn element(&self, pair: Pair<'_, Rule>) -> Option<Element> {
        if pair.as_rule() == Rule::value {
            return Some(Element::Value(self.value(pair)?));
        }
        let mut ends = pair
            .into_inner()
            .filter(|part| part.as_rule() == Rule::value);
        Some(Element::Range(
            self.value(ends.next()?)?,
            self.value(ends.next()?)?,
        ))
    }

    fn value(&self, pair: Pair<'_, Rule>) -> Option<Value> {
        let inner = first(pair)?;
        let kind = match inner.as_rule() {
            Rule::number => ValueKind::Number,
            Rule::ipv4 => ValueKind::Ipv4,
            Rule::ipv6 => ValueKind::Ipv6,
            Rule::mac => ValueKind::Mac,
            Rule::word => ValueKind::Word,
            Rule::flag_word => ValueKind::Flags,
            _ => return None,
        };
        Some(Value {
            span: self.span(&inner),
            kind,
            text: inner.as_str().to_owned(),
        })
    }
}

/// Whether a character ends a line for some readers, or changes the direction of the text behind it,
/// so that a reason would read otherwise than it is (Unicode TR 36, section 2.7).
fn disguises(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_sign(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::kw_default
            | Rule::kw_let
            | Rule::kw_expect
            | Rule::kw_gate
            | Rule::kw_allow
            | Rule::equals
            | Rule::semicolon
            | Rule::open_brace
            | Rule::close_brace
    )
}

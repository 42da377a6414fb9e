//! What the grammar wanted, said so that it teaches.
//!
//! pest reports where it got stuck and which rules it tried there. That, the words around the
//! place and the usual slips (a misspelt keyword, `tcp 80`, `&&`) become one message, where
//! possible with a change that mends it.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::grammar::Rule;
use super::lexeme::{Kind, Lexeme, Lexer};
use super::split::STATEMENTS;
use super::suggest::closest;
use super::tree::{Field, Shape};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{SourceFile, Span};

const OPERATORS: [&str; 5] = ["and", "or", "not", "because", "pt"];

/// Words of other tools that people try first.
const VERBS: [(&str, &str); 8] = [
    ("accept", "bypass"),
    ("pass", "bypass"),
    ("permit", "bypass"),
    ("forward", "bypass"),
    ("hold", "buffer"),
    ("queue", "buffer"),
    ("drop", "buffer"),
    ("deny", "buffer"),
];

/// Signs of other languages.
const SIGNS: [(&str, &str); 5] = [
    ("&&", "and"),
    ("||", "or"),
    ("!", "not "),
    ("&", "and"),
    ("|", "or"),
];

/// Whether a word has a meaning of its own, so that it can't be a name.
pub(crate) fn is_reserved(word: &str) -> bool {
    STATEMENTS.contains(&word)
        || OPERATORS.contains(&word)
        || Shape::from_text(word).is_some()
        || word == "mac"
        || Field::from_text(word).is_some()
}

/// All words that can stand in a condition, for suggestions.
pub(crate) fn condition_words() -> impl Iterator<Item = &'static str> {
    let shapes = Shape::ALL.iter().map(|shape| shape.as_str());
    let fields = Field::ALL
        .iter()
        .map(|field| field.as_str())
        .filter(|text| !text.contains(' '));
    shapes.chain(fields).chain(["and", "or", "not", "because"])
}

/// Reports a text that does not start as a statement does.
pub(super) fn statement(source: &SourceFile, span: Span) -> Option<Diagnostic> {
    let first = Lexer::new(source.slice(span), 0).next()?;
    let at = Span::new(span.start + first.span.start, span.start + first.span.end);
    let word = source.slice(at);
    if STATEMENTS.contains(&word) {
        return None;
    }
    let found = Diagnostic::new(
        Code::UnknownStatement,
        format!("expected a statement, found {}", quoted(word)),
        at,
    );
    if first.kind == Kind::Word
        && let Some(meant) = closest(word, STATEMENTS)
    {
        return Some(
            found
                .label("unknown statement")
                .fix(format!("write `{meant}`"), at, meant),
        );
    }
    let found = found.label("no statement starts like this");
    // No fix: what another tool calls `accept` may not be what is wanted here.
    if let Some((_, ours)) = VERBS.iter().find(|(verb, _)| *verb == word) {
        return Some(found.help(format!("the nearest here is `{ours}`")));
    }
    Some(if condition_words().any(|known| known == word) {
        found.help(format!(
            "say what happens to such packets: `buffer {word} ...` or `bypass ...`"
        ))
    } else {
        found.help(
            "a statement starts with `buffer`, `bypass`, `default`, `let`, `expect`, `gate` or `allow`",
        )
    })
}

/// The place of an error: the words around it.
struct Around<'a> {
    source: &'a SourceFile,
    /// Where the parser got stuck; empty behind the last word.
    at: Span,
    /// What stands there.
    found: Option<Lexeme>,
    /// The two words in front, nearest first.
    previous: Option<Span>,
    before: Option<Span>,
}

impl Around<'_> {
    fn text(&self, span: Option<Span>) -> &str {
        span.map_or("", |span| self.source.slice(span))
    }
}

/// Says what is wrong with a statement that the grammar refused.
pub(super) fn explain(source: &SourceFile, span: Span, error: &Error<Rule>) -> Diagnostic {
    let at = span.start
        + match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
    let around = look_around(source, span, at);
    let rules = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        ErrorVariant::CustomError { .. } => &[],
    };
    let found = keyword_as_name(&around)
        .or_else(|| value_without_field(&around))
        .unwrap_or_else(|| unexpected(&around, rules));
    let text = source.text().get(..span.end).unwrap_or("");
    let mut words = Lexer::new(text, span.start).filter(|lexeme| lexeme.kind != Kind::Comment);
    match words.next() {
        // In other tools this word lets packets pass.
        Some(first) if source.slice(first.span) == "allow" => found.help(
            "`allow L0301 because \"...\";` says that what a lint finds is meant; what lets packets \
             pass is `bypass`",
        ),
        _ => found,
    }
}

fn look_around(source: &SourceFile, span: Span, at: usize) -> Around<'_> {
    let text = source.text().get(..span.end).unwrap_or("");
    let (mut previous, mut before) = (None, None);
    for lexeme in Lexer::new(text, span.start).filter(|lexeme| lexeme.kind != Kind::Comment) {
        if lexeme.span.end > at {
            return Around {
                source,
                at: lexeme.span,
                found: Some(lexeme),
                previous,
                before,
            };
        }
        before = previous.replace(lexeme.span);
    }
    Around {
        source,
        at: Span::at(span.end),
        found: None,
        previous,
        before,
    }
}

/// `let tcp = ...`.
fn keyword_as_name(around: &Around<'_>) -> Option<Diagnostic> {
    let word = around.text(Some(around.at));
    if around.text(around.previous) != "let" || around.before.is_some() || !is_reserved(word) {
        return None;
    }
    Some(
        Diagnostic::new(
            Code::KeywordAsName,
            format!("`{word}` is a keyword"),
            around.at,
        )
        .label("can't be a name")
        .help(format!("choose another name, such as `my-{word}`")),
    )
}

/// `dprt 5060` and `tcp 80`: a value behind a word that takes none.
fn value_without_field(around: &Around<'_>) -> Option<Diagnostic> {
    let found = around.found?;
    let value = around.text(Some(found.span));
    let is_value = found.kind == Kind::Sign('{')
        || found.kind == Kind::Word && value.starts_with(|c: char| c.is_ascii_digit() || c == ':');
    let (word, at) = (around.text(around.previous), around.previous?);
    let fields = || Field::ALL.iter().map(|field| field.as_str());
    let behind_field = |word: &str| fields().any(|field| field.ends_with(word));
    let is_name = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !is_value || !is_name || STATEMENTS.contains(&word) || OPERATORS.contains(&word) {
        return None;
    }
    if behind_field(word) || behind_field(around.text(around.before)) && around.before.is_some() {
        return None;
    }
    let code = Code::NotAField;
    if let Some(shape) = Shape::from_text(word) {
        let found = Diagnostic::new(code, format!("`{word}` takes no value"), found.span)
            .label("unexpected value")
            .also(at, "a complete term");
        let ports = [Shape::Tcp, Shape::Udp, Shape::UdpLite, Shape::Sctp];
        return Some(if ports.contains(&shape) {
            found.help(format!(
                "for a port write `{word} dport {value}` or `{word} sport {value}`"
            ))
        } else if [Shape::Ip, Shape::Ip6].contains(&shape) {
            found.help(format!(
                "for an address write `dst {value}` or `src {value}`"
            ))
        } else {
            found
        });
    }
    let found = Diagnostic::new(code, format!("`{word}` is not a field"), at)
        .label("takes no value")
        .also(found.span, "this value belongs to no field");
    Some(
        match closest(word, fields().filter(|field| !field.contains(' '))) {
            Some(field) => found.fix(format!("write `{field}`"), at, field),
            None => {
                found.help("fields are `src`, `dst`, `sport`, `dport`, `proto`, `dscp` and others")
            }
        },
    )
}

fn unexpected(around: &Around<'_>, rules: &[Rule]) -> Diagnostic {
    let word = around.text(Some(around.at));
    let wanted = phrases(around, rules);
    let found = match around.found {
        Some(_) => quoted(word),
        None => "the end of the statement".to_owned(),
    };
    // Behind the last word there is nothing to underline, so the last word is.
    let at = match (around.found, around.previous) {
        (None, Some(previous)) => previous,
        _ => around.at,
    };
    let rest = around.source.text().get(at.start..).unwrap_or("");
    let sign = SIGNS
        .iter()
        .find(|(sign, _)| around.found.is_some() && rest.starts_with(sign));
    if let Some((sign, ours)) = sign {
        let (span, word) = (Span::new(at.start, at.start + sign.len()), ours.trim());
        return Diagnostic::new(
            Code::Unexpected,
            format!("`{sign}` is written `{word}`"),
            span,
        )
        .label("no sign of this language")
        .fix(format!("write `{word}`"), span, *ours);
    }
    let message = match wanted.split_last() {
        None => format!("unexpected {found}"),
        Some((last, [])) => format!("expected {last}, found {found}"),
        Some((last, rest)) => format!("expected {} or {last}, found {found}", rest.join(", ")),
    };
    let label = match around.found {
        Some(_) => "not expected here",
        None => "something is missing behind this",
    };
    let diagnostic = Diagnostic::new(Code::Unexpected, message, at).label(label);
    if around.found.is_none() {
        return diagnostic;
    }
    if word == "," || word == ";" {
        return diagnostic;
    }
    match closest(word, keywords(rules)) {
        Some(meant) => diagnostic.fix(format!("write `{meant}`"), at, meant),
        None => diagnostic,
    }
}

/// The keywords among the rules that were tried.
fn keywords(rules: &[Rule]) -> impl Iterator<Item = &'static str> + '_ {
    rules.iter().flat_map(|rule| {
        let words: &[&str] = match rule {
            Rule::verdict => &["buffer", "bypass"],
            Rule::because | Rule::kw_because => &["because"],
            Rule::kw_and => &["and"],
            Rule::kw_or => &["or"],
            Rule::kw_mac => &["mac"],
            Rule::kw_pt => &["pt"],
            _ => &[],
        };
        words.iter().copied()
    })
}

/// What could have stood there, most useful first, each only once.
fn phrases(around: &Around<'_>, rules: &[Rule]) -> Vec<&'static str> {
    let mut phrases = Vec::new();
    let mut add = |phrase| {
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    };
    let has = |wanted: &[Rule]| rules.iter().any(|rule| wanted.contains(rule));
    let complete = has(&[Rule::EOI]);
    if has(&[Rule::verdict]) {
        add("`buffer` or `bypass`");
    }
    if has(&[Rule::lint_code]) {
        add("a lint such as `L0301`");
    }
    if has(&[Rule::string]) {
        add("a reason in quotes");
    }
    if has(&[
        Rule::set,
        Rule::braces,
        Rule::element,
        Rule::range,
        Rule::value,
        Rule::number,
    ]) && !complete
    {
        add(values_of(
            around.text(around.previous),
            around.text(around.before),
        ));
    }
    if has(&[Rule::bare_set]) {
        add("a set such as `{ 5060, 5061 }`");
    }
    let term = [
        Rule::condition,
        Rule::conjunction,
        Rule::factor,
        Rule::group,
        Rule::term,
        Rule::field,
        Rule::shape,
    ];
    if has(&term) {
        add("a condition such as `tcp` or `udp dport 5060`");
    } else if has(&[Rule::name]) {
        add("a name");
    }
    for (rule, phrase) in [
        (Rule::equals, "`=`"),
        (Rule::setting, "a setting such as `interval 40ms`"),
        (Rule::setting_name, "a setting such as `interval 40ms`"),
        (Rule::setting_value, "a value"),
        (Rule::open_brace, "`{`"),
        (Rule::comma, "`,`"),
        (Rule::dash, "`-`"),
        (Rule::close_brace, "`}`"),
        (Rule::close_paren, "`)`"),
        (Rule::kw_and, "`and`"),
        (Rule::kw_or, "`or`"),
        (Rule::because, "`because`"),
        (Rule::kw_because, "`because`"),
        (Rule::semicolon, "`;`"),
        (Rule::EOI, "`;`"),
    ] {
        let opens_set = rule == Rule::open_brace && !around.text(around.previous).eq("gate");
        if has(&[rule]) && !opens_set {
            add(phrase);
        }
    }
    phrases
}

/// What the field in front of the error takes.
fn values_of(previous: &str, before: &str) -> &'static str {
    match (before, previous) {
        (_, "sport" | "dport" | "port") => "a port, a range such as `16384-32767` or a set",
        (_, "src" | "dst") => "an address, a prefix such as `10.0.0.0/8`, a set or `mac`",
        (_, "mac") => "a MAC address such as `00:16:3e:01:02:03` or a set",
        (_, "proto") => "a protocol such as `udp` or `50`, or a set",
        (_, "dscp") => "a code point such as `ef` or `46`, or a set",
        (_, "flags") => "TCP flags such as `syn+ack`, a number or a set",
        _ => "a value, a range or a set",
    }
}

/// A found text, short and on one line.
fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    let mut line: String = text
        .chars()
        .take(MOST)
        .filter(|c| !c.is_control())
        .collect();
    if text.chars().nth(MOST).is_some() {
        line.push_str("...");
    }
    format!("`{line}`")
}

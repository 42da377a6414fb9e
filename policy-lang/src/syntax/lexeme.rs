//! Words and signs, as coarse as cutting statements apart and naming what was found needs them.
//!
//! The grammar in `policy.pest` decides what they mean; this only knows where one ends, and that
//! nothing in a string or a comment counts.

use crate::source::Span;

/// What kind of piece it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, digits and what joins them in names and values.
    Word,
    /// A string; whether its closing quote is there.
    String { closed: bool },
    /// From `#` to the end of the line.
    Comment,
    /// Any other single character.
    Sign(char),
}

/// A piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lexeme {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// Cuts a text into lexemes, white space left out.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at byte `at` of `text`; spans count from the start of `text`.
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn run(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
        rest.find(|c| !belongs(c)).unwrap_or(rest.len())
    }
}

/// The white space of the grammar.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | ':' | '/')
}

/// Length of the string at the start of `rest`, and whether it is closed on its line.
fn string(rest: &str) -> (usize, bool) {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return (at, false),
            '"' if !escaped => return (at + 1, true),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    (rest.len(), false)
}

impl Iterator for Lexer<'_> {
    type Item = Lexeme;

    fn next(&mut self) -> Option<Lexeme> {
        self.at += Self::run(self.rest(), is_space);
        let rest = self.rest();
        let first = rest.chars().next()?;
        let (kind, len) = match first {
            '#' => (Kind::Comment, Self::run(rest, |c| c != '\n')),
            '"' => {
                let (len, closed) = string(rest);
                (Kind::String { closed }, len)
            }
            c if is_word(c) => (Kind::Word, Self::run(rest, is_word)),
            c => (Kind::Sign(c), c.len_utf8()),
        };
        let span = Span::new(self.at, self.at + len);
        self.at = span.end;
        Some(Lexeme { kind, span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_hide_what_is_in_them() {
        let text = "a \"x;\\\" #\" # ;\n;";
        let pieces: Vec<_> = Lexer::new(text, 0)
            .filter_map(|l| text.get(l.span.start..l.span.end))
            .collect();
        assert_eq!(pieces, ["a", "\"x;\\\" #\"", "# ;", ";"]);
        let open: Vec<_> = Lexer::new("\"x\n;", 0).map(|l| l.kind).collect();
        assert_eq!(open, [Kind::String { closed: false }, Kind::Sign(';')]);
    }
}

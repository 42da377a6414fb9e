//! Source text, byte spans, and where a byte stands as line and column.
//!
//! Offsets are bytes of the UTF-8 text, so that a span can be cut out of it directly; lines and
//! columns are for people, count from one, and a column is a character, not a byte.

use crate::diagnostic::{Code, Diagnostic};

/// A half-open range of bytes in a [`SourceFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset just past the last byte; never less than `start` in a span made here.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The empty span in front of `offset`.
    pub fn at(offset: usize) -> Self {
        Self::new(offset, offset)
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }

    /// How many bytes it holds.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no byte at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A place as people count it: both numbers start at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line number.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// A policy text and the name it is reported under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    text: String,
    /// Offset of the first byte of every line.
    lines: Vec<usize>,
}

impl SourceFile {
    /// Takes a text; `name` is what diagnostics call it, such as a path or `<stdin>`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            name: name.into(),
            lines: lines.collect(),
            text,
        }
    }

    /// Takes bytes of unknown origin. Where they are not UTF-8 the text holds U+FFFD instead and
    /// the diagnostic points at the first of them; a caller that gets one must not go on to
    /// compile.
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> (Self, Option<Diagnostic>) {
        let text = String::from_utf8_lossy(bytes);
        let diagnostic = std::str::from_utf8(bytes).err().map(|error| {
            let start = error.valid_up_to();
            let span = Span::new(start, start + '\u{fffd}'.len_utf8());
            Diagnostic::new(Code::NotUtf8, "the policy is not UTF-8 text", span)
                .label("the first byte that is not UTF-8")
        });
        (Self::new(name, text), diagnostic)
    }

    /// The name given at construction.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text under a span; empty if the span is not one of this file.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// Line and column of a byte; the place just past the end for an offset beyond it.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = line
            .checked_sub(1)
            .and_then(|index| self.lines.get(index))
            .copied();
        let before = self
            .text
            .as_bytes()
            .get(start.unwrap_or(0)..offset.min(self.text.len()));
        // A character is counted at its first byte: the ones that do not look like 10xxxxxx.
        let column = before
            .unwrap_or(&[])
            .iter()
            .filter(|&&byte| byte & 0xc0 != 0x80)
            .count();
        Place {
            line,
            column: column + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let file = SourceFile::new("x", "ab\nä = 1\n");
        let at = |offset| {
            let Place { line, column } = file.place(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 3));
        assert_eq!(at(3), (2, 1));
        assert_eq!(at(5), (2, 2), "after a character of two bytes");
        assert_eq!(at(999), (3, 1));
    }

    #[test]
    fn bytes_that_are_not_text_are_reported_where_they_stand() {
        let (file, diagnostic) = SourceFile::from_bytes("x", b"buffer \xff;");
        let diagnostic = diagnostic.expect("not UTF-8");
        assert_eq!(diagnostic.code, Code::NotUtf8);
        assert_eq!(file.slice(diagnostic.primary.span), "\u{fffd}");
        assert_eq!(SourceFile::from_bytes("x", b"buffer;").1, None);
    }
}

//! What the compiler has to say about a policy, as plain data.
//!
//! Nothing here draws or prints: the command line turns these records into terminal output or
//! JSON. Messages are lower case without a final stop, user input stands in backticks, and advice
//! goes into `help`, not into the message.

mod code;

pub use code::{Code, Severity};

use crate::source::Span;

/// One finding about a policy text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of finding; stable across releases.
    pub code: Code,
    /// How bad it is; always the one of its code.
    pub severity: Severity,
    /// One line that says what is wrong.
    pub message: String,
    /// Where it is wrong.
    pub primary: Label,
    /// Other places that explain it.
    pub secondary: Vec<Label>,
    /// Advice, one line each.
    pub help: Vec<String>,
    /// A change of the text that a tool may apply unasked.
    pub fix: Option<Fix>,
}

/// A place in the text and a note on it; the note may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bytes that the note is about.
    pub span: Span,
    /// The note.
    pub message: String,
}

/// A change that makes the finding go away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What the change does, such as "write `udp`".
    pub message: String,
    /// Replacements; their spans do not overlap and rise.
    pub edits: Vec<(Span, String)>,
}

impl Diagnostic {
    /// A finding at one place, without notes.
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            primary: Label {
                span,
                message: String::new(),
            },
            secondary: Vec::new(),
            help: Vec::new(),
            fix: None,
        }
    }

    /// Sets the note at the primary place.
    #[must_use]
    pub fn label(mut self, message: impl Into<String>) -> Self {
        self.primary.message = message.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// Adds a line of advice.
    #[must_use]
    pub fn help(mut self, message: impl Into<String>) -> Self {
        self.help.push(message.into());
        self
    }

    /// Sets the change that a tool may apply: `span` becomes `text`.
    #[must_use]
    pub fn fix(mut self, message: impl Into<String>, span: Span, text: impl Into<String>) -> Self {
        self.fix = Some(Fix {
            message: message.into(),
            edits: vec![(span, text.into())],
        });
        self
    }

    /// Whether a policy with this finding may not be compiled.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Fix {
    /// The text with the change made; `None` if a span does not fit the text.
    pub fn apply(&self, text: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (span, replacement) in &self.edits {
            out.push_str(text.get(from..span.start)?);
            out.push_str(replacement);
            from = span.end;
        }
        out.push_str(text.get(from..)?);
        Some(out)
    }
}

/// Reporting stops after this many errors, and warnings are dropped after as many.
pub const MAX_FINDINGS: usize = 100;

/// Collects findings and stops listening after a hundred errors, so that a large text full of
/// nonsense costs no more than a small one.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    list: Vec<Diagnostic>,
    errors: usize,
}

impl Sink {
    /// Takes a finding; drops it if there are enough of its severity already.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if !diagnostic.is_error() {
            if self.list.len() - self.errors < MAX_FINDINGS {
                self.list.push(diagnostic);
            }
        } else if !self.is_full() {
            let span = diagnostic.primary.span;
            self.list.push(diagnostic);
            self.errors += 1;
            if self.is_full() {
                let message = format!("stopped after {MAX_FINDINGS} errors");
                self.list
                    .push(Diagnostic::new(Code::TooManyErrors, message, span));
            }
        }
    }

    /// Whether it takes no more errors: the caller may as well stop.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= MAX_FINDINGS
    }

    /// All findings, in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list
            .sort_by_key(|found| (found.code == Code::TooManyErrors, found.primary.span));
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_do_not_fill_the_sink() {
        let mut sink = Sink::default();
        let mut push = |code| sink.push(Diagnostic::new(code, "x", Span::at(0)));
        (0..2 * MAX_FINDINGS).for_each(|_| push(Code::UnusedLet));
        push(Code::UnknownName);
        assert!(!sink.is_full());
        let found = sink.finish();
        assert_eq!(found.len(), MAX_FINDINGS + 1);
        assert_eq!(
            found.last().map(|found| found.code),
            Some(Code::UnknownName)
        );
    }

    #[test]
    fn a_fix_edits_the_text() {
        let fix = Diagnostic::new(Code::UnknownName, "x", Span::new(7, 10))
            .fix("write `udp`", Span::new(7, 10), "udp")
            .fix
            .expect("was just set");
        assert_eq!(fix.apply("buffer upd;").as_deref(), Some("buffer udp;"));
        assert_eq!(fix.apply("short"), None);
    }
}

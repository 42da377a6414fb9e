//! Findings as people and as programs read them. Everything that is reported goes through one
//! plain record, [`Report`], and is drawn by [`terminal`] or written by [`json`].

mod json;
mod terminal;

pub(crate) use json::json;
pub(crate) use terminal::terminal;

use policy_lang::diagnostic::{Diagnostic, Fix, Label, Severity};
use policy_lang::source::{SourceFile, Span};

use crate::exit::Failure;

/// One finding, about a policy or about what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Its stable code, if it has one.
    pub(crate) code: Option<&'static str>,
    /// One line that says what is wrong.
    pub(crate) message: String,
    /// Where in the policy it is, if that can be said.
    pub(crate) primary: Option<Label>,
    /// Other places that explain it.
    pub(crate) secondary: Vec<Label>,
    /// Facts, one line each.
    pub(crate) notes: Vec<String>,
    /// Advice, one line each.
    pub(crate) help: Vec<String>,
    /// A change that makes the finding go away.
    pub(crate) fix: Option<Fix>,
    /// A frame that shows it.
    pub(crate) frame: Option<Vec<u8>>,
}

impl Report {
    /// An error without a place.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            fix: None,
            frame: None,
        }
    }

    /// A warning without a place.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// Sets the code.
    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Sets the place.
    pub(crate) fn at(mut self, span: Span, message: impl Into<String>) -> Self {
        self.primary = Some(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// Adds a second place.
    pub(crate) fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// Adds a fact.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Sets the frame that shows it.
    pub(crate) fn frame(mut self, frame: Vec<u8>) -> Self {
        self.frame = Some(frame);
        self
    }
}

impl From<&Diagnostic> for Report {
    fn from(found: &Diagnostic) -> Self {
        Self {
            severity: found.severity,
            code: Some(found.code.as_str()),
            message: found.message.clone(),
            primary: Some(found.primary.clone()),
            secondary: found.secondary.clone(),
            notes: Vec::new(),
            help: found.help.clone(),
            fix: found.fix.clone(),
            frame: None,
        }
    }
}

impl From<&Failure> for Report {
    fn from(failure: &Failure) -> Self {
        let report = Self::error(failure.to_string());
        match failure {
            Failure::Usage {
                help: Some(help), ..
            } => report.help(help),
            _ => report,
        }
    }
}

/// The word for a severity.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The bytes of a frame as hexadecimal digits.
pub(crate) fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `text` with everything made visible that could change how a terminal shows the rest: control
/// characters, and those that turn the direction of writing.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character could change how a terminal shows the rest.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// `policy.gate:3:1`, as editors understand it.
pub(crate) fn place(source: &SourceFile, span: Span) -> String {
    let place = source.place(span.start);
    format!("{}:{}:{}", source.name(), place.line, place.column)
}

#[cfg(test)]
mod tests;

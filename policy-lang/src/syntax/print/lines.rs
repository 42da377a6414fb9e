//! Lines of text under construction: indentation, and comments that wait for their line to end.

use super::super::tree::Comments;

/// A growing text.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) text: String,
    /// Levels of four spaces.
    pub(super) indent: usize,
    /// Where the current line starts in `text`; its indentation is written with its first word.
    start: usize,
    /// The comment that ends the current line.
    waiting: Option<String>,
}

impl Lines {
    /// Writes on the current line.
    pub(super) fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.text.len() == self.start {
            self.text.push_str(&"    ".repeat(self.indent));
        }
        self.text.push_str(text);
    }

    /// How long the current line is, indentation included.
    pub(super) fn column(&self) -> usize {
        (self.text.len() - self.start).max(4 * self.indent)
    }

    /// Ends the current line.
    pub(super) fn newline(&mut self) {
        if let Some(text) = self.waiting.take() {
            self.write(&format!(" #{text}"));
        }
        self.text.push('\n');
        self.start = self.text.len();
    }

    /// An empty line, if wanted and not at the start of the text.
    pub(super) fn gap(&mut self, wanted: bool) {
        if wanted && !self.text.is_empty() {
            self.newline();
        }
    }

    /// A line with only a comment.
    pub(super) fn comment(&mut self, text: &str) {
        self.write(&format!("#{text}"));
        self.newline();
    }

    /// The comments above a thing; the current line must be empty.
    pub(super) fn comments_before(&mut self, comments: &Comments) {
        for text in &comments.before {
            self.comment(text);
        }
    }

    /// A comment for the end of the current line.
    pub(super) fn behind(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.waiting = Some(text.to_owned());
        }
    }

    /// Brackets with what is between them on lines of its own; `inside` ends its last line.
    pub(super) fn block(
        &mut self,
        open: &str,
        close: &str,
        end: &[String],
        inside: impl FnOnce(&mut Self),
    ) {
        self.write(open);
        self.indent += 1;
        self.newline();
        inside(self);
        for text in end {
            self.comment(text);
        }
        self.indent -= 1;
        self.write(close);
    }
}

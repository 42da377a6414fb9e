//! Reports as rustc draws its own, with annotate-snippets; fixes as a patch of the text.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use policy_lang::diagnostic::{Label, Severity};
use policy_lang::source::{SourceFile, Span};

use super::{Report, hex, hides, place, visible};
use crate::frame_text::describe;

/// Longest piece of a policy that is drawn. A place in a longer one is only named.
const MOST_DRAWN: usize = 32 << 10;

/// Draws a report, with a line feed at its end.
pub(crate) fn terminal(source: Option<&SourceFile>, report: &Report, colour: bool) -> String {
    let level = match report.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let mut title = level.primary_title(visible(&report.message));
    if let Some(code) = report.code {
        title = title.id(code);
    }
    let spans = report
        .primary
        .iter()
        .chain(&report.secondary)
        .map(|label| label.span);
    let piece = source.and_then(|source| Piece::around(source, spans));
    let mut main = Group::with_title(title);
    if let Some(piece) = &piece {
        let primary = report
            .primary
            .iter()
            .map(|l| piece.mark(AnnotationKind::Primary, l));
        let secondary = report
            .secondary
            .iter()
            .map(|l| piece.mark(AnnotationKind::Context, l));
        main = main.element(piece.snippet().annotations(primary.chain(secondary)));
    } else if let (Some(source), Some(primary)) = (source, &report.primary) {
        main = main.element(Level::NOTE.message(visible(&place(source, primary.span))));
    }
    for note in &report.notes {
        main = main.element(Level::NOTE.message(visible(note)));
    }
    if let Some(frame) = &report.frame {
        main = main.element(Level::NOTE.message(visible(&describe(frame))));
        main = main.element(Level::NOTE.message(format!("its bytes are {}", hex(frame))));
    }
    for help in &report.help {
        main = main.element(Level::HELP.message(visible(help)));
    }
    let mut groups = vec![main];
    let patched = source.zip(report.fix.as_ref()).and_then(|(source, fix)| {
        Piece::around(source, fix.edits.iter().map(|(span, _)| *span)).map(|piece| (piece, fix))
    });
    if let Some((piece, fix)) = &patched {
        let patches = fix.edits.iter().map(|(span, text)| {
            let lines: Vec<String> = text.split('\n').map(visible).collect();
            Patch::new(piece.local(*span), lines.join("\n"))
        });
        let snippet = Snippet::source(&piece.text)
            .path(piece.name.clone())
            .line_start(piece.line)
            .patches(patches);
        let title = Level::HELP.secondary_title(visible(&fix.message));
        groups.push(Group::with_title(title).element(snippet));
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&groups) + "\n"
}

/// The text with what could command a terminal replaced, byte for byte, so that places stay true.
///
/// ASCII control characters are left to annotate-snippets, which has its own signs for them.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c.len_utf8() {
            2 if hides(c) => '\u{b7}',
            3 if hides(c) => '\u{fffd}',
            _ => c,
        })
        .collect()
}

/// The lines of a policy around some places: a report on a large policy need not copy all of it.
struct Piece {
    name: String,
    text: String,
    /// Offset of the first byte.
    start: usize,
    /// Number of the first line.
    line: usize,
}

impl Piece {
    /// The whole lines that the places are on; `None` if there are no places or too many lines.
    fn around(source: &SourceFile, spans: impl Iterator<Item = Span>) -> Option<Self> {
        let all = spans.reduce(Span::to)?;
        let text = source.text();
        let before = text.get(..all.start.min(text.len()))?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let behind = text.get(all.end.min(text.len())..)?;
        let end = text.len() - behind.len() + behind.find('\n').unwrap_or(behind.len());
        Some(Self {
            name: visible(source.name()),
            text: text
                .get(start..end)
                .filter(|text| text.len() <= MOST_DRAWN)
                .map(harmless)?,
            start,
            line: source.place(start).line,
        })
    }

    fn snippet(&self) -> Snippet<'_, Annotation<'_>> {
        Snippet::source(&self.text)
            .path(self.name.clone())
            .line_start(self.line)
    }

    fn mark(&self, kind: AnnotationKind, label: &Label) -> Annotation<'_> {
        let annotation = kind.span(self.local(label.span));
        if label.message.is_empty() {
            annotation
        } else {
            annotation.label(visible(&label.message))
        }
    }

    /// The place within the piece: always inside of it and between characters, because a span
    /// that is not would make the drawing panic.
    fn local(&self, span: Span) -> Range<usize> {
        let inside = |offset: usize| {
            let mut at = offset.saturating_sub(self.start).min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = inside(span.start);
        start..inside(span.end).max(start)
    }
}

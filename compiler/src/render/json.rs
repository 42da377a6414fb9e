//! Reports as JSON, one object per line, for editors and scripts.
//!
//! Offsets are bytes from 0, lines and columns count from 1. Members are never left out: what is
//! not known is `null`, what there is none of is empty.

use policy_lang::diagnostic::{Code, Label};
use policy_lang::source::{SourceFile, Span};
use serde::Serialize;

use super::{Report, hex, severity};
use crate::frame_text::describe;

#[derive(Serialize)]
struct Line<'a> {
    severity: &'static str,
    code: Option<&'a str>,
    title: Option<&'static str>,
    message: &'a str,
    file: Option<&'a str>,
    labels: Vec<Place<'a>>,
    notes: &'a [String],
    help: &'a [String],
    fix: Option<Change<'a>>,
    frame: Option<Frame>,
}

#[derive(Serialize)]
struct Place<'a> {
    primary: bool,
    start: Position,
    end: Position,
    text: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Position {
    byte: usize,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct Change<'a> {
    message: &'a str,
    edits: Vec<Edit<'a>>,
}

#[derive(Serialize)]
struct Edit<'a> {
    start: Position,
    end: Position,
    replacement: &'a str,
}

#[derive(Serialize)]
struct Frame {
    text: String,
    hex: String,
}

/// The report as one line of JSON, without a line feed.
pub(crate) fn json(source: Option<&SourceFile>, report: &Report) -> String {
    let primary = report.primary.iter().map(|label| (true, label));
    let secondary = report.secondary.iter().map(|label| (false, label));
    let labels = source.map_or_else(Vec::new, |source| {
        primary
            .chain(secondary)
            .map(|(primary, label)| place(source, primary, label))
            .collect()
    });
    let fix = source.zip(report.fix.as_ref()).map(|(source, fix)| Change {
        message: &fix.message,
        edits: fix
            .edits
            .iter()
            .map(|(span, replacement)| {
                let (start, end) = ends(source, *span);
                Edit {
                    start,
                    end,
                    replacement,
                }
            })
            .collect(),
    });
    let line = Line {
        severity: severity(report.severity),
        code: report.code,
        title: report.code.and_then(Code::from_text).map(Code::title),
        message: &report.message,
        file: source.map(SourceFile::name),
        labels,
        notes: &report.notes,
        help: &report.help,
        fix,
        frame: report.frame.as_ref().map(|frame| Frame {
            text: describe(frame),
            hex: hex(frame),
        }),
    };
    // Nothing in these records can fail to become JSON: they are strings and numbers.
    serde_json::to_string(&line).unwrap_or_default()
}

fn place<'a>(source: &'a SourceFile, primary: bool, label: &'a Label) -> Place<'a> {
    let (start, end) = ends(source, label.span);
    Place {
        primary,
        start,
        end,
        text: source.slice(label.span),
        message: &label.message,
    }
}

fn ends(source: &SourceFile, span: Span) -> (Position, Position) {
    let position = |byte| {
        let place = source.place(byte);
        Position {
            byte,
            line: place.line,
            column: place.column,
        }
    };
    (position(span.start), position(span.end))
}

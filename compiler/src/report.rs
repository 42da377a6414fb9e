//! Reports as plain data: a page of sections, with paragraphs, facts, charts and tables in them.
//!
//! A command says what it found as a [`Page`]; the writers beside this file, one per format, make
//! bytes of it. No writer reads a clock or does input or output, and the same page gives the same
//! bytes. What a number looks like is part of the data ([`Cell::Number`] states its digits), so that
//! a terminal, a CSV file and a web page show the same number.

pub mod csv;
pub mod html;
pub mod svg;
pub mod text;

use serde::Serialize;

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Page {
    /// What it is about, in a few words.
    pub title: String,
    /// What a reader should know first, in paragraphs.
    pub introduction: Vec<String>,
    /// The parts, in the order of reading.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Section {
    /// What it is about.
    pub heading: String,
    /// What it says, in the order of reading.
    pub blocks: Vec<Block>,
}

/// One thing in a section.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// Running text.
    Paragraph(String),
    /// Text to be copied as it stands, such as a piece of a policy.
    Code(String),
    /// Names with values.
    Facts(Vec<Fact>),
    /// A drawing.
    Chart(Chart),
    /// Rows and columns.
    Table(Table),
}

/// A name with a value, such as the seed of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: Cell,
    /// Unit of the value; may be empty.
    pub unit: String,
}

impl Fact {
    /// A fact.
    pub fn new(name: impl Into<String>, value: impl Into<Cell>, unit: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            unit: unit.into(),
        }
    }
}

/// Lines over two axes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Chart {
    /// Name for links and files: lower-case letters, digits and hyphens, unique in its page.
    pub id: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What there is to see, in a sentence or two; stands below it.
    pub caption: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the most important first.
    pub lines: Vec<Line>,
    /// Places worth pointing at.
    pub marks: Vec<Mark>,
}

/// An axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Axis {
    /// What is measured along it.
    pub label: String,
    /// In which unit; may be empty.
    pub unit: String,
    /// How values are spread.
    pub scale: Scale,
    /// What must be on it beside the data, such as 0, or 1 and 4.5 for MOS. On a logarithmic axis
    /// only values above 0 count.
    pub include: Vec<f64>,
}

impl Axis {
    /// A linear axis that shows what the data need.
    pub fn linear(label: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            unit: unit.into(),
            ..Self::default()
        }
    }

    /// A logarithmic axis that shows what the data need.
    pub fn log(label: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            scale: Scale::Log,
            ..Self::linear(label, unit)
        }
    }

    /// The same axis with these values on it.
    #[must_use]
    pub fn with(mut self, values: &[f64]) -> Self {
        self.include.extend_from_slice(values);
        self
    }
}

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences look equal.
    #[default]
    Linear,
    /// Equal ratios look equal; values of 0 and less are left out.
    Log,
}

/// A series of points with a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Line {
    /// What it is, for the legend.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// Its points, by ascending x. A point that is not finite interrupts it.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Straight from point to point.
    #[default]
    Line,
    /// Each value holds until the next point.
    Steps,
    /// Points alone.
    Dots,
}

/// Something worth pointing at in a chart; the axes reach as far as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// What it is, in a word or three.
    pub label: String,
    /// Where it is.
    pub place: Place,
}

/// Where a [`Mark`] is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A vertical line there, such as the knee or a failure.
    X(f64),
    /// A horizontal line there, such as a limit or the paper's value.
    Y(f64),
    /// A point.
    Point(f64, f64),
}

impl Place {
    /// Its values along both axes, as far as it has one.
    fn at(self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::X(x) => (Some(x), None),
            Self::Y(y) => (None, Some(y)),
            Self::Point(x, y) => (Some(x), Some(y)),
        }
    }
}

/// Rows and columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// Name for links and files: lower-case letters, digits and hyphens, unique in its page.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// What is in the columns; the first one names the row.
    pub columns: Vec<Column>,
    /// The rows, with a cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Column {
    /// What is in it.
    pub heading: String,
    /// In which unit; may be empty.
    pub unit: String,
    /// At which side its cells line up.
    pub align: Align,
}

impl Column {
    /// A column of words.
    pub fn text(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            ..Self::default()
        }
    }

    /// A column of numbers.
    pub fn number(heading: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            unit: unit.into(),
            align: Align::Right,
        }
    }
}

/// At which side cells line up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// Words.
    #[default]
    Left,
    /// Numbers.
    Right,
}

/// What stands at one place of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// Nothing is known there.
    #[default]
    Empty,
    /// Words.
    Text(String),
    /// A number.
    Number {
        /// Its value; one that is not finite counts as unknown.
        value: f64,
        /// Digits after the point.
        digits: usize,
    },
}

impl Cell {
    /// A number with this many digits after the point.
    #[must_use]
    pub const fn number(value: f64, digits: usize) -> Self {
        Self::Number { value, digits }
    }

    /// A number, or nothing.
    #[must_use]
    pub fn maybe(value: Option<f64>, digits: usize) -> Self {
        value.map_or(Self::Empty, |value| Self::number(value, digits))
    }

    /// How it is written, in every format: empty if nothing is known.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number { value, .. } if !value.is_finite() => String::new(),
            Self::Number { value, digits } => {
                let written = format!("{value:.digits$}");
                // A loss that rounds to none is none, not a negative one.
                match written.strip_prefix('-') {
                    Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
                    _ => written,
                }
            }
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::number(count as f64, 0)
    }
}

impl Serialize for Cell {
    /// As `null`, a string, or the number as it is written, so that what a program reads is what
    /// a person sees.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number { .. } => {
                let written = self.written();
                if let Ok(whole) = written.parse::<i64>() {
                    serializer.serialize_i64(whole)
                } else if let Ok(number) = written.parse::<f64>() {
                    serializer.serialize_f64(number)
                } else {
                    serializer.serialize_none()
                }
            }
        }
    }
}

/// A number in about three digits, where none are stated.
fn significant(value: f64) -> String {
    let digits = [(100.0, 0), (10.0, 1), (1.0, 2)]
        .into_iter()
        .find(|(least, _)| value.abs() >= *least)
        .map_or(3, |(_, digits)| digits);
    let text = Cell::number(value, digits).written();
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

/// Text for SVG and HTML. Control characters, which XML can't have, become the mark of what can't
/// be shown.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;

//! Reports for spreadsheets and programs: CSV after RFC 4180, with line feeds alone, as tools on
//! Unix write it. Text is quoted only where it must be.

use super::{Axis, Chart, Table};

/// A table: a line of headings, with units, and a line per row.
#[must_use]
pub fn table(table: &Table) -> String {
    let headings = table
        .columns
        .iter()
        .map(|column| with_unit(&column.heading, &column.unit));
    let mut text = line(headings);
    for row in &table.rows {
        text += &line(row.iter().map(super::Cell::written));
    }
    text
}

/// A chart: a line for every point of every series, none left out.
#[must_use]
pub fn chart(chart: &Chart) -> String {
    let axis = |axis: &Axis| with_unit(&axis.label, &axis.unit);
    let mut text = line([String::from("series"), axis(&chart.x), axis(&chart.y)].into_iter());
    for series in &chart.lines {
        for (x, y) in &series.points {
            text += &line([series.name.clone(), number(*x), number(*y)].into_iter());
        }
    }
    text
}

fn with_unit(name: &str, unit: &str) -> String {
    match unit {
        "" => name.to_owned(),
        unit => format!("{name} ({unit})"),
    }
}

/// The shortest text that reads back as the same number; nothing if it is not finite.
fn number(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let fields: Vec<String> = fields.map(field).collect();
    fields.join(",") + "\n"
}

fn field(text: String) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

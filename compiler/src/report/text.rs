//! Reports for a terminal: no line is longer than the terminal is wide, but for a single word or
//! column that is.
//!
//! A table that is too wide is cut into panels that repeat the first column. A chart becomes a line
//! of block characters for each of its series, its peaks kept.

use super::{Align, Block, Cell, Chart, Column, Fact, Line, Page, Table, significant};

/// Blanks between two columns.
const GAP: usize = 2;

/// Heights of a column of a drawn line, lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The narrowest and the widest that a series is drawn.
const DRAWN: (usize, usize) = (8, 60);

/// A whole report.
#[must_use]
pub fn page(page: &Page, width: usize) -> String {
    let mut parts = vec![page.title.clone() + "\n"];
    parts.extend(page.introduction.iter().map(|text| wrapped(text, width)));
    for section in &page.sections {
        parts.push(heading(&section.heading));
        parts.extend(section.blocks.iter().map(|content| block(content, width)));
    }
    parts.join("\n")
}

/// A heading, underlined.
fn heading(text: &str) -> String {
    format!("{text}\n{}\n", "-".repeat(text.chars().count()))
}

/// One thing in a section, without an empty line around it.
#[must_use]
pub fn block(block: &Block, width: usize) -> String {
    match block {
        Block::Paragraph(text) => wrapped(text, width),
        Block::Code(text) => text.lines().map(|line| format!("    {line}\n")).collect(),
        Block::Facts(list) => facts(list),
        Block::Chart(drawn) => chart(drawn, width),
        Block::Table(rows) => table(rows, width),
    }
}

/// Text in lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push('\n');
            used = 0;
        }
        if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
    }
    lines + "\n"
}

fn facts(facts: &[Fact]) -> String {
    let widest = facts
        .iter()
        .map(|fact| fact.name.chars().count())
        .max()
        .unwrap_or_default();
    facts
        .iter()
        .map(|fact| {
            let name = padded(&fact.name, widest, Align::Left);
            let value = shown(&fact.value);
            format!("{name}  {value} {}", fact.unit)
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

/// A table, with its caption above it.
#[must_use]
pub fn table(table: &Table, width: usize) -> String {
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|index| column_width(table, index))
        .collect();
    let mut text = if table.caption.is_empty() {
        String::new()
    } else {
        wrapped(&table.caption, width)
    };
    for (index, panel) in panels(&widths, width).iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&draw(table, &widths, panel));
    }
    text
}

/// How wide a column is.
fn column_width(table: &Table, index: usize) -> usize {
    let head = table.columns.get(index).map_or(0, |column| {
        column
            .heading
            .chars()
            .count()
            .max(column.unit.chars().count())
    });
    let cells = table.rows.iter().filter_map(|row| row.get(index));
    cells
        .map(|cell| shown(cell).chars().count())
        .fold(head, usize::max)
}

/// The columns in groups that fit side by side, each with the first column in front.
fn panels(widths: &[usize], width: usize) -> Vec<Vec<usize>> {
    let first = widths.first().copied().unwrap_or_default();
    let mut panels = Vec::new();
    let (mut panel, mut used) = (vec![0], first);
    for (index, column) in widths.iter().enumerate().skip(1) {
        if panel.len() > 1 && used + GAP + column > width {
            panels.push(std::mem::replace(&mut panel, vec![0]));
            used = first;
        }
        panel.push(index);
        used += GAP + column;
    }
    panels.push(panel);
    panels
}

/// Some columns of a table.
fn draw(table: &Table, widths: &[usize], panel: &[usize]) -> String {
    let line = |cell: &dyn Fn(usize, &Column) -> String| {
        let cells: Vec<String> = panel
            .iter()
            .filter_map(|&index| {
                let (column, width) = (table.columns.get(index)?, widths.get(index)?);
                Some(padded(&cell(index, column), *width, column.align))
            })
            .collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned() + "\n"
    };
    let mut text = line(&|_, column| column.heading.clone());
    if table.columns.iter().any(|column| !column.unit.is_empty()) {
        text += &line(&|_, column| column.unit.clone());
    }
    for row in &table.rows {
        text += &line(&|index, _| row.get(index).map(shown).unwrap_or_default());
    }
    text
}

/// A cell as it is shown: what is not known is a dash.
fn shown(cell: &Cell) -> String {
    match (cell, cell.written()) {
        (Cell::Text(_), text) => text,
        (_, written) if written.is_empty() => String::from("-"),
        (_, written) => written,
    }
}

fn padded(text: &str, width: usize, align: Align) -> String {
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

/// A chart: a line per series.
fn chart(chart: &Chart, width: usize) -> String {
    let unit = |label: &str, unit: &str| match unit {
        "" => label.to_owned(),
        unit => format!("{label} ({unit})"),
    };
    let (x, y) = (&chart.x, &chart.y);
    let axes = format!(
        "{}: {} over {}",
        chart.title,
        unit(&y.label, &y.unit),
        unit(&x.label, &x.unit)
    );
    let mut text = wrapped(&axes, width);
    let widest = chart
        .lines
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or_default();
    for line in &chart.lines {
        text += &format!(
            "  {:<widest$}  {}\n",
            line.name,
            series(line, width, widest)
        );
    }
    text
}

/// A series as blocks, with its least and its largest value.
fn series(line: &Line, width: usize, indent: usize) -> String {
    let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let values: Vec<f64> = line.points.iter().filter(finite).map(|p| p.1).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        return String::from("no points");
    }
    let (from, to) = (significant(least), significant(most));
    // What is the same in the digits that are shown is drawn as the same.
    let most = if from == to { least } else { most };
    let range = format!("  {from} to {to}");
    let room = width.saturating_sub(indent + 4 + range.len());
    let columns = room.clamp(DRAWN.0, DRAWN.1).min(values.len());
    let drawn: String = values
        .chunks(values.len().div_ceil(columns))
        .map(|part| {
            let peak = part.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            level(peak, least, most)
        })
        .collect();
    drawn + &range
}

/// The block for a value between the least and the largest.
fn level(value: f64, least: f64, most: f64) -> char {
    let share = (value - least) / (most - least);
    let reached = (1_u8..8)
        .zip(BLOCKS.iter().skip(1))
        .take_while(|(step, _)| share * 8.0 >= f64::from(*step))
        .last();
    reached.map_or('▁', |(_, block)| *block)
}

//! A report as one HTML file that needs nothing else: no network, no script. It is readable on a
//! phone and on paper, and follows the reader's choice of light or dark.
//!
//! Each chart is drawn twice, for wide and for narrow screens, and a rule of the style sheet shows
//! one of them: a picture that is only scaled down can't be read. The data stand in the page as
//! JSON, with the very numbers of the tables; of a chart they have the points that are drawn.

use std::fmt::Write;

use super::{Align, Block, Cell, Chart, Column, Fact, Page, Section, Table, escape, svg};

/// Rules for everything but charts.
const STYLE: &str = include_str!("html/page.css");

/// Nothing may be loaded and nothing may run, whatever is in the text.
const SECURITY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// A whole report.
#[must_use]
pub fn page(page: &Page) -> String {
    let title = escape(&page.title);
    let mut html = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{SECURITY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{STYLE}{}</style>
</head>
<body>
<header>
<h1>{title}</h1>
"#,
        svg::STYLE
    );
    for text in &page.introduction {
        paragraph(&mut html, text);
    }
    html.push_str("</header>\n");
    if page.sections.len() > 2 {
        contents(&mut html, &page.sections);
    }
    html.push_str("<main>\n");
    for (number, section) in (1..).zip(&page.sections) {
        let _ = writeln!(
            html,
            "<section aria-labelledby=\"part-{number}\">\n<h2 id=\"part-{number}\">{}</h2>",
            escape(&section.heading)
        );
        for content in &section.blocks {
            block(&mut html, content);
        }
        html.push_str("</section>\n");
    }
    let _ = write!(
        html,
        "</main>\n<footer>Made by epochgate {}. The numbers are in this file as JSON, in the \
element with the id <code>data</code>.</footer>\n\
<script type=\"application/json\" id=\"data\">{}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        data(page)
    );
    html
}

fn contents(html: &mut String, sections: &[Section]) {
    html.push_str("<nav aria-label=\"Contents\"><ol>\n");
    for (number, section) in (1..).zip(sections) {
        let heading = escape(&section.heading);
        let _ = writeln!(html, "<li><a href=\"#part-{number}\">{heading}</a></li>");
    }
    html.push_str("</ol></nav>\n");
}

fn paragraph(html: &mut String, text: &str) {
    let _ = writeln!(html, "<p>{}</p>", running(text));
}

/// Running text: what stands in backticks is code.
fn running(text: &str) -> String {
    let escaped = escape(text);
    let parts: Vec<&str> = escaped.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // One backtick is without its other.
        return escaped;
    }
    let mut html = String::with_capacity(escaped.len());
    for (index, part) in parts.iter().enumerate() {
        if index.is_multiple_of(2) {
            html.push_str(part);
        } else {
            let _ = write!(html, "<code>{part}</code>");
        }
    }
    html
}

fn block(html: &mut String, block: &Block) {
    match block {
        Block::Paragraph(text) => paragraph(html, text),
        Block::Code(text) => {
            let text = escape(text.trim_end());
            let _ = writeln!(html, "<pre tabindex=\"0\"><code>{text}</code></pre>");
        }
        Block::Facts(list) => facts(html, list),
        Block::Chart(drawn) => chart(html, drawn),
        Block::Table(rows) => table(html, rows),
    }
}

fn facts(html: &mut String, facts: &[Fact]) {
    html.push_str("<dl>\n");
    for fact in facts {
        let (name, value) = (escape(&fact.name), shown(&fact.value));
        let unit = match fact.unit.as_str() {
            "" => String::new(),
            unit => format!(" {}", escape(unit)),
        };
        let _ = writeln!(html, "<dt>{name}</dt><dd><span>{value}</span>{unit}</dd>");
    }
    html.push_str("</dl>\n");
}

fn chart(html: &mut String, chart: &Chart) {
    let _ = writeln!(
        html,
        "<figure id=\"{}\">\n{}{}<figcaption><strong>{}</strong> {}</figcaption>\n</figure>",
        escape(&chart.id),
        svg::inline(chart, svg::WIDE),
        svg::inline(chart, svg::NARROW),
        escape(&chart.title),
        running(&chart.caption)
    );
}

fn table(html: &mut String, table: &Table) {
    let id = escape(&table.id);
    let _ = writeln!(
        html,
        "<figure class=\"table\">\n<figcaption id=\"{id}-caption\">{}</figcaption>\n\
<div class=\"scroll\" role=\"region\" aria-labelledby=\"{id}-caption\" tabindex=\"0\">\n\
<table id=\"{id}\" aria-labelledby=\"{id}-caption\">\n<thead><tr>",
        running(&table.caption)
    );
    for column in &table.columns {
        let unit = match column.unit.as_str() {
            "" => String::new(),
            unit => format!(" <small>{}</small>", escape(unit)),
        };
        let heading = escape(&column.heading);
        let _ = writeln!(
            html,
            "<th scope=\"col\"{}>{heading}{unit}</th>",
            class(column)
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (index, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
            let (class, cell) = (class(column), shown(cell));
            let _ = match index {
                0 => write!(html, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => write!(html, "<td{class}>{cell}</td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n</figure>\n");
}

fn class(column: &Column) -> &'static str {
    match column.align {
        Align::Left => "",
        Align::Right => " class=\"n\"",
    }
}

/// A cell as it is shown: what is not known is a dash.
fn shown(cell: &Cell) -> String {
    match (cell, cell.written()) {
        (Cell::Text(_), text) => escape(&text),
        (_, written) if written.is_empty() => String::from("–"),
        (_, written) => written,
    }
}

/// The page as JSON that can't end the element it is in.
fn data(page: &Page) -> String {
    let mut page = page.clone();
    let blocks = page.sections.iter_mut().flat_map(|s| &mut s.blocks);
    for block in blocks {
        if let Block::Chart(chart) = block {
            chart.lines = svg::drawn(chart);
        }
    }
    // Strings and numbers always become JSON; numbers that are not finite become null.
    let json = serde_json::to_string(&page).unwrap_or_default();
    json.replace('<', "\\u003c")
}

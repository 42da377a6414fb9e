//! Charts as SVG: small, with a title and a description for those who can't see them, and with
//! colours for light and dark screens. Series differ by their dashes too, not by colour alone.
//!
//! The elements are written here, without a library for plotting: those fix every colour in every
//! element, which leaves no room for a dark screen, and measure text with fonts of the machine that
//! draws.

mod draw;
mod scale;
mod thin;

use super::{Axis, Chart, Line, Place, Style};
use scale::Ruler;

/// Rules for the elements of a chart, to be put into a page that holds charts.
pub(super) const STYLE: &str = include_str!("svg/chart.css");

/// Room for a drawing, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    /// What ids and classes end with.
    pub(super) name: &'static str,
    width: f64,
    height: f64,
    font: f64,
}

/// For screens and paper.
pub(super) const WIDE: Size = Size {
    name: "wide",
    width: 720.0,
    height: 360.0,
    font: 13.0,
};

/// For phones.
pub(super) const NARROW: Size = Size {
    name: "narrow",
    width: 340.0,
    height: 300.0,
    font: 12.0,
};

/// A chart as a file of its own, with its title drawn.
#[must_use]
pub fn chart(chart: &Chart) -> String {
    let head = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    format!("{head}\n{}", draw::svg(chart, WIDE, true))
}

/// A chart as an element of a page that has [`STYLE`] and says the title itself.
pub(super) fn inline(chart: &Chart, size: Size) -> String {
    draw::svg(chart, size, false)
}

/// The points that are drawn of a chart at its wider size, which are all that a page needs to hold.
pub(super) fn drawn(chart: &Chart) -> Vec<Line> {
    let plot = Plot::new(chart, WIDE, false);
    let lines = chart.lines.iter().map(|line| Line {
        points: plot
            .kept(line)
            .into_iter()
            .filter_map(|index| line.points.get(index).copied())
            .collect(),
        ..line.clone()
    });
    lines.collect()
}

/// Where everything is.
struct Plot {
    size: Size,
    x: Ruler,
    y: Ruler,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    /// Where the legend's entries begin: x and the y of their text.
    legend: Vec<(f64, f64)>,
    /// Where the title's text is, if it is drawn.
    title: Option<f64>,
    /// Where the text about the vertical axis is.
    y_label: f64,
    /// The vertical lines of marks, from left to right.
    upright: Vec<Upright>,
}

/// A vertical line with its label above the plot.
struct Upright {
    x: f64,
    label: String,
    /// Where the label's text begins or ends.
    text: f64,
    anchor: &'static str,
    /// In which row it is, the lowest first.
    row: usize,
}

/// Width of the piece of line in front of a legend's entry, with the gap behind it.
const SWATCH: f64 = 30.0;

impl Plot {
    fn new(chart: &Chart, size: Size, with_title: bool) -> Self {
        let finite = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let points = || {
            let all = chart.lines.iter().flat_map(|line| &line.points);
            all.copied().filter(finite)
        };
        let font = size.font;
        let line_height = (font * 1.5).round();
        // What is marked is on the paper too.
        let marks = || chart.marks.iter().map(|mark| mark.place.at());
        let x = points().map(|p| p.0).chain(marks().filter_map(|(x, _)| x));
        let y = points().map(|p| p.1).chain(marks().filter_map(|(_, y)| y));
        let x = Ruler::new(&chart.x, x, size.width / 80.0, false);
        let y = Ruler::new(&chart.y, y, 5.0, true);
        let widest = y.ticks.iter().map(|(_, label)| width_of(label, font));
        let left = (widest.fold(0.0, f64::max) + 14.0).round();
        let right = size.width - 22.0;
        let mut text = 6.0 + font;
        let title = with_title.then_some(text);
        if with_title {
            text += line_height + 2.0;
        }
        let mut legend = Vec::new();
        if chart.lines.len() > 1 {
            let mut at = 10.0;
            for line in &chart.lines {
                let width = SWATCH + width_of(&line.name, font) + 16.0;
                if at > 10.0 && at + width > size.width {
                    at = 10.0;
                    text += line_height;
                }
                legend.push((at, text));
                at += width;
            }
            text += line_height;
        }
        let mut plot = Self {
            size,
            x,
            y,
            left,
            top: text + 10.0,
            right,
            bottom: size.height - 2.0 * line_height - 8.0,
            legend,
            title,
            y_label: text,
            upright: Vec::new(),
        };
        plot.upright = plot.uprights(chart);
        // Their rows make the chart higher, not the plot lower.
        let rows = plot.upright.iter().map(|upright| upright.row + 1).max();
        for _ in 0..rows.unwrap_or_default() {
            plot.top += line_height;
            plot.bottom += line_height;
            plot.size.height += line_height;
        }
        plot
    }

    /// Where the labels of vertical lines go: in as many rows as they need.
    fn uprights(&self, chart: &Chart) -> Vec<Upright> {
        let mut lines: Vec<(f64, &str)> = chart
            .marks
            .iter()
            .filter_map(|mark| match mark.place {
                Place::X(value) => Some((self.x_of(value)?, mark.label.as_str())),
                Place::Y(_) | Place::Point(..) => None,
            })
            .collect();
        lines.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut taken: Vec<f64> = Vec::new();
        lines
            .into_iter()
            .map(|(x, label)| {
                let width = width_of(label, self.size.font);
                let (text, anchor) = if x - 4.0 + width > self.size.width {
                    (x + 4.0, "end")
                } else {
                    (x - 4.0, "start")
                };
                let (from, to) = match anchor {
                    "end" => (text - width, text),
                    _ => (text, text + width),
                };
                let row = taken.iter().position(|taken| *taken < from);
                let row = row.unwrap_or(taken.len());
                if row == taken.len() {
                    taken.push(to);
                } else if let Some(taken) = taken.get_mut(row) {
                    *taken = to + 8.0;
                }
                Upright {
                    x,
                    label: label.to_owned(),
                    text,
                    anchor,
                    row,
                }
            })
            .collect()
    }

    /// The pixel of a value along the horizontal axis.
    fn x_of(&self, value: f64) -> Option<f64> {
        Some(self.left + self.x.share(value)? * (self.right - self.left))
    }

    /// The pixel of a value along the vertical axis.
    fn y_of(&self, value: f64) -> Option<f64> {
        Some(self.bottom - self.y.share(value)? * (self.bottom - self.top))
    }

    fn pixels(&self, line: &Line) -> Vec<Option<(f64, f64)>> {
        let pixel = |(x, y): &(f64, f64)| Some((self.x_of(*x)?, self.y_of(*y)?));
        line.points.iter().map(pixel).collect()
    }

    /// Which points of a series are drawn.
    fn kept(&self, line: &Line) -> Vec<usize> {
        let pixels = self.pixels(line);
        match line.style {
            Style::Line | Style::Steps => thin::line(&pixels),
            Style::Dots => thin::dots(&pixels),
        }
    }
}

/// About how wide a text is, rather too wide than too narrow.
fn width_of(text: &str, font: f64) -> f64 {
    text.chars().fold(0.0, |width, _| width + font * 0.6)
}

/// An axis in words.
fn named(axis: &Axis) -> String {
    match axis.unit.as_str() {
        "" => axis.label.clone(),
        unit => format!("{} ({unit})", axis.label),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Chart, Line, Mark, Place};
    use super::{NARROW, Plot, WIDE, chart, drawn};

    #[test]
    fn what_is_marked_is_on_the_paper() {
        let mark = |place| Mark {
            label: String::from("there"),
            place,
        };
        let marked = Chart {
            lines: vec![Line {
                points: vec![(1.0, 1.0), (2.0, 2.0)],
                ..Line::default()
            }],
            marks: vec![
                mark(Place::X(-5.0)),
                mark(Place::Y(90.0)),
                mark(Place::Point(300.0, -7.0)),
            ],
            ..Chart::default()
        };
        for size in [WIDE, NARROW] {
            let plot = Plot::new(&marked, size, false);
            for x in [-5.0, 1.0, 300.0] {
                let at = plot.x_of(x).unwrap();
                assert!((plot.left..=plot.right).contains(&at), "{x}: {at}");
            }
            for y in [-7.0, 1.0, 90.0] {
                let at = plot.y_of(y).unwrap();
                assert!((plot.top..=plot.bottom).contains(&at), "{y}: {at}");
            }
        }
    }

    #[test]
    fn a_long_series_makes_a_small_chart_with_its_peak() {
        let points = (0..200_000_u32).map(|n| {
            let value = if n == 77_777 { 50.0 } else { f64::from(n % 7) };
            (f64::from(n) / 1000.0, value)
        });
        let long = Chart {
            id: String::from("long"),
            x: Axis::linear("time", "s"),
            y: Axis::linear("jitter", "ms"),
            lines: vec![Line {
                points: points.collect(),
                ..Line::default()
            }],
            ..Chart::default()
        };
        let text = chart(&long);
        assert!(text.len() < 60_000, "{} bytes", text.len());
        assert!(drawn(&long)[0].points.contains(&(77.777, 50.0)));
    }
}

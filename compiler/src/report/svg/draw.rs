//! The elements of a chart.

use std::fmt::Write;

use super::{Plot, STYLE, SWATCH, Size, named, width_of};
use crate::report::{Cell, Chart, Line, Place, Scale, Style, escape, significant};

/// With more points than this on a line, the points themselves are not shown.
const MOST_DOTTED: usize = 40;

/// Series have as many styles.
const STYLES: usize = 6;

/// Writes the whole element.
pub(super) fn svg(chart: &Chart, size: Size, alone: bool) -> String {
    let plot = Plot::new(chart, size, alone);
    let mut drawing = Drawing {
        text: String::new(),
        plot: &plot,
    };
    drawing.begin(chart, alone);
    drawing.axes(chart);
    for (index, line) in chart.lines.iter().enumerate() {
        drawing.series(index, line);
    }
    drawing.legend(chart);
    drawing.marks(chart);
    drawing.text + "</svg>\n"
}

struct Drawing<'a> {
    text: String,
    plot: &'a Plot,
}

impl Drawing<'_> {
    fn add(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }

    /// A text; `class` and `anchor` as SVG has them.
    fn words(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, words: &str) {
        let element = format!(
            r#"<text x="{}" y="{}" class="{class}" text-anchor="{anchor}">{}</text>"#,
            px(x),
            px(y),
            escape(words)
        );
        self.add(&element);
    }

    fn path(&mut self, class: &str, path: &str) {
        self.add(&format!(r#"<path class="{class}" d="{path}"/>"#));
    }

    fn begin(&mut self, chart: &Chart, alone: bool) {
        let Size {
            name,
            width,
            height,
            font,
        } = self.plot.size;
        let id = format!("{}-{name}", escape(&chart.id));
        let (space, style) = if alone {
            let space = r#" xmlns="http://www.w3.org/2000/svg""#;
            (space, format!("<style>\n{STYLE}</style>\n"))
        } else {
            ("", String::new())
        };
        let head = format!(
            r#"<svg{space} class="chart {name}" role="img" aria-labelledby="{id}-title {id}-desc" viewBox="0 0 {width} {height}" font-size="{font}">
<title id="{id}-title">{}</title>
<desc id="{id}-desc">{}</desc>
{style}<rect class="paper" width="{width}" height="{height}"/>"#,
            escape(&chart.title),
            escape(&description(chart))
        );
        self.add(&head);
        if let Some(y) = self.plot.title {
            self.words((10.0, y), "strong", "start", &chart.title);
        }
    }

    fn axes(&mut self, chart: &Chart) {
        let plot = self.plot;
        let font = plot.size.font;
        let (left, right, top, bottom) = (plot.left, plot.right, plot.top, plot.bottom);
        let mut grid = String::new();
        for (value, _) in &plot.y.ticks {
            if let Some(y) = plot.y_of(*value) {
                let _ = write!(grid, "M{} {}H{}", px(left), px(y), px(right));
            }
        }
        for (value, _) in &plot.x.ticks {
            if let Some(x) = plot.x_of(*value) {
                let _ = write!(grid, "M{} {}V{}", px(x), px(top), px(bottom));
            }
        }
        self.path("grid", &grid);
        let frame = format!("M{} {}V{}H{}", px(left), px(top), px(bottom), px(right));
        self.path("frame", &frame);
        for (value, label) in &plot.y.ticks {
            if let Some(y) = plot.y_of(*value) {
                self.words((left - 6.0, y + font * 0.35), "soft", "end", label);
            }
        }
        let mut free = f64::NEG_INFINITY;
        for (value, label) in &plot.x.ticks {
            let half = width_of(label, font) / 2.0;
            let place = plot.x_of(*value).filter(|x| x - half > free);
            if let Some(x) = place {
                free = x + half + 4.0;
                // The last label stays on the paper.
                let x = x.min(plot.size.width - half);
                self.words((x, bottom + font * 1.4), "soft", "middle", label);
            }
        }
        self.words((10.0, plot.y_label), "", "start", &named(&chart.y));
        let place = (right, bottom + font * 2.8);
        self.words(place, "", "end", &named(&chart.x));
    }

    fn series(&mut self, index: usize, line: &Line) {
        let plot = self.plot;
        let style = index % STYLES;
        let pixels = plot.pixels(line);
        let kept: Vec<Option<(f64, f64)>> = plot
            .kept(line)
            .into_iter()
            .map(|place| pixels.get(place).copied().flatten())
            .collect();
        if line.style != Style::Dots {
            let path = joined(&kept, line.style);
            self.path(&format!("line s{style}"), &path);
        }
        if line.style == Style::Dots || (line.style == Style::Line && kept.len() <= MOST_DOTTED) {
            let mut path = String::new();
            for (x, y) in kept.iter().flatten() {
                let _ = write!(path, "M{} {}h0", px(*x), px(*y));
            }
            self.path(&format!("dots s{style}"), &path);
        }
    }

    fn legend(&mut self, chart: &Chart) {
        let plot = self.plot;
        for (index, (line, (x, y))) in chart.lines.iter().zip(&plot.legend).enumerate() {
            let style = index % STYLES;
            let middle = y - plot.size.font * 0.35;
            if line.style == Style::Dots {
                let path = format!("M{} {}h0", px(x + 11.0), px(middle));
                self.path(&format!("dots s{style}"), &path);
            } else {
                let path = format!("M{} {}h22", px(*x), px(middle));
                self.path(&format!("line s{style}"), &path);
            }
            self.words((x + SWATCH, *y), "", "start", &line.name);
        }
    }

    fn marks(&mut self, chart: &Chart) {
        let plot = self.plot;
        let font = plot.size.font;
        for mark in &chart.marks {
            match mark.place {
                Place::X(_) => {}
                Place::Y(value) => {
                    if let Some(y) = plot.y_of(value) {
                        let path = format!("M{} {}H{}", px(plot.left), px(y), px(plot.right));
                        self.path("mark", &path);
                        let above = y - 5.0;
                        let text = if above - font < plot.top {
                            y + font + 3.0
                        } else {
                            above
                        };
                        self.words((plot.right - 4.0, text), "soft", "end", &mark.label);
                    }
                }
                Place::Point(x, y) => {
                    if let (Some(x), Some(y)) = (plot.x_of(x), plot.y_of(y)) {
                        let circle = format!(
                            r#"<circle class="frame" cx="{}" cy="{}" r="7"/>"#,
                            px(x),
                            px(y)
                        );
                        self.add(&circle);
                        let width = width_of(&mark.label, font);
                        let (at, anchor) = beside(x, 12.0, width, plot.right);
                        self.words((at, y - 9.0), "strong", anchor, &mark.label);
                    }
                }
            }
        }
        for upright in &plot.upright {
            let row = (0..upright.row).fold(plot.top - 5.0, |y, _| y - font * 1.5);
            let path = format!("M{} {}V{}", px(upright.x), px(row + 2.0), px(plot.bottom));
            self.path("mark", &path);
        }
        for upright in &plot.upright {
            let row = (0..upright.row).fold(plot.top - 5.0, |y, _| y - font * 1.5);
            let place = (upright.text, row);
            self.words(place, "strong", upright.anchor, &upright.label);
        }
    }
}

/// Where a label of this width goes: to the right of `x`, or to the left where there is no room.
fn beside(x: f64, gap: f64, width: f64, right: f64) -> (f64, &'static str) {
    if x + gap + width > right {
        (x - gap, "end")
    } else {
        (x + gap, "start")
    }
}

/// The path through points; a missing one interrupts it.
fn joined(points: &[Option<(f64, f64)>], style: Style) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for point in points {
        let Some((x, y)) = point else {
            drawing = false;
            continue;
        };
        let (x, y) = (px(*x), px(*y));
        let _ = match (drawing, style) {
            (false, _) => write!(path, "M{x} {y}"),
            (true, Style::Steps) => write!(path, "H{x}V{y}"),
            (true, _) => write!(path, "L{x} {y}"),
        };
        drawing = true;
    }
    path
}

/// A place to a tenth of a pixel.
fn px(value: f64) -> String {
    let text = Cell::number(value, 1).written();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// The chart in words: the axes, and where each series begins and ends, is lowest and highest.
fn description(chart: &Chart) -> String {
    let log = |scale| match scale {
        Scale::Linear => "",
        Scale::Log => ", logarithmic",
    };
    let mut text = format!(
        "Horizontal axis: {}{}. Vertical axis: {}{}.",
        named(&chart.x),
        log(chart.x.scale),
        named(&chart.y),
        log(chart.y.scale)
    );
    for line in &chart.lines {
        let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let points: Vec<&(f64, f64)> = line.points.iter().filter(finite).collect();
        let by_value = |a: &&&(f64, f64), b: &&&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = (
            points.first(),
            points.last(),
            points.iter().min_by(by_value),
            points.iter().max_by(by_value),
        );
        let (Some(first), Some(last), Some(least), Some(most)) = ends else {
            let _ = write!(text, " {}: no points.", line.name);
            continue;
        };
        let at = |(x, y): &(f64, f64)| format!("{} at {}", significant(*y), significant(*x));
        let _ = write!(
            text,
            " {}: from {} to {}; least {}, most {}.",
            line.name,
            at(first),
            at(last),
            at(least),
            at(most)
        );
    }
    for mark in &chart.marks {
        let place = match mark.place {
            Place::X(x) => format!("at {}", significant(x)),
            Place::Y(y) => format!("at the height of {}", significant(y)),
            Place::Point(x, y) => format!("{} at {}", significant(y), significant(x)),
        };
        let _ = write!(text, " Marked: {}, {place}.", mark.label);
    }
    text
}

//! Pictures of the calls, with the axes of `epochgate simulate --paper`: the paper's figures, measured on Xen.

use std::fs;
use std::path::Path;

use compiler::report::{Axis, Chart, Line, Mark, Place, csv, svg};

use super::run::Call;

/// A line of a picture: its name and the call over IPv4 that it shows.
pub type Shown<'a> = (&'a str, &'a Call);

/// The jitter of calls over time. `failure` is when the primary was killed, in milliseconds.
#[must_use]
pub fn jitter(
    id: &str,
    title: &str,
    caption: &str,
    shown: &[Shown<'_>],
    failure: Option<f64>,
) -> Chart {
    let lines = shown.iter().map(|(name, call)| Line {
        name: (*name).to_owned(),
        points: call.points.iter().map(|point| rounded(*point)).collect(),
        ..Line::default()
    });
    let mark = failure.map(|ms| Mark {
        label: String::from("failure"),
        place: Place::X(ms / 1e3),
    });
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        x: Axis::linear("time", "s"),
        y: Axis::linear("jitter", "ms").with(&[0.0]),
        lines: lines.collect(),
        marks: mark.into_iter().collect(),
    }
}

/// Seconds to a microsecond and jitter to a hundred nanoseconds, which is more than is known.
fn rounded((ms, jitter): (f64, f64)) -> (f64, f64) {
    ((ms * 1e3).round() / 1e6, (jitter * 1e4).round() / 1e4)
}

/// Writes a picture and its points as `ID.svg` and `ID.csv`.
///
/// # Errors
/// When a file can't be written.
pub fn write(directory: &Path, chart: &Chart) -> std::io::Result<()> {
    let path = |end: &str| directory.join(format!("{}.{end}", chart.id));
    fs::write(path("svg"), svg::chart(chart))?;
    fs::write(path("csv"), csv::chart(chart))
}

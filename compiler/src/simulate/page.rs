//! What people read: simulations and the paper's figures as pages of [`crate::report`].
//!
//! The jitter of RFC 3550 never stands alone in them: the largest gap, the longest burst and the
//! packets that are late for a jitter buffer are beside it.

mod comparison;
mod paper;

pub use comparison::comparison;
pub use paper::paper;

use qdisc_model::simulate::Point;

use crate::report::{Column, Line, Section, Style, Table};

use super::traffic::Told;

/// Why jitter does not stand alone.
pub(crate) const SATURATES: &str = "The jitter of RFC 3550 saturates near twice the packet time however long \
packets are held: read it with the gaps, the bursts and the late packets.";

/// The verdicts on a frame of each kind of traffic.
fn verdicts(verdicts: &[Told]) -> Table {
    Table {
        id: String::from("verdicts"),
        caption: String::from(
            "One frame of each kind, as the guest sends it, and what decides about it.",
        ),
        columns: ["traffic", "verdict", "frame", "because"]
            .map(Column::text)
            .to_vec(),
        rows: verdicts
            .iter()
            .map(|verdict| {
                vec![
                    verdict.kind.into(),
                    verdict.verdict.into(),
                    verdict.frame.as_str().into(),
                    verdict.because.as_str().into(),
                ]
            })
            .collect(),
    }
}

/// Jitter after each packet that comes within a time.
fn jitter_line(name: &str, points: &[Point], (from, to): (f64, f64)) -> Line {
    Line {
        name: name.to_owned(),
        style: Style::Line,
        points: points
            .iter()
            .filter(|point| (from..to).contains(&point.arrival.at_ms))
            .map(|point| (point.arrival.at_ms / 1e3, point.jitter_ms))
            .collect(),
    }
}

/// The time before each packet that comes within a time.
fn gap_line(name: &str, points: &[Point], (from, to): (f64, f64)) -> Line {
    let steps = points.iter().zip(points.iter().skip(1));
    Line {
        name: name.to_owned(),
        style: Style::Line,
        points: steps
            .filter(|(_, point)| (from..to).contains(&point.arrival.at_ms))
            .map(|(before, point)| {
                (
                    point.arrival.at_ms / 1e3,
                    point.arrival.at_ms - before.arrival.at_ms,
                )
            })
            .collect(),
    }
}

fn section(heading: &str, blocks: Vec<crate::report::Block>) -> Section {
    Section {
        heading: heading.to_owned(),
        blocks,
    }
}

//! The paper's figures as JSON: ours, and beside each what the paper says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::run::CallsJson;
use super::settings::timer;
use super::{print, round};
use crate::simulate::paper::measure::Measured;
use crate::simulate::paper::testbed::{PARAMETERS, window_ms};
use crate::simulate::paper::{Figure, Reproduced};

#[derive(Serialize)]
struct Whole {
    schema: &'static str,
    seed: u64,
    testbed: BTreeMap<&'static str, ParameterJson>,
    figures: BTreeMap<&'static str, FigureJson>,
}

#[derive(Serialize)]
struct ParameterJson {
    value: f64,
    unit: &'static str,
    origin: &'static str,
    reason: &'static str,
}

#[derive(Serialize)]
struct FigureJson {
    setup: &'static str,
    timer: Option<&'static str>,
    mean_jitter_ms: f64,
    max_jitter_ms: f64,
    #[serde(flatten)]
    measured: MeasuredJson,
    paper: PaperJson,
    other_timer: Option<OtherTimer>,
    call: CallsJson,
    jitter: Series,
}

#[derive(Serialize)]
struct MeasuredJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_period_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst_packets: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_period_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_ms: Option<f64>,
}

/// What the paper says. Its figures have no numbers on their axes; these are from its text.
#[derive(Serialize)]
struct PaperJson {
    claim: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_jitter_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_jitter_ms: Option<f64>,
    #[serde(flatten)]
    measured: MeasuredJson,
}

#[derive(Serialize)]
struct OtherTimer {
    timer: &'static str,
    #[serde(flatten)]
    measured: MeasuredJson,
}

/// Jitter over time in the part of the run that is drawn.
#[derive(Serialize)]
struct Series {
    at_ms: Vec<f64>,
    jitter_ms: Vec<f64>,
}

/// Figures of the paper, made with this seed.
#[must_use]
pub fn paper(seed: u64, figures: &[Reproduced]) -> String {
    print(&Whole {
        schema: "epochgate-paper-1",
        seed,
        testbed: PARAMETERS
            .iter()
            .map(|parameter| {
                let json = ParameterJson {
                    value: parameter.value,
                    unit: parameter.unit,
                    origin: parameter.origin.name(),
                    reason: parameter.reason,
                };
                (parameter.key, json)
            })
            .collect(),
        figures: figures
            .iter()
            .map(|figure| (figure.figure.name(), FigureJson::of(figure)))
            .collect(),
    })
}

impl FigureJson {
    fn of(made: &Reproduced) -> Self {
        let calls = &made.outcome.calls;
        let (from, to) = window_ms(made.figure);
        let (at_ms, jitter_ms) = made
            .outcome
            .points
            .iter()
            .filter(|point| (from..to).contains(&point.arrival.at_ms))
            .map(|point| (round(point.arrival.at_ms), round(point.jitter_ms)))
            .unzip();
        Self {
            setup: made.figure.setup(),
            timer: made.config.checkpoints.map(|c| timer(c.timer)),
            mean_jitter_ms: round(calls.mean_jitter_ms),
            max_jitter_ms: round(calls.max_jitter_ms),
            measured: made.measured.into(),
            paper: PaperJson::of(made.figure),
            other_timer: made.other_timer.map(|(other, measured)| OtherTimer {
                timer: timer(other),
                measured: measured.into(),
            }),
            call: calls.into(),
            jitter: Series { at_ms, jitter_ms },
        }
    }
}

impl From<Measured> for MeasuredJson {
    fn from(measured: Measured) -> Self {
        Self {
            peak_period_ms: measured.peak_period_ms.map(round),
            burst_packets: measured.burst_packets.map(round),
            interruption_period_ms: measured.interruption_period_ms.map(round),
            interruption_ms: measured.interruption_ms.map(round),
            gap_ms: measured.gap_ms.map(round),
        }
    }
}

impl PaperJson {
    fn of(figure: Figure) -> Self {
        let says = figure.paper();
        Self {
            claim: figure.claim(),
            mean_jitter_ms: says.mean_jitter_ms,
            max_jitter_ms: says.max_jitter_ms,
            measured: says.measured.into(),
        }
    }
}

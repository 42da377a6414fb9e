//! The curves over the interval. The knee and the recommended interval are marked in each.

use crate::report::{Axis, Chart, Line, Mark, Place};
use crate::tune::Tuned;
use crate::tune::sweep::Figures;

/// From here on users are satisfied: R 80 (G.107, Annex B).
const SATISFIED: f64 = 4.03;

/// Bytes of a kibibyte.
const KIB: f64 = 1024.0;

/// All of them.
pub(super) fn all(tuned: &Tuned) -> Vec<Chart> {
    let unreplicated = tuned.unreplicated;
    let mut charts = Vec::new();
    if tuned.plan.config.calls.count > 0 {
        charts.push(Chart {
            y: Axis::linear("MOS", "").with(&[1.0, 4.5]),
            lines: vec![
                line(tuned, "media pass", |f| f.mos_bypassed),
                line(tuned, "media held", |f| f.mos_held),
                line(tuned, "media held, adaptive buffer", |f| {
                    f.mos_held_adaptive
                }),
            ],
            marks: at_height("users satisfied", Some(SATISFIED)),
            ..chart(
                tuned,
                "mos",
                "Quality of the calls",
                "Mean opinion score behind the receivers' jitter buffer, a fixed one unless said \
                 otherwise. Held media wait for their checkpoint, passing media for the guest's \
                 pauses only.",
            )
        });
    }
    charts.push(Chart {
        y: Axis::linear("running", "% of the time").with(&[100.0]),
        lines: vec![line(tuned, "guest runs", |f| Some(f.running * 100.0))],
        ..chart(
            tuned,
            "running",
            "How much the guest runs",
            "Every checkpoint stops the guest for a while. Longer intervals stop it less often, and \
             for longer, as there is more dirty memory to copy.",
        )
    });
    if tuned.plan.config.bulk.is_some() {
        charts.push(Chart {
            y: Axis::linear("goodput", "Mbit/s").with(&[0.0]),
            lines: vec![line(tuned, "bulk TCP", |f| {
                f.goodput.map(|bits| bits / 1e6)
            })],
            marks: at_height(
                "without replication",
                unreplicated.goodput.map(|bits| bits / 1e6),
            ),
            ..chart(
                tuned,
                "goodput",
                "What bulk TCP brings over",
                "A connection that is held sends a window per checkpoint.",
            )
        });
    }
    charts.push(Chart {
        y: Axis::linear("held", "KiB").with(&[0.0]),
        lines: vec![
            line(tuned, "at most", |f| Some(f.held_most as f64 / KIB)),
            line(tuned, "99 of 100 commits", |f| {
                Some(f.held_p99 as f64 / KIB)
            }),
        ],
        ..chart(
            tuned,
            "held",
            "What the gate holds",
            "Bytes held under the policy: the most at any time, and right before commits.",
        )
    });
    charts.push(Chart {
        y: Axis::linear("undone", "ms").with(&[0.0]),
        lines: vec![
            line(tuned, "on average", |f| Some(f.rolled_back_ms)),
            line(tuned, "at most", |f| Some(f.rolled_back_most_ms)),
        ],
        ..chart(
            tuned,
            "recovery",
            "What a failure undoes",
            "From the checkpoint that the backup restores to the failure of the primary.",
        )
    });
    charts.push(Chart {
        y: Axis::linear("held packets that die", "").with(&[0.0]),
        lines: vec![line(tuned, "packets", |f| Some(f.held_lost))],
        ..chart(
            tuned,
            "lost",
            "What dies with the primary",
            "Packets in the gate at a failure, on average. The restored guest does their work again.",
        )
    });
    charts.push(Chart {
        y: Axis::linear("score", "").with(&[0.0, 1.0]),
        lines: [
            line(tuned, "worth", |f| Some(f.worth)),
            line(tuned, "voice", |f| f.scores.voice),
            line(tuned, "guest", |f| Some(f.scores.guest)),
            line(tuned, "TCP", |f| f.scores.tcp),
            line(tuned, "recovery", |f| Some(f.scores.recovery)),
        ]
        .into_iter()
        .filter(|line| !line.points.is_empty())
        .collect(),
        ..chart(
            tuned,
            "worth",
            "What an interval is worth",
            "The four scores, and their weighted mean, the worth.",
        )
    });
    for chart in &mut charts {
        chart.marks.extend(intervals(tuned));
    }
    charts
}

fn chart(tuned: &Tuned, id: &str, title: &str, caption: &str) -> Chart {
    let ends = [tuned.plan.range_ms.0, tuned.plan.range_ms.1];
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        x: Axis::log("interval", "ms").with(&ends.map(|end| end as f64)),
        ..Chart::default()
    }
}

fn line(tuned: &Tuned, name: &str, value: impl Fn(&Figures) -> Option<f64>) -> Line {
    let points = tuned
        .curve
        .iter()
        .filter_map(|figures| Some((figures.interval_ms as f64, value(figures)?)));
    Line {
        name: name.to_owned(),
        points: points.collect(),
        ..Line::default()
    }
}

fn at_height(label: &str, height: Option<f64>) -> Vec<Mark> {
    let mark = height.map(|height| Mark {
        label: label.to_owned(),
        place: Place::Y(height),
    });
    mark.into_iter().collect()
}

/// The recommended interval and the knee.
fn intervals(tuned: &Tuned) -> Vec<Mark> {
    let mark = |label: &str, interval_ms: u64| Mark {
        label: format!("{label} {interval_ms} ms"),
        place: Place::X(interval_ms as f64),
    };
    let best = tuned.advice.interval_ms;
    let knee = tuned.knee.and_then(|place| tuned.curve.get(place));
    let knee = knee.map(|figures| figures.interval_ms);
    let own = tuned.own.interval_ms.filter(|own| tuned.plan.has(*own));
    let mut marks = vec![mark("best", best)];
    marks.extend(knee.map(|knee| mark("knee", knee)));
    marks.extend(own.map(|own| mark("policy", own)));
    marks
}

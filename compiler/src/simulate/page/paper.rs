//! The paper's figures beside ours.

use super::{SATURATES, jitter_line, section, verdicts};
use crate::report::{Axis, Block, Cell, Chart, Column, Mark, Page, Place, Section, Table};
use crate::simulate::json::timer;
use crate::simulate::paper::measure::Measured;
use crate::simulate::paper::testbed::{PARAMETERS, window_ms};
use crate::simulate::paper::{Figure, Reproduced, Says};

const INTRODUCTION: &str = "T. Hlavacek and R. Bestak, Live Replication of Virtualized VoIP Servers, \
ICCGI 2013: a FreeSWITCH server in a VM that Xen's Remus replicates. Its figures draw the jitter of a \
call over time; the numbers of the paper are those of its text. The simulated ones are measured from \
the packets that arrive.";

const FITTED: &str = "Figures 3 and 4 say how good the testbed's own timers were: ours are set to \
that, so these two predict nothing. The rest follows from them and from checkpoints.";

const TIMERS: &str = "The configured interval is 300 ms. If it counts from the commit of a \
checkpoint, as libxl arms its timer, the next one comes an interval, a pause and a transfer later: \
with this testbed 400 ms, the peaks of Figure 5. If it counts from the suspend, as the `remus` program \
of Xen 4.2 sleeps, the next one comes after the interval itself as long as the checkpoint takes less: \
300 ms, the interruptions of Figure 6. The paper calls both the interval and does not say which \
program made which figure; one timer alone does not give both numbers unless the checkpoints of Figure \
5 took longer than their interval.";

/// Figures of the paper, made with this seed.
#[must_use]
pub fn paper(seed: u64, figures: &[Reproduced]) -> Page {
    let mut sections = vec![section(
        "Paper and simulation",
        vec![
            Block::Table(beside_the_paper(figures)),
            Block::Paragraph(String::from(FITTED)),
            Block::Table(beside_the_jitter(figures)),
            Block::Paragraph(String::from(SATURATES)),
        ],
    )];
    sections.extend(figures.iter().map(drawn));
    if figures.iter().any(|made| made.other_timer.is_some()) {
        sections.push(section(
            "Why 300 ms and 400 ms",
            vec![
                Block::Table(timers(figures)),
                Block::Paragraph(String::from(TIMERS)),
            ],
        ));
    }
    let judged = judged(figures);
    if !judged.is_empty() {
        sections.push(section(
            "Verdicts",
            judged.into_iter().map(Block::Table).collect(),
        ));
    }
    sections.push(section("Testbed", vec![Block::Table(testbed())]));
    Page {
        title: format!("The paper's experiment, simulated with seed {seed}"),
        introduction: vec![String::from(INTRODUCTION)],
        sections,
    }
}

/// What can be compared: its name with unit, its digits, and how to find it.
struct Claim {
    name: &'static str,
    digits: usize,
    paper: fn(&Says) -> Option<f64>,
    ours: fn(&Reproduced) -> Option<f64>,
    /// How the paper's number is meant, such as `about`.
    about: &'static str,
}

const CLAIMS: [Claim; 7] = [
    Claim {
        name: "mean jitter, ms",
        digits: 3,
        paper: |says| says.mean_jitter_ms,
        ours: |made| (made.figure == Figure::Fig3).then_some(made.outcome.calls.mean_jitter_ms),
        about: "about",
    },
    Claim {
        name: "largest jitter, ms",
        digits: 3,
        paper: |says| says.max_jitter_ms,
        ours: |made| (made.figure == Figure::Fig4).then_some(made.outcome.calls.max_jitter_ms),
        about: "below",
    },
    Claim {
        name: "time between peaks, ms",
        digits: 1,
        paper: |says| says.measured.peak_period_ms,
        ours: |made| made.measured.peak_period_ms,
        about: "about",
    },
    Claim {
        name: "packets of a peak",
        digits: 1,
        paper: |says| says.measured.burst_packets,
        ours: |made| made.measured.burst_packets,
        about: "about",
    },
    Claim {
        name: "time between interruptions, ms",
        digits: 1,
        paper: |says| says.measured.interruption_period_ms,
        ours: |made| made.measured.interruption_period_ms,
        about: "",
    },
    Claim {
        name: "mean jitter, ms",
        digits: 3,
        paper: |_| None,
        ours: |made| (made.figure == Figure::Fig6).then_some(made.outcome.calls.mean_jitter_ms),
        about: "above Figure 4",
    },
    Claim {
        name: "without packets, ms",
        digits: 0,
        paper: |says| says.measured.gap_ms,
        ours: |made| made.measured.gap_ms,
        about: "about",
    },
];

fn beside_the_paper(figures: &[Reproduced]) -> Table {
    let mut rows = Vec::new();
    for made in figures {
        for claim in &CLAIMS {
            let (paper, ours) = ((claim.paper)(&made.figure.paper()), (claim.ours)(made));
            if paper.is_none() && ours.is_none() {
                continue;
            }
            let paper = paper.map_or_else(
                || claim.about.to_owned(),
                |value| format!("{} {value}", claim.about).trim_start().to_owned(),
            );
            rows.push(vec![
                format!("{}: {}", made.figure.title(), made.figure.setup()).into(),
                claim.name.into(),
                paper.into(),
                Cell::maybe(ours, claim.digits),
            ]);
        }
    }
    Table {
        id: String::from("paper"),
        caption: String::new(),
        columns: vec![
            Column::text("figure"),
            Column::text("what"),
            Column::number("paper", ""),
            Column::number("simulated", ""),
        ],
        rows,
    }
}

fn beside_the_jitter(figures: &[Reproduced]) -> Table {
    let buffer = figures
        .first()
        .map_or(0.0, |made| made.config.assumptions.fixed_ms);
    let row = |made: &Reproduced| {
        let calls = &made.outcome.calls;
        vec![
            made.figure.title().into(),
            Cell::number(calls.mean_jitter_ms, 3),
            Cell::number(calls.max_jitter_ms, 3),
            Cell::number(calls.max_delta_ms, 1),
            calls.longest_burst.into(),
            Cell::number(calls.late_percent, 2),
            Cell::number(calls.mos, 2),
            Cell::number(calls.adaptive_mos, 2),
        ]
    };
    Table {
        id: String::from("calls"),
        caption: format!(
            "The call at its receiver; late and MOS are those of a buffer of {buffer} ms."
        ),
        columns: vec![
            Column::text("figure"),
            Column::number("mean jitter", "ms"),
            Column::number("max jitter", "ms"),
            Column::number("max gap", "ms"),
            Column::number("burst", "packets"),
            Column::number("late", "%"),
            Column::number("MOS", ""),
            Column::number("MOS adaptive", ""),
        ],
        rows: figures.iter().map(row).collect(),
    }
}

/// A figure.
fn drawn(made: &Reproduced) -> Section {
    let figure = made.figure;
    let mut marks = Vec::new();
    let says = figure.paper();
    if let Some(most) = says.max_jitter_ms.or(says.mean_jitter_ms) {
        marks.push(Mark {
            label: format!("paper {most} ms"),
            place: Place::Y(most),
        });
    }
    if let Some(failover) = made.config.failover {
        marks.push(Mark {
            label: String::from("failure"),
            place: Place::X(failover.at as f64 / 1e9),
        });
    }
    let chart = Chart {
        id: figure.name().to_owned(),
        title: format!("{}: {}", figure.title(), figure.setup()),
        caption: format!(
            "The paper: {}. The largest gap is {:.1} ms, the longest burst {} packets, and {:.1} % are late.",
            figure.claim(),
            made.outcome.calls.max_delta_ms,
            made.outcome.calls.longest_burst,
            made.outcome.calls.late_percent
        ),
        x: Axis::linear("time", "s"),
        y: Axis::linear("jitter", "ms").with(&[0.0]),
        lines: vec![jitter_line(
            "jitter",
            &made.outcome.points,
            window_ms(figure),
        )],
        marks,
    };
    section(figure.title(), vec![Block::Chart(chart)])
}

fn timers(figures: &[Reproduced]) -> Table {
    let period = |measured: &Measured| measured.peak_period_ms.or(measured.interruption_period_ms);
    let mut rows = Vec::new();
    for made in figures {
        let (Some(other), Some(checkpoints)) = (&made.other_timer, made.config.checkpoints) else {
            continue;
        };
        let says = period(&made.figure.paper().measured);
        for (which, measured) in [(checkpoints.timer, &made.measured), (other.0, &other.1)] {
            rows.push(vec![
                made.figure.title().into(),
                timer(which).into(),
                Cell::maybe(period(measured), 1),
                Cell::maybe(says, 0),
            ]);
        }
    }
    Table {
        id: String::from("timers"),
        caption: String::from("From one peak or interruption to the next, with either timer."),
        columns: vec![
            Column::text("figure"),
            Column::text("interval counts from the"),
            Column::number("simulated", "ms"),
            Column::number("paper", "ms"),
        ],
        rows,
    }
}

/// The verdicts of each figure that has a policy, once for figures where they are the same.
fn judged(figures: &[Reproduced]) -> Vec<Table> {
    let mut tables: Vec<(&Reproduced, Table)> = Vec::new();
    for made in figures.iter().filter(|made| !made.traffic.is_empty()) {
        let same = tables
            .iter_mut()
            .find(|(known, _)| known.traffic == made.traffic);
        match same {
            Some((_, table)) => table.caption += &format!(", {}", made.figure.title()),
            None => tables.push((
                made,
                Table {
                    id: format!("verdicts-{}", made.figure.name()),
                    caption: made.figure.title().to_owned(),
                    ..verdicts(&made.traffic)
                },
            )),
        }
    }
    tables.into_iter().map(|(_, table)| table).collect()
}

fn testbed() -> Table {
    let row = |parameter: &crate::simulate::paper::testbed::Parameter| {
        let digits = if parameter.value.fract() == 0.0 { 0 } else { 1 };
        vec![
            parameter.name.into(),
            Cell::number(parameter.value, digits),
            parameter.unit.into(),
            parameter.origin.name().into(),
            parameter.reason.into(),
        ]
    };
    Table {
        id: String::from("testbed"),
        caption: String::from(
            "Where each parameter comes from; what is fitted to a number of the paper is no prediction of it.",
        ),
        columns: vec![
            Column::text("parameter"),
            Column::number("value", ""),
            Column::text("unit"),
            Column::text("from"),
            Column::text("reason"),
        ],
        rows: PARAMETERS.iter().map(row).collect(),
    }
}

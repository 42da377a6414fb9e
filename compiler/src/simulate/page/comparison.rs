//! The same traffic without replication, under a policy and with everything held.

use qdisc_model::simulate::{ClassFigures, Config, Outcome, Quantiles};

use super::{SATURATES, Told, gap_line, jitter_line, section, verdicts};
use crate::report::{
    Axis, Block, Cell, Chart, Column, Fact, Line, Mark, Page, Place, Style, Table,
};
use crate::simulate::json::{codec, timer};
use crate::simulate::{Comparison, Treatment};

/// How much of a run is drawn, in milliseconds.
const DRAWN_MS: f64 = 5_000.0;

/// What was simulated under the policy of this name, and what came of it.
#[must_use]
pub fn comparison(policy: &str, traffic: &[Told], compared: &Comparison) -> Page {
    let config = &compared.config;
    let mut pictures = Vec::new();
    if config.record {
        pictures.extend([jitter(compared), gaps(compared)].map(Block::Chart));
    }
    pictures.push(Block::Chart(held(compared)));
    Page {
        title: format!("Simulation of {policy}"),
        introduction: vec![String::from(SATURATES)],
        sections: vec![
            section("Verdicts", vec![Block::Table(verdicts(traffic))]),
            section("Side by side", vec![Block::Table(table(compared))]),
            section("Over time", pictures),
            section("What was simulated", vec![Block::Facts(facts(config))]),
        ],
    }
}

/// What a row says of a treatment.
type Value = Box<dyn Fn(&Comparison, Treatment) -> Option<f64>>;

/// A row of the table: what it is called, and its cell for an outcome.
struct Row {
    name: String,
    digits: usize,
    value: Value,
}

fn row(name: impl Into<String>, digits: usize, value: impl Fn(&Outcome) -> f64 + 'static) -> Row {
    Row {
        name: name.into(),
        digits,
        value: Box::new(move |compared, treatment| Some(value(compared.outcome(treatment)))),
    }
}

/// A row that says something only where there is replication.
fn replicated(
    name: impl Into<String>,
    digits: usize,
    value: impl Fn(&Outcome) -> Option<f64> + 'static,
) -> Row {
    Row {
        name: name.into(),
        digits,
        value: Box::new(move |compared, treatment| {
            if treatment == Treatment::None {
                None
            } else {
                value(compared.outcome(treatment))
            }
        }),
    }
}

fn table(compared: &Comparison) -> Table {
    let mut columns = vec![Column::text("")];
    columns.extend(Treatment::ALL.map(|treatment| Column::number(treatment.name(), "")));
    let rows = rows(&compared.config).into_iter().map(|row| {
        let mut cells = vec![Cell::Text(row.name)];
        cells.extend(
            Treatment::ALL
                .map(|treatment| Cell::maybe((row.value)(compared, treatment), row.digits)),
        );
        cells
    });
    Table {
        id: String::from("comparison"),
        caption: String::new(),
        columns,
        rows: rows.collect(),
    }
}

fn rows(config: &Config) -> Vec<Row> {
    let mut rows = call_rows(config);
    for (name, class) in [
        ("RTP", (|o| o.media) as fn(&Outcome) -> ClassFigures),
        ("SIP", |o| o.signalling),
        ("TCP", |o| o.bulk),
    ] {
        rows.push(row(
            format!("{name} waits in guest and gate, mean, ms"),
            1,
            move |o| class(o).mean_delay_ms,
        ));
        rows.push(row(format!("{name} waits, 99 of 100, ms"), 1, move |o| {
            class(o).p99_delay_ms
        }));
        rows.push(row(format!("{name} waits, at most, ms"), 1, move |o| {
            class(o).max_delay_ms
        }));
    }
    rows.push(row("TCP goodput, Mbit/s", 2, |o| o.goodput / 1e6));
    rows.push(Row {
        name: String::from("TCP goodput lost, %"),
        digits: 1,
        value: Box::new(Comparison::goodput_loss_percent),
    });
    rows.extend(gate_rows());
    if config.failover.is_some() {
        rows.extend([
            replicated("failover: without packets, ms", 0, |o| {
                o.failover.map(|failover| failover.gap_ms)
            }),
            replicated("failover: held packets that died", 0, |o| {
                o.failover.map(|failover| failover.held_lost as f64)
            }),
            replicated("failover: the guest forgot, ms", 0, |o| {
                o.failover.map(|failover| failover.rolled_back_ms)
            }),
        ]);
    }
    rows
}

fn call_rows(config: &Config) -> Vec<Row> {
    let buffer = config.assumptions.fixed_ms;
    vec![
        row("calls: mean jitter, ms", 2, |o| o.calls.mean_jitter_ms),
        row("calls: largest jitter, ms", 2, |o| o.calls.max_jitter_ms),
        row("calls: largest gap, ms", 1, |o| o.calls.max_delta_ms),
        row("calls: longest burst, packets", 0, |o| {
            o.calls.longest_burst as f64
        }),
        row(
            format!("calls: late for a buffer of {buffer} ms, %"),
            2,
            |o| o.calls.late_percent,
        ),
        row("calls: late for an adaptive buffer, %", 2, |o| {
            o.calls.adaptive_late_percent
        }),
        row("calls: lost, packets", 0, |o| o.calls.lost as f64),
        row(format!("calls: MOS, buffer of {buffer} ms"), 2, |o| {
            o.calls.mos
        }),
        row("calls: MOS of the worst", 2, |o| o.calls.worst_mos),
        row("calls: MOS, adaptive buffer", 2, |o| o.calls.adaptive_mos),
        row(format!("calls: R, buffer of {buffer} ms"), 1, |o| o.calls.r),
        row("calls: R, adaptive buffer", 1, |o| o.calls.adaptive_r),
    ]
}

fn gate_rows() -> Vec<Row> {
    vec![
        replicated("dropped for want of room, packets", 0, |o| {
            let classes = [o.media, o.signalling, o.bulk];
            Some(classes.iter().map(|class| class.dropped as f64).sum())
        }),
        replicated("held before a commit, median, bytes", 0, |o| {
            Some(o.held.bytes.p50 as f64)
        }),
        replicated("held, 99 of 100, bytes", 0, |o| {
            Some(o.held.bytes.p99 as f64)
        }),
        replicated("held, at most, bytes", 0, |o| {
            Some(o.most_held.bytes as f64)
        }),
        replicated("held, at most, packets", 0, |o| {
            Some(o.most_held.packets as f64)
        }),
        replicated("checkpoints", 0, |o| Some(o.commits as f64)),
        replicated("from one to the next, ms", 1, |o| Some(o.period_ms)),
        replicated("pause of the guest, ms", 1, |o| Some(o.pause_ms)),
        replicated("transfer to the backup, ms", 1, |o| Some(o.transfer_ms)),
    ]
}

/// The part of a run that is drawn: around the failover, or the middle.
fn window(config: &Config) -> (f64, f64) {
    let middle = match config.failover {
        Some(failover) => failover.at as f64 / 1e6 + 1_000.0,
        None => config.duration as f64 / 2e6,
    };
    (middle - DRAWN_MS / 2.0, middle + DRAWN_MS / 2.0)
}

fn marks(config: &Config) -> Vec<Mark> {
    let at = |at: u64| Mark {
        label: String::from("failure"),
        place: Place::X(at as f64 / 1e9),
    };
    config
        .failover
        .map(|failover| at(failover.at))
        .into_iter()
        .collect()
}

fn jitter(compared: &Comparison) -> Chart {
    let window = window(&compared.config);
    Chart {
        id: String::from("jitter"),
        title: String::from("Jitter of the first call"),
        caption: String::from(SATURATES),
        x: Axis::linear("time", "s"),
        y: Axis::linear("jitter", "ms").with(&[0.0]),
        lines: Treatment::ALL
            .map(|t| jitter_line(t.name(), &compared.outcome(t).points, window))
            .to_vec(),
        marks: marks(&compared.config),
    }
}

fn gaps(compared: &Comparison) -> Chart {
    let window = window(&compared.config);
    Chart {
        id: String::from("gaps"),
        title: String::from("Time before each packet of the first call"),
        caption: String::from(
            "A held call comes in bursts, with a gap as long as an epoch before each.",
        ),
        x: Axis::linear("time", "s"),
        y: Axis::linear("gap", "ms").with(&[0.0]),
        lines: Treatment::ALL
            .map(|t| gap_line(t.name(), &compared.outcome(t).points, window))
            .to_vec(),
        marks: marks(&compared.config),
    }
}

fn held(compared: &Comparison) -> Chart {
    let line = |treatment: Treatment| {
        let Quantiles {
            p10,
            p50,
            p90,
            p99,
            most,
        } = compared.outcome(treatment).held.bytes;
        let points = [
            (10.0, p10),
            (50.0, p50),
            (90.0, p90),
            (99.0, p99),
            (100.0, most),
        ];
        Line {
            name: treatment.name().to_owned(),
            style: Style::Line,
            points: points.map(|(share, bytes)| (share, bytes as f64)).to_vec(),
        }
    };
    Chart {
        id: String::from("held"),
        title: String::from("Bytes in the gate right before a commit"),
        caption: String::from("So many commits of a hundred found no more than this."),
        x: Axis::linear("commits", "%"),
        y: Axis::linear("held", "bytes").with(&[0.0]),
        lines: vec![line(Treatment::Policy), line(Treatment::Hold)],
        marks: Vec::new(),
    }
}

fn facts(config: &Config) -> Vec<Fact> {
    let ms = |name: &str, nanoseconds: u64| {
        Fact::new(name, Cell::number(nanoseconds as f64 / 1e6, 1), "ms")
    };
    let number = |name: &str, value: f64, digits, unit: &str| {
        Fact::new(name, Cell::number(value, digits), unit)
    };
    let calls = config.calls;
    let mut facts = vec![
        Fact::new("seed", config.seed.to_string(), ""),
        number("simulated time", config.duration as f64 / 1e9, 1, "s"),
        Fact::new("calls", u64::from(calls.count), ""),
        Fact::new("codec", codec(calls.codec), ""),
        ms("packet time", calls.packet_time),
        Fact::new("silences", if calls.silences { "yes" } else { "no" }, ""),
        number(
            "mean delay of the sender's timer",
            calls.timer_noise as f64 / 1e6,
            3,
            "ms",
        ),
        number("SIP messages", config.signalling_rate, 1, "/s"),
        Fact::new(
            "window of bulk TCP",
            config.bulk.map_or(0, |bulk| u64::from(bulk.window)),
            "bytes",
        ),
        Fact::new("limit of the gate", config.limit, "bytes"),
    ];
    if let Some(checkpoints) = config.checkpoints {
        facts.extend([
            ms("checkpoint interval", checkpoints.interval),
            Fact::new("interval counts from", timer(checkpoints.timer), ""),
            ms("pause of an empty checkpoint", checkpoints.pause),
            number("memory dirtied", checkpoints.dirty_rate / 1e6, 2, "MB/s"),
            number(
                "memory dirtied at most",
                checkpoints.working_set / 1e6,
                2,
                "MB",
            ),
            number(
                "memory copied in the pause",
                checkpoints.copy_rate / 1e6,
                0,
                "MB/s",
            ),
            number(
                "link to the backup",
                checkpoints.link_rate / 1e6,
                1,
                "Mbit/s",
            ),
            ms("acknowledgement", checkpoints.acknowledgement),
        ]);
    }
    facts.extend([
        number("network", config.network.rate / 1e6, 1, "Mbit/s"),
        ms("delay of the network", config.network.delay),
        ms("mean random delay on top", config.network.noise),
        number("loss", config.network.loss * 100.0, 2, "%"),
        number("fixed jitter buffer", config.assumptions.fixed_ms, 0, "ms"),
        number(
            "adaptive jitter buffer, least",
            config.assumptions.adaptive_ms.0,
            0,
            "ms",
        ),
        number(
            "adaptive jitter buffer, most",
            config.assumptions.adaptive_ms.1,
            0,
            "ms",
        ),
    ]);
    if let Some(failover) = config.failover {
        facts.extend([
            ms("failure", failover.at),
            ms("detection", failover.detection),
            ms("from there until packets flow", failover.announcement),
        ]);
    }
    facts
}

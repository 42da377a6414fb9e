//! The tables.

use policy_lang::Verdict;

use crate::report::{Cell, Column, Table};
use crate::tune::classification::Harm;
use crate::tune::{Compared, Tuned};

/// Bytes of a kibibyte.
const KIB: f64 = 1024.0;

/// What each interval does, a row each.
#[must_use]
pub fn curve(tuned: &Tuned) -> Table {
    let rows = tuned.curve.iter().enumerate().map(|(index, figures)| {
        let mark = match (tuned.knee == Some(index), tuned.advice.place == index) {
            (true, true) => "best, knee",
            (true, false) => "knee",
            (false, true) => "best",
            (false, false) => "",
        };
        vec![
            Cell::from(figures.interval_ms),
            Cell::number(figures.period_ms, 1),
            Cell::number(figures.pause_ms, 1),
            Cell::number(figures.running * 100.0, 1),
            Cell::maybe(figures.mos_bypassed, 2),
            Cell::maybe(figures.mos_held, 2),
            Cell::number(figures.held_most as f64 / KIB, 1),
            Cell::number(figures.held_p99 as f64 / KIB, 1),
            Cell::maybe(figures.goodput.map(|bits| bits / 1e6), 2),
            Cell::number(figures.rolled_back_ms, 1),
            Cell::number(figures.held_lost, 1),
            Cell::number(figures.worth, 3),
            Cell::from(mark),
        ]
    });
    Table {
        id: String::from("curve"),
        caption: String::from(
            "What each interval does: MOS with media passing and with media held; the rest under \
             the policy.",
        ),
        columns: vec![
            Column::number("interval", "ms"),
            Column::number("period", "ms"),
            Column::number("pause", "ms"),
            Column::number("runs", "%"),
            Column::number("passing", "MOS"),
            Column::number("held", "MOS"),
            Column::number("held", "KiB"),
            Column::number("p99", "KiB"),
            Column::number("TCP", "Mbit/s"),
            Column::number("undone", "ms"),
            Column::number("lost", "packets"),
            Column::number("worth", ""),
            Column::text(""),
        ],
        rows: rows.collect(),
    }
}

/// What each classification costs.
pub(super) fn classifications(tuned: &Tuned) -> Table {
    let row = |one: &Compared| {
        vec![
            Cell::from(one.name),
            Cell::maybe(one.mos, 2),
            Cell::maybe(one.goodput.map(|bits| bits / 1e6), 2),
            Cell::number(one.signalling_ms, 0),
            Cell::number(one.held_most as f64 / KIB, 1),
            Cell::number(count(&one.passes), 0),
            Cell::number(count(&one.passes_state), 0),
        ]
    };
    Table {
        id: String::from("classifications"),
        caption: format!(
            "The same traffic under other classifications, a checkpoint every {} ms. The last two \
             columns count kinds of traffic that pass beyond media.",
            tuned.advice.interval_ms
        ),
        columns: vec![
            Column::text("classification"),
            Column::number("MOS", ""),
            Column::number("TCP", "Mbit/s"),
            Column::number("SIP waits", "ms"),
            Column::number("held", "KiB"),
            Column::number("passing", "kinds"),
            Column::number("acted on", "kinds"),
        ],
        rows: tuned.compared.iter().map(row).collect(),
    }
}

fn count(names: &[&str]) -> f64 {
    names.iter().fold(0.0, |count, _| count + 1.0)
}

/// What each classification does to each kind of traffic.
pub(super) fn kinds(tuned: &Tuned) -> Table {
    let verdict = |verdict: &Verdict| {
        Cell::from(match verdict {
            Verdict::Buffer => "held",
            Verdict::Bypass => "passes",
        })
    };
    let rows = tuned.kinds.iter().map(|(kind, verdicts)| {
        let mut row = vec![Cell::from(kind.name)];
        row.extend(verdicts.iter().map(verdict));
        row.push(Cell::from(match kind.harm {
            Harm::Media => "media",
            Harm::None => "harmless",
            Harm::State => "acted on",
        }));
        row.push(Cell::from(kind.consequence));
        row
    });
    let names = tuned.compared.iter().map(|one| Column::text(one.name));
    Table {
        id: String::from("kinds"),
        caption: String::from(
            "What becomes of each kind of traffic, and what it means if it passes and the guest \
             that sent it is rolled back.",
        ),
        columns: [Column::text("traffic")]
            .into_iter()
            .chain(names)
            .chain([Column::text("kind"), Column::text("rolled back")])
            .collect(),
        rows: rows.collect(),
    }
}

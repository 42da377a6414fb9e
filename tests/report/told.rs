//! The page of a report and the JSON that its command prints are of one run: cells of the page's main
//! table are the JSON's numbers, to the digits that the page shows.

use serde_json::Value;

/// Cells of a table, `table` being its id: row, column, and where the JSON has that number, times
/// what the page divides it by.
pub(crate) struct Told {
    pub(crate) table: &'static str,
    pub(crate) cells: Vec<(usize, usize, String, f64)>,
}

/// Figures 3 to 7: one number of the JSON in each row.
pub(crate) fn paper() -> Told {
    let numbers = [
        "fig3/mean_jitter_ms",
        "fig4/max_jitter_ms",
        "fig5/peak_period_ms",
        "fig5/burst_packets",
        "fig6/interruption_period_ms",
        "fig6/mean_jitter_ms",
        "fig7/gap_ms",
    ];
    let cell = |(row, number): (usize, &str)| (row, 3, format!("/figures/{number}"), 1.0);
    Told {
        table: "paper",
        cells: numbers.into_iter().enumerate().map(cell).collect(),
    }
}

/// A policy beside no replication and everything held: the rows about calls.
pub(crate) fn comparison() -> Told {
    let numbers = [
        "mean_jitter_ms",
        "max_jitter_ms",
        "max_delta_ms",
        "longest_burst",
        "fixed/late_percent",
        "adaptive/late_percent",
        "lost",
        "fixed/mos",
        "worst_mos",
        "adaptive/mos",
        "fixed/r",
        "adaptive/r",
    ];
    let mut cells = Vec::new();
    for (row, number) in numbers.into_iter().enumerate() {
        for (column, run) in (1..).zip(["none", "policy", "hold"]) {
            cells.push((row, column, format!("/runs/{run}/calls/{number}"), 1.0));
        }
    }
    Told {
        table: "comparison",
        cells,
    }
}

/// The curve over the interval: so many points.
pub(crate) fn tune(points: usize) -> Told {
    let numbers = [
        ("interval_ms", 1.0),
        ("period_ms", 1.0),
        ("pause_ms", 1.0),
        ("running", 0.01),
        ("mos_bypassed", 1.0),
        ("mos_held", 1.0),
        ("held_most_bytes", 1024.0),
        ("held_p99_bytes", 1024.0),
        ("goodput_bits_per_s", 1e6),
        ("rolled_back_mean_ms", 1.0),
        ("held_lost_packets", 1.0),
        ("worth", 1.0),
    ];
    let mut cells = Vec::new();
    for row in 0..points {
        for (column, (number, unit)) in numbers.into_iter().enumerate() {
            cells.push((row, column, format!("/curve/{row}/{number}"), unit));
        }
    }
    Told {
        table: "curve",
        cells,
    }
}

/// So many streams, each as captured and behind the gate.
pub(crate) fn replay(streams: usize) -> Told {
    let numbers = [
        (6, "packets"),
        (7, "lost"),
        (8, "lost_percent"),
        (9, "max_delta_ms"),
        (10, "mean_jitter_ms"),
        (11, "max_jitter_ms"),
        (12, "longest_burst"),
        (13, "fixed/late"),
        (14, "mos"),
    ];
    let mut cells = Vec::new();
    for stream in 0..streams {
        for (side, row) in [("before", 2 * stream), ("after", 2 * stream + 1)] {
            for (column, number) in numbers {
                cells.push((
                    row,
                    column,
                    format!("/streams/{stream}/{side}/{number}"),
                    1.0,
                ));
            }
        }
    }
    Told {
        table: "streams",
        cells,
    }
}

impl Told {
    /// The first cell that says something else.
    pub(crate) fn differs(&self, seen: &Value, json: &Value) -> Option<String> {
        let tables = seen["tables"].as_array().unwrap();
        let table = tables.iter().find(|table| table["id"] == self.table);
        let table = table.unwrap_or_else(|| panic!("no table `{}`", self.table));
        self.cells.iter().find_map(|(row, column, place, unit)| {
            let cell = table["cells"][*row][*column].as_str().expect(place);
            let number = json.pointer(place).and_then(Value::as_f64).expect(place) / unit;
            let shown: f64 = cell.parse().expect(place);
            let digits = cell.split_once('.').map_or(0, |(_, digits)| digits.len());
            // Either may have been rounded from a number that has more digits than both.
            let half = 0.5 * 0.1_f64.powi(digits.try_into().unwrap());
            let same = (shown - number).abs() <= half * 1.001;
            (!same).then(|| format!("{place}: {number} in the JSON, `{cell}` in the page"))
        })
    }
}

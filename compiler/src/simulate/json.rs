//! What programs read: simulations and the paper's figures as JSON. The schemas are
//! `docs/schema/simulate.json` and `docs/schema/paper.json`; field names are theirs.
//!
//! Times are in milliseconds, rounded to a nanosecond's thousandth so that they print short.

mod paper;
mod run;
pub(crate) mod settings;

use serde::Serialize;

use super::traffic::Told;
use super::{Comparison, Treatment};
pub use paper::paper;
use run::Run;
use settings::Settings;
pub(super) use settings::{codec, timer};

#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    policy: &'a str,
    settings: Settings,
    traffic: &'a [Told],
    runs: Runs,
}

#[derive(Serialize)]
struct Runs {
    none: Run,
    policy: Run,
    hold: Run,
}

/// A comparison under the policy of this name.
#[must_use]
pub fn comparison(policy: &str, traffic: &[Told], comparison: &Comparison) -> String {
    let run = |treatment| {
        Run::of(
            comparison.outcome(treatment),
            comparison.goodput_loss_percent(treatment),
            treatment != Treatment::None,
        )
    };
    print(&Whole {
        schema: "epochgate-simulate-1",
        policy,
        settings: Settings::of(&comparison.config),
        traffic,
        runs: Runs {
            none: run(Treatment::None),
            policy: run(Treatment::Policy),
            hold: run(Treatment::Hold),
        },
    })
}

/// Strings and numbers always become JSON.
fn print(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// To nine digits behind the point.
fn round(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// Nanoseconds in milliseconds.
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

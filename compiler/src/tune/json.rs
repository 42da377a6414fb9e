//! What programs read; the schema is `docs/schema/tune.json`, and field names are its.
//!
//! Numbers are rounded to nine digits behind the point, so that they print short.

use serde::Serialize;

use qdisc_model::simulate::{Checkpoints, Config};

use super::classification::Harm;
use super::sweep::{Figures, NO_LIMIT};
use super::utility::{Scores, Weights};
use super::{Compared, Tuned, plateau};
use crate::simulate::json::settings::Settings;

#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    policy: &'a str,
    plan: Plan,
    settings: Settings,
    unreplicated: Unreplicated,
    curve: Vec<Point>,
    knee: Option<Knee>,
    recommended: Recommended,
    classifications: Vec<Classification>,
    traffic: Vec<Kind>,
}

#[derive(Serialize)]
struct Plan {
    seeds: u32,
    from_ms: u64,
    to_ms: u64,
    points: u32,
    weights: Weights,
}

#[derive(Serialize)]
struct Unreplicated {
    mos: Option<f64>,
    goodput_bits_per_s: Option<f64>,
}

#[derive(Serialize)]
struct Point {
    interval_ms: u64,
    period_ms: f64,
    pause_ms: f64,
    transfer_ms: f64,
    running: f64,
    mos: Option<f64>,
    mos_bypassed: Option<f64>,
    mos_held: Option<f64>,
    mos_bypassed_adaptive: Option<f64>,
    mos_held_adaptive: Option<f64>,
    held_most_bytes: u64,
    held_p99_bytes: u64,
    goodput_bits_per_s: Option<f64>,
    rolled_back_mean_ms: f64,
    rolled_back_most_ms: f64,
    held_lost_packets: f64,
    scores: Scores,
    worth: f64,
}

#[derive(Serialize)]
struct Knee {
    interval_ms: u64,
    method: &'static str,
}

#[derive(Serialize)]
struct Recommended {
    interval_ms: u64,
    limit_bytes: u64,
    held_most_bytes: u64,
    worth: f64,
    about_as_good_ms: [u64; 2],
    gate: String,
}

#[derive(Serialize)]
struct Classification {
    id: &'static str,
    mos: Option<f64>,
    goodput_bits_per_s: Option<f64>,
    signalling_p99_ms: f64,
    held_most_bytes: u64,
    passes_beyond_media: Vec<&'static str>,
    passes_acted_on: Vec<&'static str>,
}

#[derive(Serialize)]
struct Kind {
    name: &'static str,
    frame: String,
    harm: &'static str,
    verdicts: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    classification: &'static str,
    verdict: &'static str,
}

/// What was found for the policy of this name.
#[must_use]
pub fn tuned(policy: &str, tuned: &Tuned) -> String {
    let plan = &tuned.plan;
    let advice = &tuned.advice;
    let (from, to) = plateau(tuned);
    let knee = tuned.knee.and_then(|place| tuned.curve.get(place));
    let best = tuned.curve.get(advice.place);
    let whole = Whole {
        schema: "epochgate-tune-1",
        policy,
        plan: Plan {
            seeds: plan.seeds,
            from_ms: plan.range_ms.0,
            to_ms: plan.range_ms.1,
            points: plan.points,
            weights: plan.weights,
        },
        settings: Settings::of(&Config {
            checkpoints: Some(Checkpoints {
                interval: advice.interval_ms.saturating_mul(1_000_000),
                ..plan.checkpoints
            }),
            limit: NO_LIMIT,
            ..plan.config
        }),
        unreplicated: Unreplicated {
            mos: tuned.unreplicated.mos.map(round),
            goodput_bits_per_s: tuned.unreplicated.goodput.map(round),
        },
        curve: tuned.curve.iter().map(point).collect(),
        knee: knee.map(|figures| Knee {
            interval_ms: figures.interval_ms,
            method: "largest distance from the chord of running over rolled_back_mean_ms",
        }),
        recommended: Recommended {
            interval_ms: advice.interval_ms,
            limit_bytes: advice.limit,
            held_most_bytes: advice.held_most,
            worth: round(best.map_or(0.0, |figures| figures.worth)),
            about_as_good_ms: [from, to],
            gate: advice.block(),
        },
        classifications: tuned.compared.iter().map(classification).collect(),
        traffic: kinds(tuned),
    };
    // Strings and numbers always become JSON.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

fn point(figures: &Figures) -> Point {
    let scores = figures.scores;
    Point {
        interval_ms: figures.interval_ms,
        period_ms: round(figures.period_ms),
        pause_ms: round(figures.pause_ms),
        transfer_ms: round(figures.transfer_ms),
        running: round(figures.running),
        mos: figures.mos.map(round),
        mos_bypassed: figures.mos_bypassed.map(round),
        mos_held: figures.mos_held.map(round),
        mos_bypassed_adaptive: figures.mos_bypassed_adaptive.map(round),
        mos_held_adaptive: figures.mos_held_adaptive.map(round),
        held_most_bytes: figures.held_most,
        held_p99_bytes: figures.held_p99,
        goodput_bits_per_s: figures.goodput.map(round),
        rolled_back_mean_ms: round(figures.rolled_back_ms),
        rolled_back_most_ms: round(figures.rolled_back_most_ms),
        held_lost_packets: round(figures.held_lost),
        scores: Scores {
            voice: scores.voice.map(round),
            guest: round(scores.guest),
            tcp: scores.tcp.map(round),
            recovery: round(scores.recovery),
        },
        worth: round(figures.worth),
    }
}

fn classification(one: &Compared) -> Classification {
    Classification {
        id: one.id,
        mos: one.mos.map(round),
        goodput_bits_per_s: one.goodput.map(round),
        signalling_p99_ms: round(one.signalling_ms),
        held_most_bytes: one.held_most,
        passes_beyond_media: one.passes.clone(),
        passes_acted_on: one.passes_state.clone(),
    }
}

fn kinds(tuned: &Tuned) -> Vec<Kind> {
    let kinds = tuned.kinds.iter().map(|(kind, verdicts)| Kind {
        name: kind.name,
        frame: kind.frame.clone(),
        harm: match kind.harm {
            Harm::Media => "media",
            Harm::None => "none",
            Harm::State => "acted-on",
        },
        verdicts: tuned
            .compared
            .iter()
            .zip(verdicts)
            .map(|(one, verdict)| Judged {
                classification: one.id,
                verdict: verdict.keyword(),
            })
            .collect(),
    });
    kinds.collect()
}

/// To nine digits behind the point.
fn round(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

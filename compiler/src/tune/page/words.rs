//! What was found and how, in words.

use qdisc_model::packet::Verdict;

use crate::report::Cell;
use crate::tune::sweep::Figures;
use crate::tune::{Tuned, plateau};

/// A neighbour that is worth less by this share is across an edge.
const EDGE: f64 = 0.03;

fn number(value: f64, digits: usize) -> String {
    Cell::number(value, digits).written()
}

/// What was simulated.
pub(super) fn introduction(tuned: &Tuned) -> Vec<String> {
    let config = tuned.plan.config;
    let checkpoints = tuned.plan.checkpoints;
    let bulk = config.bulk.map_or_else(String::new, |bulk| {
        format!(", bulk TCP with a window of {} bytes", bulk.window)
    });
    vec![format!(
        "Simulated: {} calls{bulk}, {} SIP messages a second; a guest that dirties {} MB/s and \
         stands still for {} ms and for copying at each checkpoint; a link of {} Mbit/s to the \
         backup; {} seeds of {} s for each interval.",
        config.calls.count,
        number(config.signalling_rate, 1),
        number(checkpoints.dirty_rate / 1e6, 1),
        number(checkpoints.pause as f64 / 1e6, 1),
        number(checkpoints.link_rate / 1e6, 0),
        tuned.plan.seeds,
        number(config.duration as f64 / 1e9, 0),
    )]
}

/// What is recommended, and why.
pub(super) fn recommendation(tuned: &Tuned) -> Vec<String> {
    let advice = tuned.advice;
    let Some(best) = tuned.curve.get(advice.place) else {
        return vec![String::from("No interval was tried.")];
    };
    let mut texts = vec![format!(
        "Take a checkpoint every {} ms, and let the gate hold {} KiB:",
        best.interval_ms,
        advice.limit >> 10
    )];
    texts.push(format!("There {}. {}.", effect(best), without(tuned)));
    texts.push(alternatives(tuned, best));
    texts.push(knee(tuned));
    texts.extend(own_interval(tuned, best));
    texts.push(format!(
        "The limit is twice the {} KiB that were held at most, with room for one packet of the \
         largest size on top, rounded up.{}",
        number(advice.held_most as f64 / 1024.0, 1),
        own_limit(tuned)
    ));
    texts
}

/// What an interval does.
fn effect(figures: &Figures) -> String {
    let mut parts = vec![format!(
        "the guest runs {} % of the time",
        number(figures.running * 100.0, 1)
    )];
    parts.extend(
        figures
            .mos
            .map(|mos| format!("calls have a MOS of {}", number(mos, 2))),
    );
    parts.extend(
        figures
            .goodput
            .map(|bits| format!("bulk TCP brings over {} Mbit/s", number(bits / 1e6, 2))),
    );
    let undone = number(figures.rolled_back_ms, 0);
    format!(
        "{}, and a failure undoes {undone} ms on average",
        parts.join(", ")
    )
}

/// The same without replication.
fn without(tuned: &Tuned) -> String {
    let free = tuned.unreplicated;
    let mos = free.mos.map(|mos| format!("a MOS of {}", number(mos, 2)));
    let goodput = free
        .goodput
        .map(|bits| format!("{} Mbit/s", number(bits / 1e6, 2)));
    let parts: Vec<String> = mos.into_iter().chain(goodput).collect();
    if parts.is_empty() {
        String::from("There is nothing to compare with no replication")
    } else {
        format!("Without replication: {}", parts.join(" and "))
    }
}

/// What half and double the interval would do, and how wide the choice is.
fn alternatives(tuned: &Tuned, best: &Figures) -> String {
    let mut text = String::new();
    let nearest = |wanted: f64| {
        let distance = |f: &&Figures| (f.interval_ms as f64 / wanted).ln().abs();
        let by_distance = |a: &&Figures, b: &&Figures| distance(a).total_cmp(&distance(b));
        tuned.curve.iter().min_by(by_distance)
    };
    for (word, factor) in [("Shorter", 0.5), ("Longer", 2.0)] {
        let other = nearest(best.interval_ms as f64 * factor);
        if let Some(other) = other.filter(|other| other.interval_ms != best.interval_ms) {
            text += &format!("{word}, at {} ms, {}. ", other.interval_ms, effect(other));
        }
    }
    let (from, to) = plateau(tuned);
    if from < to {
        text +=
            &format!("Every interval from {from} to {to} ms is worth 99 % of the best or more. ");
    }
    text += &edges(tuned, best);
    let (shortest, longest) = tuned.plan.range_ms;
    if shortest < longest && best.interval_ms == shortest {
        text += "The best is the shortest that was tried: try shorter ones with `--from`. ";
    } else if shortest < longest && best.interval_ms == longest {
        text += "The best is the longest that was tried: try longer ones with `--to`. ";
    }
    text.trim_end().to_owned()
}

/// Whether the best stands beside an edge: its neighbours that are worth a good deal less.
fn edges(tuned: &Tuned, best: &Figures) -> String {
    let place = tuned.advice.place;
    let sides = [
        (place.checked_sub(1), "too long than too short"),
        (Some(place + 1), "too short than too long"),
    ];
    sides
        .into_iter()
        .filter_map(|(side, better)| Some((tuned.curve.get(side?)?, better)))
        .filter(|(beside, _)| beside.worth < best.worth * (1.0 - EDGE))
        .map(|(beside, better)| {
            let less = number(100.0 * (1.0 - beside.worth / best.worth), 0);
            format!(
                "At {} ms already, it is worth {less} % less: rather {better}. ",
                beside.interval_ms
            )
        })
        .collect()
}

/// What the policy's own interval does, if it is another one.
fn own_interval(tuned: &Tuned, best: &Figures) -> Option<String> {
    let own = tuned
        .own
        .interval_ms
        .filter(|own| *own != best.interval_ms)?;
    let figures = tuned
        .curve
        .iter()
        .find(|figures| figures.interval_ms == own);
    Some(match figures {
        Some(figures) => format!("The policy has {own} ms: there {}.", effect(figures)),
        None => format!("The policy has {own} ms, which was not tried."),
    })
}

/// Whether the policy's own limit would do.
fn own_limit(tuned: &Tuned) -> String {
    match tuned.own.limit {
        Some(own) if own < tuned.advice.held_most => format!(
            " The policy's own limit of {} KiB is less than was held: packets would be dropped.",
            number(own as f64 / 1024.0, 1)
        ),
        Some(own) if own >= tuned.advice.limit => {
            String::from(" The policy's own limit is larger and does no harm but that of memory.")
        }
        Some(_) => String::from(" The policy's own limit leaves less room."),
        None => String::new(),
    }
}

fn knee(tuned: &Tuned) -> String {
    let Some(figures) = tuned.knee.and_then(|place| tuned.curve.get(place)) else {
        return String::from(
            "There is no knee: over this range longer intervals do not buy the guest less and less \
             time to run.",
        );
    };
    let (shortest, longest) = tuned.plan.range_ms;
    format!(
        "The knee is at {} ms: from there on, longer intervals buy the guest little more time to \
         run for what a failure undoes, over the range from {shortest} to {longest} ms.",
        figures.interval_ms
    )
}

/// What passes under which classification.
pub(super) fn passing(tuned: &Tuned) -> Vec<String> {
    let one = |compared: &crate::tune::Compared| {
        let harmless: Vec<&str> = compared
            .passes
            .iter()
            .filter(|name| !compared.passes_state.contains(name))
            .copied()
            .collect();
        let name = compared.name;
        match (compared.passes_state.as_slice(), harmless.as_slice()) {
            ([], []) => format!("Beyond media, `{name}` lets nothing pass."),
            ([], harmless) => format!(
                "Beyond media, `{name}` lets pass what does no harm: {}.",
                harmless.join(", ")
            ),
            (state, []) => format!(
                "Beyond media, `{name}` lets pass what peers act on: {}.",
                state.join(", ")
            ),
            (state, harmless) => format!(
                "Beyond media, `{name}` lets pass what peers act on: {}; and what does no harm: {}.",
                state.join(", "),
                harmless.join(", ")
            ),
        }
    };
    tuned.compared.iter().map(one).collect()
}

/// How it was found.
pub(super) fn method(tuned: &Tuned) -> Vec<String> {
    let plan = tuned.plan;
    let own = match plan.config.verdicts.media {
        Verdict::Buffer => "held",
        Verdict::Bypass => "passing",
    };
    vec![
        format!(
            "Every interval is simulated with {} seeds, with media held and with media passing; the \
             policy has them {own}. The primary fails at times that are spread evenly between two \
             checkpoints. About {} intervals are tried first, each about the same ratio longer than \
             the one before, and then some more beside the best and beside the knee.",
            plan.seeds, plan.points
        ),
        String::from(
            "The best interval is that of the highest worth, the weighted mean of four scores from \
             0 to 1. Voice: MOS less 1 over 3.41. Guest: the share of the time in which it runs. \
             TCP: goodput over that without replication. Recovery: 1 over 1 and what a failure \
             undoes in seconds. The weights are yours to choose.",
        ),
        String::from(
            "The knee is the point of the curve of running time over what a failure undoes that is \
             farthest above the straight line between its ends, once both are scaled to a square. It \
             depends on where the curve begins and ends; the worth does not.",
        ),
        String::from(
            "What passes is judged on one frame of each kind of traffic. The refined classification \
             is the policy with a rule in front that holds what of UDP is neither RTP nor RTCP by \
             its first two payload bytes.",
        ),
    ]
}

/// What it does not show.
pub(super) fn limits() -> Vec<String> {
    vec![
        String::from(
            "The guest dirties memory at a constant rate, and the load is the same all the time. \
             There is one TCP connection, with one round trip and a constant window, without slow \
             start and congestion control: its goodput has a step where the interval passes the \
             round trip, which many connections would blur. A real guest also slows down after each checkpoint, while its memory is mapped and its caches fill \
             again; give a longer pause for that.",
        ),
        String::from(
            "MOS is an estimate from packet times and losses (ITU-T G.107), not an opinion. The \
             limit covers the traffic that was simulated: measure with `epochgate gate` what yours \
             holds.",
        ),
    ]
}

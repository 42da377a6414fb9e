//! What must be true of the IFB and its plug.
//!
//! `sch_plug` dumps neither its limit nor its state (net/sched/sch_plug.c has no dump), so a limit
//! of 0 can only be guessed from drops while nothing is held.

use super::Scene;
use super::finding::{Code, Finding};
use super::links::{Link, Qdisc};
use crate::backend::Kind;

/// How far the script has come, by what stands in the alias behind `epochgate:VIF:`.
fn state<'a>(link: &'a Link, vif: &str) -> Option<&'a str> {
    let alias = link.alias.as_deref()?;
    alias
        .strip_prefix("epochgate:")?
        .strip_prefix(vif)?
        .strip_prefix(':')
}

/// The kind of rules that the alias names.
pub(super) fn backend(link: &Link, vif: &str) -> Option<Kind> {
    let name = state(link, vif)?.split(':').next()?;
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let ifb = scene.ifb;
    let mut found = |code, seen: String| findings.push(Finding::new(code, seen));
    let Some(link) = scene.link(ifb) else {
        found(Code::NoIfb, format!("there is no device `{ifb}`"));
        return;
    };
    if link.kind.as_deref() != Some("ifb") {
        let kind = link.kind.as_deref().unwrap_or("device of no kind");
        found(Code::NotOurs, format!("`{ifb}` is no IFB, but a `{kind}`"));
    }
    match state(link, scene.vif) {
        None => {
            let alias = match &link.alias {
                Some(alias) => format!("the alias of `{ifb}` is `{alias}`"),
                None => format!("`{ifb}` has no alias"),
            };
            found(
                Code::NotOurs,
                format!("{alias}, not `epochgate:{}:...`", scene.vif),
            );
        }
        Some(state) if state.starts_with("setup") || state.starts_with("swap") => {
            let alias = link.alias.as_deref().unwrap_or_default();
            found(
                Code::Unfinished,
                format!("the alias of `{ifb}` is `{alias}`"),
            );
        }
        Some(_) => {}
    }
    if !link.up {
        found(Code::IfbDown, format!("`{ifb}` is down"));
    }
    match scene.gate() {
        Some(gate) if gate.kind == "plug" => {
            if let Some(seen) = drops_all(gate, &scene.later) {
                found(Code::DropsAll, format!("the plug of `{ifb}` {seen}"));
            }
        }
        Some(other) => found(
            Code::NoPlug,
            format!(
                "at the root of `{ifb}` is `{}` instead of a plug",
                other.kind
            ),
        ),
        None => found(
            Code::NoPlug,
            format!("there is nothing at the root of `{ifb}`"),
        ),
    }
    let in_front = |qdisc: &&Qdisc| matches!(qdisc.kind.as_str(), "clsact" | "ingress");
    if let Some(other) = scene.qdiscs_of(ifb).find(in_front) {
        found(
            Code::InFrontOfPlug,
            format!("`{ifb}` has a `{}` qdisc", other.kind),
        );
    }
    for table in &scene.tables {
        if table.hangs_at("egress", ifb) {
            let (family, name) = (&table.family, &table.name);
            let seen = format!("table `{family} {name}` has a chain at the egress of `{ifb}`");
            found(Code::InFrontOfPlug, seen);
        }
    }
}

/// What speaks for a limit of 0, if anything does.
fn drops_all(gate: &Qdisc, later: &[Qdisc]) -> Option<String> {
    if gate.held_bytes > 0 || gate.dropped == 0 {
        return None;
    }
    let more = later
        .iter()
        .find(|qdisc| qdisc.root && qdisc.held_bytes == 0)
        .map_or(0, |later| later.dropped.saturating_sub(gate.dropped));
    if more > 0 {
        return Some(format!(
            "dropped {more} packets a moment ago and holds none"
        ));
    }
    (gate.sent_packets == 0).then(|| {
        format!(
            "has dropped {} packets, let out none and holds none",
            gate.dropped
        )
    })
}

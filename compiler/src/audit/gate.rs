//! What must be true of the IFB and its plug, or the queue of our module in its place.
//!
//! `sch_plug` dumps neither its limit nor its state (net/sched/sch_plug.c has no dump), so a limit
//! of 0 can only be guessed from drops while nothing is held. Our module tells both, to `epochgate`
//! only.

use qdisc_model::limit::{LARGEST_PACKET, admits_every_packet};
use serde_json::Value;

use super::Scene;
use super::finding::{Code, Finding};
use super::links::{Link, Qdisc};
use crate::backend::Kind;
use crate::gate::module::KIND;

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
        Some(gate) if gate.kind == KIND => match &scene.module {
            Some(module) => tells(module, ifb, &mut found),
            None => found(
                Code::StateUnknown,
                format!("nobody has asked the module at the root of `{ifb}` for its state"),
            ),
        },
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

/// What the module says of itself, as far as it is trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Module {
    limit: u64,
    is_open: bool,
    /// Whether its watchdog will open it, after so many milliseconds.
    opens_after: Option<u64>,
}

/// Reads `epochgate gate status --format json`; `None` if it is about anything but our module.
pub(super) fn module(text: &str) -> Option<Module> {
    let status: Value = serde_json::from_str(text).ok()?;
    if status.get("qdisc")?.as_str()? != KIND {
        return None;
    }
    let state = status.get("module")?;
    let settings = state.get("settings")?;
    let watchdog = settings.get("watchdog")?.as_u64()?;
    let opens = settings.get("late")?.as_str()? == "open" && watchdog > 0;
    Some(Module {
        limit: state.get("limit")?.as_u64()?,
        is_open: state.get("is_open")?.as_bool()?,
        opens_after: opens.then_some(watchdog),
    })
}

fn tells(module: &Module, ifb: &str, found: &mut impl FnMut(Code, String)) {
    let limit = module.limit;
    // A limit beyond 32 bits admits everything.
    if u32::try_from(limit).is_ok_and(|limit| !admits_every_packet(limit)) {
        let seen = format!(
            "the limit of `{ifb}` is {limit} bytes, and the largest packet of a VM has {LARGEST_PACKET}"
        );
        found(Code::SmallLimit, seen);
    }
    if module.is_open {
        found(Code::Open, format!("the gate of `{ifb}` is open"));
    }
    if let Some(after) = module.opens_after {
        let seen = format!("the gate of `{ifb}` opens when no commit comes within {after} ms");
        found(Code::WillOpen, seen);
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

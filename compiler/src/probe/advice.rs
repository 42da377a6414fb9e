//! Which back end to use on this kernel, and what to beware of: read off the rows, nothing is tried.

use serde::Serialize;

use super::{Row, Verdict};
use crate::backend::Kind;

/// What to do with the findings.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Advice {
    /// The back end to use here.
    pub(crate) backend: Option<&'static str>,
    /// Whether the kernel can hold frames at all.
    pub(crate) holds: bool,
    /// What a deployment needs and does not find, by the names of the checks.
    pub(crate) lacks: Vec<&'static str>,
    /// In words, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// What both back ends need.
const BOTH: [&str; 4] = ["tc-version", "script-tools", "ifb", "plug"];
const NFT: [&str; 4] = ["nft-version", "nft-ingress", "nft-fwd", "nft-reinjection"];
const U32: [&str; 6] = [
    "clsact",
    "u32",
    "mirred",
    "tc-reinjection",
    "u32-beyond",
    "u32-negative",
];
/// One of these guards a change of u32 filters.
const GUARDS: [&str; 2] = ["bpf", "matchall"];

/// Reads the advice off the rows.
pub(super) fn from(rows: &[Row]) -> Advice {
    let good = |name: &str| {
        rows.iter()
            .any(|row| row.check.name == name && row.verdict == Verdict::Good)
    };
    let lacking = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| !good(name)).collect()
    };
    let mut for_u32 = lacking(&U32);
    if !GUARDS.into_iter().any(good) {
        for_u32.extend(GUARDS);
    }
    let for_nft = lacking(&NFT);
    let mut lacks = lacking(&BOTH);
    let holds = lacks.is_empty();
    let backend = if for_nft.is_empty() {
        Some(Kind::Nft)
    } else if for_u32.is_empty() {
        Some(Kind::U32)
    } else {
        lacks.extend(for_nft.into_iter().chain(for_u32.iter().copied()));
        None
    };
    let mut notes = vec![match backend {
        Some(Kind::Nft) if for_u32.is_empty() => {
            String::from("both back ends work here; use nft, whose rules change in one transaction")
        }
        Some(kind) => format!("use the {kind} back end; the other one lacks something here"),
        None => String::from("neither back end works here"),
    }];
    if !good("plug") {
        notes.push(String::from(
            "nothing can be held: the kernel needs sch_plug (CONFIG_NET_SCH_PLUG)",
        ));
    }
    for (check, note) in NOTES {
        let row = rows.iter().find(|row| row.check.name == check);
        if row.is_some_and(|row| row.verdict == Verdict::Beware) {
            notes.push(note.to_owned());
        }
    }
    Advice {
        backend: backend.map(Kind::name),
        holds,
        lacks,
        notes,
    }
}

/// What to do about a sharp edge.
const NOTES: [(&str, &str); 5] = [
    (
        "nft-fragments",
        "do not put `udp dport` rules of your own beside ours: later fragments match them",
    ),
    (
        "nft-rename",
        "do not rename a vif that has rules: run apply again if it was renamed",
    ),
    (
        "nft-recreated",
        "run apply again whenever a guest has been started again",
    ),
    (
        "plug-add-block",
        "never add a plug with `block`: add it with a limit, then change it",
    ),
    (
        "plug-flap",
        "never set the IFB down while frames are held: what is released next is not committed",
    ),
];

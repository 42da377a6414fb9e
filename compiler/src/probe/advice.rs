//! Which back end to use on this kernel, and what to beware of: read off the rows, nothing is tried.

use serde::Serialize;

use super::{Row, Verdict};
use crate::backend::Kind;

/// What to do with the findings.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Advice {
    /// The back end to use here.
    pub(crate) backend: Option<&'static str>,
    /// All that work here, the one to use first.
    pub(crate) backends: Vec<&'static str>,
    /// Whether the kernel can hold frames at all.
    pub(crate) holds: bool,
    /// What a deployment needs and does not find, by the names of the checks.
    pub(crate) lacks: Vec<&'static str>,
    /// In words, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// The back ends in the order in which they are recommended: those first whose rules change in one step.
pub(crate) const RECOMMENDED: [Kind; 4] = [Kind::Nft, Kind::Bpf, Kind::U32, Kind::Flower];

/// What all back ends need.
const EVERY: [&str; 4] = ["tc-version", "script-tools", "ifb", "plug"];
const NFT: [&str; 4] = ["nft-version", "nft-ingress", "nft-fwd", "nft-reinjection"];
/// What all at tc's hook need.
const TC: [&str; 3] = ["clsact", "mirred", "tc-reinjection"];
const U32: [&str; 3] = ["u32", "u32-beyond", "u32-negative"];
const FLOWER: [&str; 3] = ["flower", "flower-ranges", "gact"];
/// One of these guards a change of filters.
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
    let guards: &[&str] = match GUARDS.into_iter().any(good) {
        true => &[],
        false => &GUARDS,
    };
    let lacking_for = |kind: Kind| match kind {
        Kind::Nft => lacking(&NFT),
        Kind::Bpf => lacking(&[&TC[..], &["bpf"]].concat()),
        Kind::U32 => lacking(&[&TC[..], &U32, guards].concat()),
        Kind::Flower => lacking(&[&TC[..], &U32, &FLOWER, guards].concat()),
    };
    let mut lacks = lacking(&EVERY);
    let holds = lacks.is_empty();
    let works = |kind: &Kind| lacking_for(*kind).is_empty();
    let backends: Vec<Kind> = RECOMMENDED.into_iter().filter(works).collect();
    if backends.is_empty() {
        for missing in RECOMMENDED.into_iter().flat_map(lacking_for) {
            if !lacks.contains(&missing) {
                lacks.push(missing);
            }
        }
    }
    let backends: Vec<&'static str> = backends.into_iter().map(Kind::name).collect();
    let mut notes = vec![recommended(&backends)];
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
        backend: backends.first().copied(),
        backends,
        holds,
        lacks,
        notes,
    }
}

/// Which back ends work, and which of them to use.
fn recommended(backends: &[&str]) -> String {
    let [first, rest @ ..] = backends else {
        return String::from("no back end works here");
    };
    let Some((last, between)) = rest.split_last() else {
        return format!("use {first}; no other back end works here");
    };
    let names = [&[*first], between].concat().join(", ");
    let why = match *first {
        "nft" => ", whose rules change in one transaction",
        "bpf" => ", whose program is replaced in one step",
        _ => "",
    };
    format!("{names} and {last} work here; use {first}{why}")
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

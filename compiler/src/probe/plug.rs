//! `sch_plug` on an IFB (net/sched/sch_plug.c): whether there is one, and the edges that have to be known
//! to drive it.

use serde::Deserialize;

use super::bench::{IFB, VIF};
use super::devices::frame;
use super::{Bench, Check, Outcome, Trial, Verdict, beware, good, present};

pub(super) const TRIALS: [Trial; 5] = [
    (
        Check {
            name: "plug",
            does: "adds a plug qdisc with a limit to an IFB",
            matters: "without sch_plug nothing can be held",
        },
        |bench| {
            bench.make_ifb()?;
            present(plug(bench, "add", "limit 100000"), "can be added")
        },
    ),
    (
        Check {
            name: "plug-limit",
            does: "adds a plug without a limit and sends until it drops",
            matters: "a packet of segmentation offload is larger; the scripts set a limit",
        },
        default_limit,
    ),
    (
        Check {
            name: "plug-closed",
            does: "adds a plug and sends three frames",
            matters: "a guest is mute until the plug is opened or its first epoch released",
        },
        starts_closed,
    ),
    (
        Check {
            name: "plug-add-block",
            does: "adds a plug with `block` in the same call, and sends a frame",
            matters: "the limit is then 0; the scripts add with a limit and never with `block`",
        },
        add_block,
    ),
    (
        Check {
            name: "plug-flap",
            does: "ends an epoch of three frames, sets the IFB down and up, sends five and releases one epoch",
            matters: "frames of an epoch that is not committed must not leave",
        },
        flap,
    ),
];

/// One qdisc in the listing of `tc -s -j`.
#[derive(Debug, Deserialize)]
struct Listed {
    kind: String,
    #[serde(default)]
    drops: u64,
    #[serde(default)]
    backlog: u64,
    #[serde(default)]
    qlen: u64,
}

fn plug(bench: &Bench, verb: &str, what: &str) -> Result<String, String> {
    bench.sh(&format!("tc qdisc {verb} dev {IFB} root plug {what}"))
}

/// A plug that gets every frame of the vif. The last resort of the kernels without u32 is nft.
fn make(bench: &Bench, options: &str) -> Result<(), String> {
    bench.make_ifb()?;
    plug(bench, "add", options)?;
    bench
        .sh(&format!(
            "tc qdisc add dev {VIF} clsact && tc filter add dev {VIF} ingress protocol all \
             u32 match u32 0 0 at -12 action mirred egress redirect dev {IFB}"
        ))
        .map(drop)
}

fn listed(bench: &Bench) -> Result<Listed, String> {
    let listing = bench.sh(&format!("tc -s -j qdisc show dev {IFB} root"))?;
    let all: Vec<Listed> =
        serde_json::from_str(&listing).map_err(|error| format!("tc -j: {error}"))?;
    all.into_iter()
        .find(|one| one.kind == "plug")
        .ok_or_else(|| String::from("tc does not list the plug"))
}

/// Frames of half of the longest, then the smallest, which fill what is left. A held frame counts for
/// the socket that has sent it until it is released, so each batch is small and has a socket of its own.
const FILLING: [(&str, usize); 3] = [
    ("ethertype 0x88b5 len 743", 35),
    ("ethertype 0x88b5 len 743", 35),
    ("ethertype 0x88b5 len 0", 60),
];
/// Any frame.
const SMALL: &str = "ethertype 0x88b5 len 50";
/// 32, the queue length of an IFB, times the longest Ethernet frame.
const KNOWN_LIMIT: u64 = 32 * 1514;

fn default_limit(bench: &mut Bench) -> Outcome {
    make(bench, "")?;
    for (words, count) in FILLING {
        bench.send(&vec![frame(words)?.as_slice(); count])?;
    }
    let plug = listed(bench)?;
    let found = format!("{} bytes", plug.backlog);
    if plug.drops == 0 {
        return beware(format!("more than {found}"));
    }
    if plug.backlog == KNOWN_LIMIT {
        return good(found);
    }
    beware(format!("{found}, not {KNOWN_LIMIT}"))
}

fn starts_closed(bench: &mut Bench) -> Outcome {
    make(bench, "limit 100000")?;
    let small = frame(SMALL)?;
    let left = bench.send(&[&small, &small, &small])?;
    match (left, listed(bench)?.qlen) {
        (0, 3) => good("holds from the first frame"),
        (left, held) => beware(format!("{left} of three left, {held} held")),
    }
}

fn add_block(bench: &mut Bench) -> Outcome {
    make(bench, "block")?;
    let small = frame(SMALL)?;
    bench.send(&[&small])?;
    let plug = listed(bench)?;
    match (plug.drops, plug.qlen) {
        (1, 0) => beware("drops every frame"),
        (0, 1) => good("holds the frame"),
        other => beware(format!("(dropped, held): {other:?}")),
    }
}

fn flap(bench: &mut Bench) -> Outcome {
    make(bench, "limit 100000")?;
    let small = frame(SMALL)?;
    bench.send(&[&small, &small, &small])?;
    plug(bench, "change", "block")?;
    bench.sh(&format!("ip link set {IFB} down && ip link set {IFB} up"))?;
    let five = [small.as_slice(); 5];
    bench.send(&five)?;
    let before = listed(bench)?;
    plug(bench, "change", "release")?;
    // What was released leaves at once or not at all.
    bench.send(&[])?;
    let after = listed(bench)?;
    match before.qlen.saturating_sub(after.qlen) {
        0 => Ok((Verdict::Good, String::from("nothing uncommitted leaves"))),
        left => beware(format!(
            "{left} frames of the epoch that is not committed leave"
        )),
    }
}

//! The IFB, and what a redirect to it does to a frame (drivers/net/ifb.c, net/sched/act_mirred.c).

use super::bench::{Fate, IFB, VIF};
use super::{Bench, Check, Outcome, Trial, beware, good, present};

pub(super) const TRIALS: [Trial; 2] = [
    (
        Check {
            name: "ifb",
            does: "makes an IFB and brings it up",
            matters: "held frames wait on one",
        },
        |bench| present(bench.make_ifb(), "can be made"),
    ),
    (
        Check {
            name: "tc-reinjection",
            does: "sends frames through a tc redirect to an IFB and compares what comes out",
            matters: "a held frame must leave as it came",
        },
        reinjection,
    ),
];

/// Frames of kinds that are treated apart somewhere on the way.
const KINDS: [&str; 4] = [
    "tcp 10.0.0.2:80 > 192.0.2.9:40000 len 1400",
    "udp [2001:db8::2]:20000 > [2001:db8::9]:30000 len 40",
    "arp",
    "ethertype 0x88b5 payload 0102030405060708",
];

fn reinjection(bench: &mut Bench) -> Outcome {
    bench.make_ifb()?;
    bench.sh(&format!(
        "tc qdisc add dev {VIF} clsact && tc filter add dev {VIF} ingress protocol all \
         u32 match u32 0 0 at -12 action mirred egress redirect dev {IFB}"
    ))?;
    keeps_frames(bench)
}

/// Whether all kinds of frames go through the IFB and stay as they are.
pub(super) fn keeps_frames(bench: &Bench) -> Outcome {
    for words in KINDS {
        match bench.fate(&frame(words)?)? {
            Fate::Held => {}
            Fate::Passed => return beware(format!("was not redirected: {words}")),
            Fate::HeldAndLost => return beware(format!("did not come back as it was: {words}")),
            Fate::Lost => return beware(format!("was lost: {words}")),
        }
    }
    good("frames come back as they were")
}

/// A frame from words that are right.
pub(super) fn frame(words: &str) -> Result<Vec<u8>, String> {
    crate::frame_text::parse(words).map_err(|error| error.to_string())
}

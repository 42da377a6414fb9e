//! nftables at the ingress of a vif (net/netfilter/nf_tables_netdev.c, nft_chain_filter.c): whether it
//! holds frames, what it takes for a port, and what becomes of a chain when its vif changes.

use super::bench::{Fate, IFB, TABLE, VIF};
use super::devices::{frame, keeps_frames};
use super::{Bench, Check, Outcome, Trial, beware, good, present};

pub(super) const TRIALS: [Trial; 6] = [
    (
        Check {
            name: "nft-ingress",
            does: "adds a chain to the ingress hook of a vif",
            matters: "the rules of the nft back end are there",
        },
        |bench| present(load(bench, "accept"), "can be added"),
    ),
    (
        Check {
            name: "nft-fwd",
            does: "adds a rule that forwards to an IFB",
            matters: "so the nft back end holds a frame",
        },
        |bench| {
            bench.make_ifb()?;
            present(hold(bench, ""), "can be added")
        },
    ),
    (
        Check {
            name: "nft-reinjection",
            does: "sends frames through nft's fwd to an IFB and compares what comes out",
            matters: "a held frame must leave as it came",
        },
        |bench| {
            bench.make_ifb()?;
            hold(bench, "")?;
            keeps_frames(bench)
        },
    ),
    (
        Check {
            name: "nft-fragments",
            does: "sends a later IPv4 fragment whose payload looks like a port to `udp dport`",
            matters: "rules written by hand let it pass; ours test for fragments themselves",
        },
        fragments,
    ),
    (
        Check {
            name: "nft-rename",
            does: "renames the vif and sends a frame",
            matters: "a chain that has come off holds nothing while the listing still names the vif",
        },
        renamed,
    ),
    (
        Check {
            name: "nft-recreated",
            does: "removes the vif, makes it anew, and sends a frame",
            matters: "a guest that starts again has a new vif; the rules must be loaded anew",
        },
        recreated,
    ),
];

fn load(bench: &Bench, rules: &str) -> Result<String, String> {
    bench.sh(&format!(
        "printf '%s\\n' 'table netdev {TABLE} {{ chain ingress {{ type filter hook ingress device \"{VIF}\" \
         priority 0; policy accept; {rules}; }}; }}' | nft -f -"
    ))
}

/// Holds all but what `rules` lets pass.
fn hold(bench: &Bench, rules: &str) -> Result<String, String> {
    load(bench, &format!("{rules} fwd to \"{IFB}\""))
}

fn fragments(bench: &mut Bench) -> Outcome {
    bench.make_ifb()?;
    hold(bench, "udp dport 16384-32767 accept;")?;
    let whole = bench.fate(&frame("udp 10.0.0.2:5 > 192.0.2.9:20000 len 40")?)?;
    if whole != Fate::Passed {
        return beware(format!("a whole datagram to the port: {whole:?}"));
    }
    // 0x4e20 is 20000, where the destination port would be.
    let later = "ip 10.0.0.2 > 192.0.2.9 proto 17 frag-later payload 00054e2000300000ffffffff";
    match bench.fate(&frame(later)?)? {
        Fate::Passed => beware("payload of later fragments is read as ports"),
        Fate::Held => good("later fragments have no ports"),
        other => beware(format!("{other:?}")),
    }
}

fn renamed(bench: &mut Bench) -> Outcome {
    bench.make_ifb()?;
    hold(bench, "")?;
    let rename = |from, to| {
        bench.sh(&format!(
            "ip link set {from} down && ip link set {from} name {to} && ip link set {to} up"
        ))
    };
    rename(VIF, "vif9")?;
    let fate = bench.fate(&frame("arp")?);
    rename("vif9", VIF)?;
    match fate? {
        Fate::Held => good("the chain goes with the vif"),
        Fate::Passed => beware("the chain comes off and all frames pass"),
        other => beware(format!("{other:?}")),
    }
}

fn recreated(bench: &mut Bench) -> Outcome {
    bench.make_ifb()?;
    hold(bench, "")?;
    bench.make_vif_again()?;
    match bench.fate(&frame("arp")?)? {
        Fate::Held => good("the chain comes back with the vif"),
        Fate::Passed => {
            beware("the chain is gone and all frames pass until the rules are loaded again")
        }
        other => beware(format!("{other:?}")),
    }
}

//! tc at the ingress of a vif: which filters and actions there are, and how u32 reads a frame
//! (net/sched/cls_u32.c). Stable kernels of 2026 changed how negative offsets are read.

use super::bench::{Fate, IFB, VIF};
use super::devices::frame;
use super::{Bench, Check, Outcome, Trial, beware, good, present};

pub(super) const TRIALS: [Trial; 10] = [
    (
        Check {
            name: "clsact",
            does: "adds a clsact qdisc",
            matters: "tc filters at the ingress need it",
        },
        |bench| present(clsact(bench), "can be added"),
    ),
    (
        Check {
            name: "u32",
            does: "adds a u32 filter",
            matters: "the u32 back end is made of them",
        },
        |bench| filter(bench, "all u32 match u32 0 0 at -12 flowid :1"),
    ),
    (
        Check {
            name: "mirred",
            does: "adds a filter that redirects to an IFB",
            matters: "so the u32 back end holds a frame",
        },
        |bench| {
            bench.make_ifb()?;
            filter(
                bench,
                &format!("all u32 match u32 0 0 at -12 action mirred egress redirect dev {IFB}"),
            )
        },
    ),
    (
        Check {
            name: "bpf",
            does: "adds a classic BPF filter",
            matters: "the bpf back end is one, and the guard while filters are changed",
        },
        |bench| filter(bench, "all bpf bytecode '1,6 0 0 4294967295' flowid :1"),
    ),
    (
        Check {
            name: "matchall",
            does: "adds a matchall filter",
            matters: "the guard where there is no bpf",
        },
        |bench| filter(bench, "all matchall classid 1:1"),
    ),
    (
        Check {
            name: "flower",
            does: "adds a flower filter",
            matters: "the flower back end is made of them",
        },
        |bench| filter(bench, "ip flower ip_proto udp"),
    ),
    (
        Check {
            name: "flower-ranges",
            does: "adds a flower filter for a range of ports and sends to both sides of its end",
            matters: "filters of the flower back end for media need it",
        },
        flower_ranges,
    ),
    (
        Check {
            name: "gact",
            does: "adds a filter with the action pass",
            matters: "the flower back end goes to its chains with it",
        },
        |bench| filter(bench, "all u32 match u32 0 0 at -12 action pass"),
    ),
    (
        Check {
            name: "u32-beyond",
            does: "asks for a word behind the end of a frame, with a filter behind that lets pass",
            matters: "the rules are laid out for a key that ends its whole pref",
        },
        beyond,
    ),
    (
        Check {
            name: "u32-negative",
            does: "reads the Ethernet header at -14 to -2, in a whole frame and in one of 14 bytes",
            matters: "the catch-all reads at -12, a test for the ethertype at -4",
        },
        negative,
    ),
];

fn clsact(bench: &Bench) -> Result<String, String> {
    bench.sh(&format!("tc qdisc add dev {VIF} clsact"))
}

fn add(bench: &Bench, pref: u32, what: &str) -> Result<String, String> {
    bench.sh(&format!(
        "tc filter add dev {VIF} ingress pref {pref} protocol {what}"
    ))
}

fn filter(bench: &mut Bench, what: &str) -> Outcome {
    clsact(bench)?;
    present(add(bench, 10, what), "can be added")
}

/// The filter that sends on to the IFB whatever the filter before has not decided.
fn hold_the_rest(bench: &Bench) -> Result<String, String> {
    add(
        bench,
        20,
        &format!("all u32 match u32 0 0 at -12 action mirred egress redirect dev {IFB}"),
    )
}

fn flower_ranges(bench: &mut Bench) -> Outcome {
    bench.make_ifb()?;
    clsact(bench)?;
    let ranged = "ip flower ip_proto udp dst_port 16384-32767 classid 1:1";
    if let Err(said) = add(bench, 10, ranged) {
        return present(Err(said), "");
    }
    hold_the_rest(bench)?;
    let fate = |port| {
        bench.fate(&frame(&format!(
            "udp 10.0.0.2:5 > 192.0.2.9:{port} len 40"
        ))?)
    };
    match (fate(16383)?, fate(16384)?, fate(32767)?, fate(32768)?) {
        (Fate::Held, Fate::Passed, Fate::Passed, Fate::Held) => good("match what they say"),
        other => beware(format!("16383, 16384, 32767, 32768: {other:?}")),
    }
}

fn beyond(bench: &mut Bench) -> Outcome {
    bench.make_ifb()?;
    clsact(bench)?;
    add(
        bench,
        10,
        "all handle ::1 u32 match u32 0 0 at 400 flowid :1",
    )?;
    add(
        bench,
        10,
        "all handle ::2 u32 match u32 0 0 at -12 flowid :1",
    )?;
    hold_the_rest(bench)?;
    match bench.fate(&frame("arp")?)? {
        Fate::Held => good("ends the whole pref"),
        Fate::Passed => beware("is skipped, the next filter of the pref decides"),
        other => beware(format!("{other:?}")),
    }
}

/// Addresses whose bytes are all different, so that a key that reads elsewhere can't match.
const HEADER: [u8; 14] = [
    0x02, 0x11, 0x12, 0x13, 0x14, 0x15, 0x02, 0x21, 0x22, 0x23, 0x24, 0x25, 0x88, 0xb5,
];

fn negative(bench: &mut Bench) -> Outcome {
    let whole = [&HEADER[..], &[0x31; 46]].concat();
    let mut unread = Vec::new();
    for (key, frame, name) in [
        ("u8 0x02 0xff at -14", &whole[..], "-14"),
        ("u32 0x12131415 0xffffffff at -12", &whole[..], "-12"),
        ("u32 0x02212223 0xffffffff at -8", &whole[..], "-8"),
        ("u32 0x242588b5 0xffffffff at -4", &whole[..], "-4"),
        ("u16 0x88b5 0xffff at -2", &whole[..], "-2"),
        (
            "u32 0x12131415 0xffffffff at -12",
            &HEADER[..],
            "-12 of 14 bytes",
        ),
        (
            "u32 0x242588b5 0xffffffff at -4",
            &HEADER[..],
            "-4 of 14 bytes",
        ),
    ] {
        bench.clean();
        bench.make_ifb()?;
        clsact(bench)?;
        let hold = format!("all u32 match {key} action mirred egress redirect dev {IFB}");
        add(bench, 10, &hold)?;
        match bench.fate(frame)? {
            Fate::Held | Fate::HeldAndLost => {}
            Fate::Passed | Fate::Lost => unread.push(name),
        }
    }
    if unread.is_empty() {
        good("all are read, also in a frame of 14 bytes")
    } else {
        beware(format!("not read: {}", unread.join(", ")))
    }
}

//! The laboratory tested by itself: two rule sets written by hand, with verdicts that were
//! measured before by other means, and what must hold of every run.

use std::fs;

use libtest_mimic::{Failed, Trial};
use tests::captures;
use tests::netlab::{Lab, Observation, Observed, Run};

use crate::Here;

/// Bypass UDP to 16384-32767 in plain IPv4, hold the rest: raw offsets, one nft rule.
const NFT: &str = "
ip link add ifb0 type ifb; ip link set ifb0 arp off up
nft -f - <<'RULES'
table netdev gate {
    chain ingress {
        type filter hook ingress device vif0 priority 0; policy drop;
        ether type ip @nh,0,8 0x45 @nh,72,8 17 @nh,48,16 & 0x3fff == 0 @nh,176,16 & 0xc000 == 0x4000 accept
        fwd to ifb0
    }
}
RULES";

/// The same in tc u32; the catch-all looks at the first byte of the Ethernet header.
const U32: &str = "
ip link add ifb0 type ifb; ip link set ifb0 arp off up
tc qdisc add dev vif0 clsact
tc filter add dev vif0 ingress pref 65000 protocol all u32 match u8 0 0 at -14 action mirred egress redirect dev ifb0
tc filter add dev vif0 ingress pref 10 protocol ip u32 match u8 0x45 0xff at 0 match ip protocol 17 0xff match u16 0 0x3fff at 6 match ip dport 0x4000 0xc000 flowid :1";

/// Frames of `adversarial.pcap` and their measured verdicts, equal for both rule sets.
const MEASURED: [(&str, Observed); 18] = [
    ("udp4_in", Observed::Bypassed),
    ("udp4_16383", Observed::Held),
    ("udp4_16384", Observed::Bypassed),
    ("udp4_32767", Observed::Bypassed),
    ("udp4_32768", Observed::Held),
    ("udp4_DF_in", Observed::Bypassed),
    ("tcp4_dport_in", Observed::Held),
    ("udp6_in", Observed::Held),
    ("frag4_first_in", Observed::Held),
    ("frag4_later_fake_in", Observed::Held),
    ("opt4_nop_in", Observed::Held),
    ("opt4_fake_out", Observed::Held),
    ("udp4_trunc4B_in", Observed::Bypassed),
    ("udp4_trunc3B", Observed::Held),
    ("ip4_ihl4_in", Observed::Held),
    ("ip4_tot0_in", Observed::Bypassed),
    ("qinq_8100_8100_udp_in", Observed::Held),
    ("eth_hdr_only", Observed::Held),
];

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial_on_captures("lab::nft_by_hand_as_measured", || as_measured(NFT)),
        here.trial_on_captures("lab::u32_by_hand_as_measured", || as_measured(U32)),
        here.trial_on_captures("lab::a_closed_gate_lets_only_bypass_out", closed_gate),
        here.trial_on_captures(
            "lab::all_captured_frames_arrive",
            all_captured_frames_arrive,
        ),
        here.trial("lab::without_rules_all_pass", without_rules_all_pass),
        here.trial(
            "lab::short_tagged_frames_never_arrive",
            short_tagged_frames_never_arrive,
        ),
        here.trial("lab::many_frames", many_frames),
        here.trial("lab::plug_commands", plug_commands),
        here.trial("lab::removed_after_use", removed_after_use),
    ]
}

fn expect_clean(run: &Run) -> Result<(), Failed> {
    match run.anomalies.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(format!("{} anomalies, first: {first}", run.anomalies.len()).into()),
    }
}

/// The adversarial frames and their names.
fn adversarial() -> Result<(Vec<String>, Vec<Vec<u8>>), Failed> {
    let directory = captures::directory().ok_or("the captures are not there")?;
    let names = fs::read_to_string(directory.join("adversarial.names.txt"))?;
    let names = names
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()));
    let all = captures::ethernet_frames(&directory)?.frames;
    let frames = all
        .into_iter()
        .filter(|(name, _)| name.starts_with("adversarial.pcap#"));
    Ok(names.zip(frames.map(|(_, frame)| frame)).unzip())
}

fn as_measured(script: &str) -> Result<(), Failed> {
    let (names, frames) = adversarial()?;
    let lab = Lab::new()?;
    lab.shell(script)?;
    let run = lab.run(Some("ifb0"), &frames)?;
    expect_clean(&run)?;
    assert_eq!(frames.len(), 113);
    for (name, expected) in MEASURED {
        let at = names
            .iter()
            .position(|n| n == name)
            .expect("the name is in the list");
        assert_eq!(run.observations[at].observed, expected, "{name}");
    }
    for (name, observation) in names.iter().zip(&run.observations) {
        let arrived = matches!(observation.observed, Observed::Held | Observed::Bypassed);
        assert!(arrived, "{name}: {observation:?}");
        // The bridge never forwards PAUSE.
        assert_eq!(observation.delivered, name != "pause", "{name}");
    }
    Ok(())
}

/// Every captured frame that the kernel will send is judged by both rule sets, and alike.
fn all_captured_frames_arrive() -> Result<(), Failed> {
    let directory = captures::directory().ok_or("the captures are not there")?;
    let captures = captures::ethernet_frames(&directory)?;
    eprintln!("{} captured frames; left out:", captures.frames.len());
    for line in &captures.left_out {
        eprintln!("  {line}");
    }
    let (names, frames): (Vec<_>, Vec<_>) = captures.frames.into_iter().unzip();
    let mut runs = Vec::new();
    for script in [NFT, U32] {
        let lab = Lab::new()?;
        lab.shell(script)?;
        let run = lab.run(Some("ifb0"), &frames)?;
        expect_clean(&run)?;
        runs.push(run.observations);
    }
    for ((name, nft), u32) in names.iter().zip(&runs[0]).zip(&runs[1]) {
        assert_eq!(nft, u32, "{name}");
        assert!(
            matches!(nft.observed, Observed::Held | Observed::Bypassed),
            "{name}: {nft:?}"
        );
    }
    Ok(())
}

fn without_rules_all_pass() -> Result<(), Failed> {
    let lab = Lab::new()?;
    let frames = vec![
        experimental(1),
        // PAUSE: only the witness can see that it passed.
        [
            &[0x01, 0x80, 0xc2, 0, 0, 1][..],
            &[2, 0, 0, 0, 0, 1],
            &[0x88, 0x08],
            &[0; 46],
        ]
        .concat(),
        // A source address that no station has: the bridge eats it.
        [
            &[2, 0, 0, 0, 0, 9][..],
            &[1, 0, 0, 0, 0, 1],
            &[0x08, 0x00],
            &[0; 46],
        ]
        .concat(),
        // Less than an Ethernet header.
        vec![2; 13],
    ];
    let run = lab.run(None, &frames)?;
    expect_clean(&run)?;
    let seen = |observed, delivered| Observation {
        observed,
        delivered,
    };
    let expected = [
        seen(Observed::Bypassed, true),
        seen(Observed::Bypassed, false),
        seen(Observed::Bypassed, false),
        seen(Observed::Refused, false),
    ];
    assert_eq!(run.observations, expected);
    Ok(())
}

/// With the IFB down nothing that should be held may come out by another way.
fn closed_gate() -> Result<(), Failed> {
    let (names, frames) = adversarial()?;
    for script in [NFT, U32] {
        let lab = Lab::new()?;
        lab.shell(script)?;
        let open = lab.run(Some("ifb0"), &frames)?;
        lab.shell("ip link set ifb0 down")?;
        let closed = lab.run(None, &frames)?;
        expect_clean(&closed)?;
        for ((name, open), closed) in names
            .iter()
            .zip(&open.observations)
            .zip(&closed.observations)
        {
            let expected = match open.observed {
                Observed::Held => Observed::Dropped,
                other => other,
            };
            assert_eq!(closed.observed, expected, "{name}");
        }
    }
    Ok(())
}

/// The kernel takes a tag off before any hook and wants two bytes behind it.
fn short_tagged_frames_never_arrive() -> Result<(), Failed> {
    let lab = Lab::new()?;
    lab.shell(NFT)?;
    let tail = [0x00, 0x05, 0x08, 0x00, 0x45, 0x00, 0x00];
    let mut frames = Vec::new();
    for tag in [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]] {
        for length in 0..=tail.len() {
            let addresses = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
            frames.push([&addresses[..], &tag, &tail[..length]].concat());
        }
    }
    let run = lab.run(Some("ifb0"), &frames)?;
    expect_clean(&run)?;
    for (frame, observation) in frames.iter().zip(&run.observations) {
        let stripped = frame[12] != 0x91;
        let expected = if stripped && frame.len() < 20 {
            Observed::Dropped
        } else {
            Observed::Held
        };
        assert_eq!(observation.observed, expected, "{frame:02x?}");
    }
    Ok(())
}

/// A frame of the local experimental ethertype with a number in it.
fn experimental(number: u32) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [
        &addresses[..],
        &[0x88, 0xb5],
        &number.to_be_bytes(),
        &[0; 42],
    ]
    .concat()
}

fn many_frames() -> Result<(), Failed> {
    let lab = Lab::new()?;
    lab.shell(
        "ip link add ifb0 type ifb; ip link set ifb0 arp off up
        nft 'add table netdev g; add chain netdev g i { type filter hook ingress device vif0 priority 0; policy drop; }
            add rule netdev g i @nh,24,8 & 1 == 0 accept; add rule netdev g i fwd to ifb0'",
    )?;
    let count = crate::number("EPOCHGATE_FRAMES", 20_000);
    let frames: Vec<_> = (0..).map(experimental).take(count).collect();
    let begin = std::time::Instant::now();
    let run = lab.run(Some("ifb0"), &frames)?;
    eprintln!(
        "{count} frames in {:?}, {} sent again",
        begin.elapsed(),
        run.sent_again
    );
    expect_clean(&run)?;
    for (number, observation) in run.observations.iter().enumerate() {
        let observed = if number % 2 == 0 {
            Observed::Bypassed
        } else {
            Observed::Held
        };
        assert_eq!(
            *observation,
            Observation {
                observed,
                delivered: true
            },
            "frame {number}"
        );
    }
    Ok(())
}

/// What a script does with plug works, and what would be a black hole does not, whether the
/// kernel has plug or the stand-in plays it.
fn plug_commands() -> Result<(), Failed> {
    let lab = Lab::new()?;
    eprintln!("packets are held with {}", lab.plug());
    lab.shell(
        "ip link add ifb0 type ifb; ip link set ifb0 up
        tc qdisc add dev ifb0 root handle 1: plug limit 67108864
        tc qdisc change dev ifb0 root handle 1: plug release_indefinite
        tc qdisc change dev ifb0 root plug limit 1000000
        tc qdisc show dev ifb0 | grep -q '^qdisc plug 1: root'
        ! tc qdisc show dev ifb0 | grep -q limit
        tc -j qdisc show dev ifb0 | grep -q '\"kind\":\"plug\"'
        tc qdisc replace dev ifb0 root handle 1: plug limit 2000000
        tc qdisc del dev ifb0 root
        ! tc qdisc change dev ifb0 root plug release_indefinite",
    )?;
    Ok(())
}

fn removed_after_use() -> Result<(), Failed> {
    let lab = Lab::new()?;
    let path = format!("/run/netns/{}", lab.name());
    assert!(fs::exists(&path)?);
    drop(lab);
    assert!(!fs::exists(&path)?);
    let unwound = std::panic::catch_unwind(|| {
        let lab = Lab::new().expect("a laboratory was possible before");
        std::panic::resume_unwind(Box::new(format!("/run/netns/{}", lab.name())));
    });
    let path = *unwound
        .expect_err("it panics")
        .downcast::<String>()
        .expect("a path");
    assert!(!fs::exists(&path)?);
    Ok(())
}

//! Trials of rules that are right, and of rules that are wrong on purpose.

use std::collections::BTreeMap;

use policy_lang::check::check;
use policy_lang::source::SourceFile;
use proptest::prelude::*;

use super::*;

const NODES: usize = 1 << 17;

fn policy(text: &str) -> Policy {
    let (policy, found) = check(&SourceFile::new("x", text));
    policy.unwrap_or_else(|| panic!("{found:?}"))
}

fn ifb() -> Device {
    Device::new("ifb0").unwrap()
}

/// Rules that do exactly what a policy says.
fn rules_of(space: &Space, text: &str) -> Candidate {
    let bypass = space.bypass_of(&policy(text)).unwrap();
    let held = space.complement(&bypass).unwrap();
    let held = BTreeMap::from([(String::from("ifb0"), held)]);
    Candidate {
        outcome: Outcome {
            bypass,
            held,
            dropped: space.none(),
            unsure: space.none(),
        },
        ifb: ifb(),
    }
}

fn trial(rules: &str, text: &str) -> Trial {
    let space = Space::new(NODES).unwrap();
    let candidate = rules_of(&space, rules);
    run(&space, &policy(text), &[candidate], (2000, 1), |_| ()).unwrap()
}

#[test]
fn rules_that_are_the_policy_pass() {
    let text = "buffer tcp; bypass udp dport 16384-32767 rtp; bypass arp;";
    let trial = trial(text, text);
    assert_eq!(trial.mismatches, [None]);
    assert!(
        trial
            .rules
            .iter()
            .all(|hits| matches!(hits, Hits::Frames(1..))),
        "{trial:?}"
    );
    assert!(trial.frames > 1900 && trial.default > 0, "{trial:?}");
}

#[test]
fn a_port_too_many_is_found_and_made_small() {
    let found = trial("bypass udp dport 100-201;", "bypass udp dport 100-200;").mismatches;
    let found = found[0].clone().expect("port 201 leaks");
    assert_eq!(found.rules, Fate::Bypass);
    assert_eq!(found.policy.verdict, Verdict::Buffer);
    // The smallest such frame: IPv4 and UDP headers and nothing else, all zero but what matters.
    assert_eq!(found.frame.len(), 14 + 20 + 8);
    let counted = found.frame.iter().filter(|byte| **byte != 0).count();
    assert_eq!(
        counted, 4,
        "ethertype, version, protocol, port: {:02x?}",
        found.frame
    );
}

#[test]
fn every_kind_of_slip_is_found() {
    let policy = "buffer tcp; bypass udp sport 16384-32767 rtp; bypass ip6 dscp ef; bypass arp;";
    for slip in [
        "bypass udp sport 16384-32767 rtp; bypass ip6 dscp ef; bypass arp;",
        "buffer tcp; bypass udp sport 16384-32766 rtp; bypass ip6 dscp ef; bypass arp;",
        "buffer tcp; bypass udp sport 16384-32767; bypass ip6 dscp ef; bypass arp;",
        "buffer tcp; bypass udp sport 16384-32767 rtp; bypass ip6; bypass arp;",
        "buffer tcp; bypass udp sport 16384-32767 rtp; bypass ip6 dscp ef;",
        "buffer tcp; bypass udp sport 16384-32767 rtp; bypass ip6 dscp ef; bypass arp untagged;",
        "buffer tcp; bypass (udp sport 16384-32767 rtp or fragment proto 17); bypass ip6 dscp ef; bypass arp;",
    ] {
        assert!(trial(slip, policy).mismatches[0].is_some(), "{slip}");
    }
}

#[test]
fn frames_held_in_the_wrong_place_are_found() {
    let space = Space::new(NODES).unwrap();
    let mut candidate = rules_of(&space, "");
    candidate.ifb = Device::new("ifb1").unwrap();
    let trial = run(&space, &policy(""), &[candidate], (1, 1), |_| ()).unwrap();
    assert_eq!(
        trial.mismatches[0].as_ref().map(|m| m.frame.len()),
        Some(14)
    );
}

#[test]
fn rules_without_frames_are_told_from_rules_that_can_have_none() {
    let text = "buffer udp; bypass udp dport 5; bypass ip6 src 2001:db8::1 dst 2001:db8::2 ttl 7;";
    let space = Space::new(NODES).unwrap();
    let trial = run(&space, &policy(text), &[], (0, 1), |_| ()).unwrap();
    assert_eq!(
        trial.rules,
        [Hits::Frames(1), Hits::Unreachable, Hits::Frames(1)]
    );
    assert_eq!(trial.frames, 2);
}

proptest! {
    /// Shrinking ends, with a frame that still fails and is no longer than before.
    #[test]
    fn shrinking_keeps_the_fault(
        frame in proptest::collection::vec(any::<u8>(), 0..60),
        at in 0_usize..60,
        least in any::<u8>(),
    ) {
        let fails = |frame: &[u8]| frame.get(at).is_some_and(|byte| *byte >= least);
        if fails(&frame) {
            let small = shrink(frame.clone(), fails);
            prop_assert!(fails(&small));
            prop_assert!(small.len() <= frame.len());
            prop_assert_eq!(small.len(), at + 1);
        }
    }
}

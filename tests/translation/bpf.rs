//! What the bpf back end writes, read back by somebody else, lets the same frames pass as the
//! policy: on sets of all frames, not on samples. And what it writes, as text, for reading.

use compiler::backend::Kind;
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy};

use crate::proof::{are_the_policy, emit, from_text};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// All terms of the language; only the size can be refused.
    #[test]
    fn read_back_as_meant(policy in policy(Terms::All, 6)) {
        match emit(Kind::Bpf, &policy) {
            Ok(rules) => are_the_policy(Kind::Bpf, &policy, &rules)?,
            Err(refusal) => prop_assert!(refusal.reason.contains("instructions"), "{}", refusal),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_same_policy_gives_the_same_bytes(policy in policy(Terms::All, 6)) {
        prop_assert_eq!(emit(Kind::Bpf, &policy), emit(Kind::Bpf, &policy.clone()));
    }
}

#[test]
fn small_policies_are_proved() {
    let policies = [
        "buffer;",
        "bypass;",
        "buffer tcp; default bypass;",
        "bypass udp dport 16384-32767 because \"RTP media\";",
        "bypass rtp pt {0, 8, 101}; bypass stun; bypass dtls;",
        "bypass vlan 100; bypass arp; bypass ip dst 10.0.0.0/8; bypass dst 2001:db8::/32;",
        "bypass ethertype {0x88a8, 0x88cc}; buffer src mac 00:16:3e:00:00:01; default bypass;",
        "bypass dscp 46; bypass ip6 ttl 1-63; buffer fragment; bypass ecn 3;",
    ];
    for text in policies {
        let policy = from_text(text);
        let rules = emit(Kind::Bpf, &policy).unwrap();
        are_the_policy(Kind::Bpf, &policy, &rules).unwrap();
    }
}

#[test]
fn the_papers_policy_as_text() {
    let rules = emit(Kind::Bpf, &from_text("bypass udp dport 16384-32767;")).unwrap();
    insta::assert_snapshot!("media", rules);
}

/// Jumps over more than 255 instructions, and the whole of tc's buffer nearly used.
#[test]
fn a_thousand_ports_fit() {
    let ports: Vec<String> = (0..1_000).map(|n| (n * 60 + 7).to_string()).collect();
    let policy = from_text(&format!("bypass udp dport {{{}}};", ports.join(", ")));
    let rules = emit(Kind::Bpf, &policy).unwrap();
    are_the_policy(Kind::Bpf, &policy, &rules).unwrap();
}

#[test]
fn what_is_too_long_names_the_rule_that_costs_most() {
    let ports: Vec<String> = (0..3_000).map(|n| (n * 20 + 7).to_string()).collect();
    let text = format!("bypass icmp; bypass udp dport {{{}}};", ports.join(", "));
    let refusal = emit(Kind::Bpf, &from_text(&text)).unwrap_err();
    assert_eq!(
        (refusal.backend, refusal.instead),
        (Kind::Bpf, Some(Kind::Nft))
    );
    assert_eq!(refusal.term, "rule 2");
    assert!(
        refusal.reason.contains("3000") || refusal.reason.contains("6000"),
        "{refusal}"
    );
}

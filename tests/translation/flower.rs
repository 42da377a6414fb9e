//! What the flower back end writes, read back by somebody else, lets the same frames pass as the
//! policy: on sets of all frames, not on samples. And what it writes, as text, for reading.

use compiler::backend::Kind;
use compiler::readback::u32::read_batch;
use compiler::readback::{Outcome, ReadbackError};
use policy_lang::Space;
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy};

use crate::proof::{agree, emit, from_text};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn read_back_as_meant(policy in policy(Terms::U32, 6)) {
        // The limit on filters is that of the u32 rules, also where flower would need fewer.
        if let Err(refusal) = emit(Kind::Flower, &policy) {
            let too_many = refusal.reason.contains("more than");
            prop_assert!(too_many && emit(Kind::U32, &policy).is_err(), "{}", refusal);
            return Ok(());
        }
        agree(Kind::Flower, &policy)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_same_policy_gives_the_same_bytes(policy in policy(Terms::U32, 6)) {
        prop_assert_eq!(emit(Kind::Flower, &policy), emit(Kind::Flower, &policy.clone()));
    }
}

#[test]
fn small_policies_as_text() {
    let policies = [
        (
            "flower_media",
            "bypass udp dport 16384-32767 because \"RTP media\";",
        ),
        ("flower_one_port", "bypass udp dport {5060, 5062};"),
        (
            "flower_addresses",
            "bypass ip src 10.0.0.0/8 udp dport 5000-5010 dscp 46;",
        ),
        ("flower_icmp", "bypass icmp type 8; bypass icmp6 type 128;"),
    ];
    for (name, text) in policies {
        let rules = agree(Kind::Flower, &from_text(text)).unwrap();
        assert!(rules.contains(" flower "), "{rules}");
        insta::assert_snapshot!(name, rules);
    }
}

/// What flower does not see, or kernels see differently, stays with u32 and keeps its meaning.
#[test]
fn the_rest_is_left_to_u32() {
    for text in [
        "bypass udp dport {5060, 16384-32767};",
        "buffer ip src 10.0.0.0/8 udp dport 5004; bypass ip udp dport 5000-5010 dscp 46;",
        "buffer tcp; default bypass;",
        "bypass tcp flags syn;",
        "bypass udplite dport 5004;",
        "bypass udp sport 5060 dport 16384-32767;",
        "bypass udp dport 0-1023;",
        "bypass rtp pt 0;",
    ] {
        let rules = agree(Kind::Flower, &from_text(text)).unwrap();
        assert!(!rules.contains(" ip_proto "), "{text}\n{rules}");
    }
}

#[test]
fn what_nobody_sees_is_refused_by_name() {
    for (text, term) in [("bypass vlan 100;", "vlan ID"), ("bypass dtls;", "dtls")] {
        let refusal = emit(Kind::Flower, &from_text(text)).unwrap_err();
        assert_eq!(refusal.backend, Kind::Flower);
        assert_eq!(refusal.instead, Some(Kind::Nft));
        assert_eq!(refusal.term, term);
    }
}

const PLAIN: &str = "filter add dev v ingress pref 5 protocol ip handle 0x1 flower";

fn read(rules: &str) -> Result<(Space, Outcome), ReadbackError> {
    let space = Space::new(1 << 18).unwrap();
    read_batch(&space, rules, "v").map(|outcome| (space, outcome))
}

/// A filter without a guard may be asked about fragments, options and other versions: not proved.
#[test]
fn a_filter_without_its_guard_is_not_sure() {
    let (space, outcome) = read(&format!("{PLAIN} ip_proto udp dst_port 5004\n")).unwrap();
    let frame = |first: u8, fragment: u8| {
        let mut frame = vec![0_u8; 14 + 28];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = first;
        frame[20] = fragment;
        frame[23] = 17;
        frame
    };
    for (first, fragment, sure) in [
        (0x45, 0, true),
        (0x45, 0x40, true),
        (0x55, 0, false),
        (0x46, 0, false),
        (0x45, 0x20, false),
        (0x45, 0x1f, false),
    ] {
        let frame = frame(first, fragment);
        assert_eq!(
            !space.contains(&outcome.unsure, &frame),
            sure,
            "{frame:02x?}"
        );
    }
}

/// A chain that is not there, or in which nothing matches, lets pass: the frame does not come back.
#[test]
fn nobody_comes_back_from_a_chain() {
    let hold = "filter add dev v ingress pref 9 protocol all matchall action mirred egress redirect dev i\n";
    let guard = "filter add dev v ingress pref 5 protocol all handle ::1 u32 match u32 0 0 at -12 flowid :1 action goto chain 7\n";
    let (space, outcome) = read(&format!("{guard}{hold}")).unwrap();
    assert!(space.contains(&outcome.bypass, &[0; 60]));
    let lost =
        "filter add dev v ingress chain 7 pref 1 protocol all handle 0x1 flower action drop\n";
    let (space, outcome) = read(&format!("{lost}{guard}{hold}")).unwrap();
    assert!(space.contains(&outcome.dropped, &[0; 60]));
}

#[test]
fn what_tc_or_the_kernel_refuses_is_not_understood() {
    let twice = format!("{PLAIN} ip_proto udp dst_port 5\n{PLAIN} ip_proto udp dst_port 5\n");
    let same_keys = twice.replacen("0x1", "0x2", 1);
    let two_verdicts = format!(
        "{PLAIN} ip_proto udp dst_port 5\n{} ip_proto udp src_port 5 action drop\n",
        PLAIN.replace("0x1", "0x2")
    );
    let no_handle = format!("{} ip_proto udp\n", PLAIN.replace(" handle 0x1", ""));
    let cases = [
        format!("{PLAIN} ip_proto udp dst_port 5-5\n"),
        format!("{PLAIN} ip_proto udp dst_port 6-5\n"),
        format!("{PLAIN} ip_proto udp src_port 5 dst_port 5-6\n"),
        format!("{PLAIN} ip_proto icmp dst_port 5\n"),
        format!("{PLAIN} ip_proto icmpv6\n"),
        format!("{PLAIN} ip_proto udp type 8\n"),
        format!("{PLAIN} dst_port 5\n"),
        format!("{PLAIN} ip_proto udp dst_port 0\n"),
        format!("{PLAIN} ip_proto udp dst_port 0-5\n"),
        format!("{PLAIN} ip_proto icmp type 0x8\n"),
        format!("{PLAIN} ip_proto udp ip_tos 184/16\n"),
        format!("{PLAIN} ip_proto udp ip_flags nofrag\n"),
        format!("{PLAIN} ip_proto udp vlan_ethtype ip\n"),
        PLAIN.replace("protocol ip", "protocol all") + " ip_proto udp\n",
        // tc sends the kernel the last of them only.
        format!("{PLAIN} ip_proto udp src_port 5-9 src_port 7-9\n"),
        // Asks for what is behind the tag, and so does not match every tagged frame.
        PLAIN.replace("protocol ip", "protocol 802.1Q") + " vlan_ethtype ip\n",
        twice,
        same_keys,
        two_verdicts,
        no_handle,
    ];
    for rules in cases {
        let answer = read(&rules);
        assert!(
            matches!(answer, Err(ReadbackError::NotUnderstood { .. })),
            "{rules}"
        );
    }
}

//! Changes that flip a verdict: the smallest of the frame, and those of the policy.

use super::*;
use crate::frame_text;
use policy_lang::check;
use policy_lang::source::SourceFile;

fn read(policy: &str, frame: &str) -> (Space, Policy, Vec<u8>) {
    let (checked, errors) = check(&SourceFile::new("case", policy));
    let checked = checked.unwrap_or_else(|| panic!("{policy}: {errors:?}"));
    let frame = frame_text::parse(frame).unwrap();
    (Space::new(1 << 20).unwrap(), checked, frame)
}

/// The changed parts in words, and the frame; both verdicts are looked at.
fn change(policy: &str, frame: &str) -> Option<(String, String)> {
    let (space, policy, frame) = read(policy, frame);
    let found = smallest_change(&space, &policy, &frame).unwrap()?;
    assert_ne!(classify(&policy, &frame).verdict, found.decision.verdict);
    // The words that are shown are the frame.
    let text = frame_text::describe(&found.frame);
    let again = frame_text::parse(&text).unwrap();
    assert_eq!(classify(&policy, &again), found.decision, "{text}");
    let parts = found.changed.iter();
    let parts: Vec<_> = parts
        .map(|part| format!("{} {} -> {}", part.what, part.from, part.to))
        .collect();
    Some((parts.join(", "), text))
}

fn parts(policy: &str, frame: &str) -> String {
    change(policy, frame)
        .map(|(parts, _)| parts)
        .unwrap_or_default()
}

#[test]
fn the_nearest_value_of_the_fewest_parts_is_taken() {
    let media = "bypass udp dport 16384-32767;";
    let at = |port: u16| format!("udp 10.0.0.1:5060 > 10.0.0.2:{port}");
    assert_eq!(parts(media, &at(5060)), "dport 5060 -> 16384");
    assert_eq!(parts(media, &at(40000)), "dport 40000 -> 32767");
    assert_eq!(parts(media, &at(20000)), "dport 20000 -> 16383");
    let both = "bypass udp sport 7 dst 10.0.0.9;";
    assert_eq!(
        parts(both, &at(1)),
        "sport 5060 -> 7, dst 10.0.0.2 -> 10.0.0.9"
    );
    let (_, text) = change(media, &at(5060)).unwrap();
    assert!(
        text.starts_with("udp 10.0.0.1:5060 > 10.0.0.2:16384"),
        "{text}"
    );
}

#[test]
fn payload_tag_protocol_and_type_are_parts_too() {
    let udp = "udp 10.0.0.1:5004 > 10.0.0.2:9";
    assert_eq!(parts("bypass udp rtp;", udp), "payload none -> rtp pt 0");
    assert_eq!(parts("bypass vlan 5;", udp), "tag none -> vlan 5");
    assert_eq!(
        parts(
            "buffer vlan; bypass udp;",
            "udp 10.0.0.1:1 > 10.0.0.2:9 vlan 5"
        ),
        "tag vlan 5 -> none"
    );
    assert_eq!(parts("bypass tcp;", udp), "proto 17 (udp) -> 6 (tcp)");
    assert_eq!(
        parts("bypass arp;", "ethertype 0x88cc"),
        "ethertype 0x88cc (lldp) -> 0x0806 (arp)"
    );
    assert_eq!(
        parts("bypass fragment;", udp),
        "the fragment field 0x00 -> 0x01"
    );
}

#[test]
fn nothing_is_offered_where_nothing_helps() {
    assert_eq!(change("default buffer;", "arp"), None);
    assert_eq!(
        change("bypass ip6 udp dport 9;", "udp 10.0.0.1:1 > 10.0.0.2:9"),
        None
    );
    let (space, policy, _) = read("bypass arp;", "arp");
    assert_eq!(smallest_change(&space, &policy, &[0; 9]).unwrap(), None);
}

fn edits(policy: &str, frame: &str) -> Vec<PolicyChange> {
    let (space, policy, frame) = read(policy, frame);
    policy_changes(&space, &policy, &frame).unwrap()
}

#[test]
fn rules_are_left_out_moved_or_added() {
    let frame = "udp 10.0.0.1:1 > 10.0.0.2:9";
    let found = edits(
        "buffer udp dport 9; buffer dport 9; bypass udp; buffer arp;",
        frame,
    );
    let each: Vec<_> = found.iter().map(|change| change.edit.clone()).collect();
    let added = "bypass udp src 10.0.0.1 sport 1 dst 10.0.0.2 dport 9;";
    assert_eq!(
        each,
        [
            Edit::Remove(vec![0, 1]),
            Edit::Move { rule: 2, before: 0 },
            Edit::Add(String::from(added)),
        ]
    );
    let besides: Vec<_> = found
        .iter()
        .map(|change| change.besides.is_some())
        .collect();
    assert_eq!(besides, [true, true, false]);
    // With nothing to leave out, a rule for the flow is all.
    let [only] = edits("bypass tcp;", frame).try_into().unwrap();
    assert_eq!(only.edit, Edit::Add(String::from(added)));
    let [removed, _] = edits("bypass udp; buffer tcp;", frame).try_into().unwrap();
    assert_eq!(removed.edit, Edit::Remove(vec![0]));
    // Whatever the frame is, there is a rule for it.
    for frame in [
        "arp",
        "icmp 10.0.0.1 > 10.0.0.2",
        "udp 10.0.0.1:1 > 10.0.0.2:9 frag-first",
    ] {
        assert!(!edits("buffer tcp;", frame).is_empty(), "{frame}");
    }
}

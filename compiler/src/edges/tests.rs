//! The frames are the same for the same seed, reach the rules, and come in all shapes.

use policy_lang::classify::Reason;
use policy_lang::packet::Packet;
use policy_lang::policy::{Gate, Media, Rule, Verdict};
use policy_lang::source::Span;
use policy_lang::{Decision, classify};

use super::*;

fn term(test: Test) -> Condition {
    Condition::Test {
        test,
        span: Span::default(),
    }
}

fn dport(low: u128, high: u128) -> Condition {
    term(Test::Field(Field::Dport, ValueSet::range(low, high)))
}

/// Rules that are hard to meet by chance.
fn policy() -> Policy {
    let address = 0x2001_0db8_1234_5678_9abc_def0_1234_5678;
    let not_sip = Condition::Not(Box::new(dport(5060, 5061)));
    let conditions = vec![
        Condition::All(vec![term(Test::Tagged), dport(4242, 4242)]),
        term(Test::Field(Field::Src6, ValueSet::single(address))),
        Condition::All(vec![term(Test::Media(Media::Stun)), dport(1, 1)]),
        Condition::All(vec![term(Test::Fragment), term(Test::Ip(Family::V6))]),
        Condition::All(vec![not_sip, dport(5059, 5062)]),
        term(Test::RtpPayloadType(ValueSet::single(111))),
        term(Test::Field(Field::IcmpType, ValueSet::single(77))),
        term(Test::Field(Field::Ethertype, ValueSet::single(0x1234))),
        term(Test::Field(Field::VlanId, ValueSet::single(321))),
        term(Test::Field(Field::Dscp, ValueSet::single(33))),
    ];
    let rule = |condition| Rule {
        verdict: Verdict::Bypass,
        condition,
        because: None,
        span: Span::default(),
    };
    Policy {
        rules: conditions.into_iter().map(rule).collect(),
        default: Verdict::Buffer,
        default_span: None,
        expectations: Vec::new(),
        gate: Gate::default(),
    }
}

fn frames(policy: &Policy, seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut edges = Edges::new(policy, seed);
    (0..count).map(|_| edges.frame()).collect()
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let policy = policy();
    assert_eq!(frames(&policy, 7, 500), frames(&policy, 7, 500));
    assert_ne!(frames(&policy, 7, 500), frames(&policy, 8, 500));
}

#[test]
fn every_rule_is_met_and_nearly_met() {
    let policy = policy();
    let mut hits = vec![0; policy.rules.len()];
    let mut missed = 0;
    for frame in frames(&policy, 1, 2000) {
        match classify(&policy, &frame) {
            Decision {
                reason: Reason::Rule(index),
                ..
            } => hits[index] += 1,
            _ => missed += 1,
        }
    }
    assert!(hits.iter().all(|hits| *hits >= 10), "{hits:?}");
    assert!(missed >= 200, "{missed}");
}

#[test]
fn frames_come_in_all_shapes() {
    let policy = policy();
    let frames = frames(&policy, 1, 4000);
    let count = |is: &dyn Fn(Packet<'_>) -> bool| {
        frames.iter().filter(|frame| is(Packet::new(frame))).count()
    };
    let ethertype =
        |wanted: u16| count(&|packet| packet.frame().get(12..14) == Some(&wanted.to_be_bytes()));
    let shapes = [
        (
            "IPv4 fragment",
            count(&|p| p.fragment() && p.family() == Some(Family::V4)),
        ),
        (
            "IPv6 fragment",
            count(&|p| p.fragment() && p.family() == Some(Family::V6)),
        ),
        (
            "IPv4 options",
            count(&|p| p.family() == Some(Family::V4) && p.network()[0] > 0x45),
        ),
        (
            "hop-by-hop",
            count(&|p| p.family() == Some(Family::V6) && p.network()[6] == 0),
        ),
        ("tagged", count(&|p| p.tagged())),
        (
            "two tags",
            count(&|p| {
                p.tagged() && p.network().len() > 2 && p.read(Field::Ethertype) == Some(0x8100)
            }),
        ),
        ("802.1ad", ethertype(0x88a8)),
        ("0x9100", ethertype(0x9100)),
        ("ARP", ethertype(0x0806)),
        (
            "bad version",
            count(&|p| {
                p.frame()[12..14] == [8, 0] && p.network().first().is_some_and(|b| b >> 4 != 4)
            }),
        ),
    ];
    for (shape, frames) in shapes {
        assert!(frames >= 5, "{shape}: {frames}");
    }
    for transport in Transport::ALL {
        let frames = count(&|p| p.transport() == Some(transport));
        assert!(frames >= 10, "{transport:?}: {frames}");
    }
    // Cut at every byte up to the end of the longest headers.
    for length in ETHERNET_LEN..ETHERNET_LEN + 60 {
        assert!(frames.iter().any(|frame| frame.len() == length), "{length}");
    }
    assert!(frames.iter().all(|frame| frame.len() >= ETHERNET_LEN));
}

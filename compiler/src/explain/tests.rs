//! Near misses of hand-made policies, and no panic on any frame.

use policy_lang::field::{Family, Field, Transport};
use policy_lang::policy::{Gate, Media, Rule, Test, Verdict};
use policy_lang::values::ValueSet;
use proptest::prelude::*;

use super::*;

fn term(test: Test, at: usize) -> Condition {
    Condition::Test {
        test,
        span: Span::new(at, at + 1),
    }
}

fn policy(rules: Vec<(Verdict, Condition)>) -> Policy {
    let rules = rules
        .into_iter()
        .map(|(verdict, condition)| Rule {
            verdict,
            condition,
            because: None,
            span: Span::default(),
        })
        .collect();
    Policy {
        rules,
        default: Verdict::Buffer,
        default_span: None,
        expectations: Vec::new(),
        gate: Gate::default(),
    }
}

fn udp() -> Condition {
    Test::protocol_condition(Transport::Udp, Span::new(0, 3))
}

fn dport(low: u128, high: u128) -> Condition {
    term(Test::Field(Field::Dport, ValueSet::range(low, high)), 4)
}

/// Buffers TCP, lets the media range pass.
fn voip() -> Policy {
    policy(vec![
        (
            Verdict::Buffer,
            Test::protocol_condition(Transport::Tcp, Span::new(0, 3)),
        ),
        (
            Verdict::Bypass,
            Condition::All(vec![udp(), dport(16384, 32767)]),
        ),
    ])
}

/// An IPv4 frame: fragment field, protocol and what follows the header.
fn ipv4(first: u8, fragment: u16, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, first, 0, 0, 60, 0, 1]);
    frame.extend(fragment.to_be_bytes());
    frame.extend([64, protocol, 0, 0, 10, 0, 0, 2, 192, 0, 2, 9]);
    frame.extend(rest);
    frame
}

fn udp_to(dport: u16) -> Vec<u8> {
    let mut rest = vec![0x42, 0x68];
    rest.extend(dport.to_be_bytes());
    rest.extend([0, 8, 0, 0]);
    ipv4(0x45, 0, 17, &rest)
}

/// Why the near miss of `voip` did not match `frame`.
fn why(frame: &[u8]) -> Vec<String> {
    let near = explain(&voip(), frame).near;
    near.map(|near| near.failed.into_iter().map(|term| term.why).collect())
        .unwrap_or_default()
}

#[test]
fn says_which_term_failed_and_why() {
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (udp_to(5060), "dport is 5060, not in 16384-32767"),
        (
            ipv4(0x45, 0x2000, 17, &[0; 8]),
            "not a plain packet: IPv4 fragment",
        ),
        (
            ipv4(0x46, 0, 17, &[0; 12]),
            "not a plain packet: IPv4 options",
        ),
        (
            ipv4(0x45, 0, 17, &[0; 5]),
            "the udp header is cut off: 5 of 8 bytes",
        ),
    ];
    for (frame, expected) in cases {
        assert_eq!(why(&frame), [expected]);
    }
}

#[test]
fn nothing_is_near_if_no_term_matched() {
    let arp = [&[0; 12][..], &[0x08, 0x06], &[0; 28]].concat();
    assert_eq!(explain(&voip(), &arp).near, None);
    assert_eq!(explain(&voip(), &[]).near, None);
}

#[test]
fn rules_behind_the_deciding_one_were_never_asked() {
    let mut policy = voip();
    policy.rules.reverse();
    let frame = ipv4(0x45, 0, 6, &[0; 20]);
    let explanation = explain(&policy, &frame);
    assert_eq!(explanation.decision.reason, Reason::Rule(1));
    assert_eq!(explanation.near, None, "udp is not met, dport is not met");
    policy.rules[0].condition = udp();
    policy.rules[1].condition = Condition::All(vec![udp(), dport(5, 5)]);
    assert_eq!(
        explain(&policy, &udp_to(6)).near,
        None,
        "dport 5 is near, but behind"
    );
}

#[test]
fn a_negated_term_fails_because_it_holds() {
    let not = Condition::Not(Box::new(dport(5000, 5100)));
    let policy = policy(vec![(Verdict::Bypass, Condition::All(vec![udp(), not]))]);
    let near = explain(&policy, &udp_to(5060)).near.expect("udp is met");
    assert_eq!(near.failed[0].why, "dport is 5060, in 5000-5100");
}

#[test]
fn the_nearest_alternative_is_shown() {
    let far = Condition::All(vec![dport(1, 2), term(Test::Ip(Family::V6), 9)]);
    let close = dport(5000, 5001);
    let any = Condition::Any(vec![far, close]);
    let policy = policy(vec![(Verdict::Bypass, Condition::All(vec![udp(), any]))]);
    let near = explain(&policy, &udp_to(5060)).near.expect("udp is met");
    assert_eq!(near.failed.len(), 1);
    assert_eq!(near.failed[0].why, "dport is 5060, not in 5000-5001");
}

/// Every kind of test, with values that are sometimes met.
fn any_test() -> impl Strategy<Value = Test> {
    let field = proptest::sample::select(Field::ALL.to_vec());
    prop_oneof![
        Just(Test::Tagged),
        Just(Test::Fragment),
        proptest::sample::select(Family::ALL.to_vec()).prop_map(Test::Ip),
        proptest::sample::select(Media::ALL.to_vec()).prop_map(Test::Media),
        (0_u128..128).prop_map(|low| Test::RtpPayloadType(ValueSet::range(low, 127))),
        (0_u128..65536).prop_map(|low| Test::EitherPort(ValueSet::range(0, low))),
        (field, 0_u128..65536)
            .prop_map(|(field, high)| Test::Field(field, ValueSet::range(0, high))),
    ]
}

proptest! {
    /// Every test that fails has a reason, on any bytes at all; the same for one that holds.
    #[test]
    fn there_is_always_a_reason(
        test in any_test(),
        start in proptest::sample::select(vec![
            udp_to(20000), ipv4(0x45, 1, 17, &[]), ipv4(0x4f, 0, 6, &[0; 20]), ipv4(0x44, 0, 1, &[]),
            [&[0; 12][..], &[0x81, 0, 0, 1, 0x86, 0xdd, 0x60], &[0; 60]].concat(),
            [&[0; 12][..], &[0x88, 0xa8, 0, 1, 8, 0]].concat(),
        ]),
        change in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in 0_usize..100,
    ) {
        let mut frame = start;
        for (at, byte) in change {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(cut);
        let packet = Packet::new(&frame);
        let holds = test_holds(&test, packet);
        let why = if holds { reason::holds(&test, packet) } else { reason::fails(&test, packet) };
        prop_assert!(!why.is_empty(), "{:?} {:?}", test, holds);
    }
}

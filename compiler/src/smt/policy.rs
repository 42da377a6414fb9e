//! A policy in SMT-LIB: one function per rule, and whether a frame passes.

use policy_lang::field::{Family, Field};
use policy_lang::policy::{Condition, Media, Policy, Test, Verdict};
use policy_lang::values::{Range, ValueSet};

use super::term::{all, any, constant, define, within};

/// Defines `NAME-rule-1` and so on, from the condition of each rule, and `NAME-passes`.
pub(super) fn passes(name: &str, policy: &Policy) -> String {
    let mut text = format!("\n; The policy `{name}`: the first rule that holds decides.\n");
    for (at, rule) in (1..).zip(&policy.rules) {
        let rule_name = format!("{name}-rule-{at}");
        text.push_str(&define(&rule_name, "Bool", &condition(&rule.condition)));
    }
    // From the last rule to the first, so that no term is deep.
    let mut behind = (policy.default == Verdict::Bypass).to_string();
    for (at, rule) in policy.rules.iter().enumerate().rev() {
        let at = at + 1;
        let verdict = rule.verdict == Verdict::Bypass;
        let term = format!("(ite {name}-rule-{at} {verdict} {behind})");
        behind = format!("{name}-from-{at}");
        text.push_str(&define(&behind, "Bool", &term));
    }
    text + &define(&format!("{name}-passes"), "Bool", &behind)
}

/// Whether a condition holds.
pub(super) fn condition(of: &Condition) -> String {
    let parts = |parts: &[Condition]| parts.iter().map(condition).collect::<Vec<_>>();
    match of {
        Condition::Always => String::from("true"),
        Condition::Test { test: of, .. } => test(of),
        Condition::Not(inner) => format!("(not {})", condition(inner)),
        Condition::All(inner) => all(&parts(inner)),
        Condition::Any(inner) => any(&parts(inner)),
    }
}

fn test(of: &Test) -> String {
    match of {
        Test::Tagged => String::from("tagged"),
        Test::Ip(Family::V4) => String::from("ip4"),
        Test::Ip(Family::V6) => String::from("ip6"),
        Test::Fragment => String::from("fragment"),
        Test::Field(of, set) => field(*of, set),
        Test::EitherPort(set) => any(&[field(Field::Sport, set), field(Field::Dport, set)]),
        Test::Media(of) => media(*of),
        Test::RtpPayloadType(types) => {
            let moved = |by: u128| {
                let known = types.ranges().iter().filter(move |range| range.low < 128);
                known.map(move |range| Range::new(range.low + by, range.high.min(127) + by))
            };
            let set = ValueSet::from_ranges(moved(0).chain(moved(128)));
            all(&[media(Media::Rtp), within("payload1", 8, &set)])
        }
    }
}

/// A field is in a set if its header is there.
fn field(of: Field, set: &ValueSet) -> String {
    let (there, term) = match of {
        Field::DstMac => ("true", "(concat b0 b1 b2 b3 b4 b5)"),
        Field::SrcMac => ("true", "(concat b6 b7 b8 b9 b10 b11)"),
        Field::VlanId => ("tagged", "((_ extract 11 0) (concat b14 b15))"),
        Field::Ethertype => ("true", "type"),
        Field::Protocol => ("(or ip4 ip6)", "proto"),
        Field::Src4 => ("ip4", "(concat n12 n13 n14 n15)"),
        Field::Dst4 => ("ip4", "(concat n16 n17 n18 n19)"),
        Field::Src6 => return address6(8, set),
        Field::Dst6 => return address6(24, set),
        Field::Dscp => ("(or ip4 ip6)", "dscp"),
        Field::Ecn => ("(or ip4 ip6)", "ecn"),
        Field::Ttl => ("(or ip4 ip6)", "ttl"),
        Field::FragmentBits => ("ip4", "offset4"),
        Field::Sport => ("ports", "sport"),
        Field::Dport => ("ports", "dport"),
        Field::TcpFlags => ("tcp", "flags"),
        Field::IcmpType => ("(or icmp icmp6)", "icmp-type"),
        Field::IcmpCode => ("(or icmp icmp6)", "icmp-code"),
        Field::PayloadFirst => ("(and udp (bvuge payload #x0001))", "payload0"),
        Field::PayloadSecond => ("(and udp (bvuge payload #x0002))", "payload1"),
    };
    format!("(and {there} {})", within(term, of.width(), set))
}

fn address6(first: usize, set: &ValueSet) -> String {
    let bytes: Vec<String> = (first..first + 16).map(|at| format!("n{at}")).collect();
    let address = format!("(concat {})", bytes.join(" "));
    format!("(and ip6 {})", within(&address, 128, set))
}

/// Media by the first two bytes of the payload: RFC 7983, section 7, and RFC 5761, section 4.
fn media(of: Media) -> String {
    let rtcp = "(and (bvuge payload1 #xc0) (bvule payload1 #xdf))";
    let (least, low, high, second) = match of {
        Media::Rtp => (12, 128, 191, format!("(not {rtcp})")),
        Media::Rtcp => (8, 128, 191, rtcp.to_owned()),
        Media::Stun => (20, 0, 3, String::from("true")),
        Media::Dtls => (13, 20, 63, String::from("true")),
        Media::Zrtp => (12, 16, 19, String::from("true")),
        Media::Turn => (4, 64, 79, String::from("true")),
    };
    let first = within("payload0", 8, &ValueSet::range(low, high));
    let long = constant(least, 16);
    format!("(and udp (bvuge payload {long}) {first} {second})")
}

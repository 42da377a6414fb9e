//! Random checked policies.
//!
//! Values come from small pools shared with [`super::frame`], so that frames really meet rules.

use policy_lang::field::{Family, Field, Transport};
use policy_lang::policy::{Condition, Gate, Media, Policy, Rule, Test, Verdict};
use policy_lang::source::Span;
use policy_lang::values::{Range, ValueSet, max_value};
use proptest::prelude::*;

use super::frame::pool;

/// Which terms a generated policy may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// All of the language.
    All,
    /// All but those that tc u32 cannot express: VLAN IDs and DTLS.
    U32,
}

/// A set of values of `field` with borders from the pool.
pub fn values(field: Field) -> impl Strategy<Value = ValueSet> {
    let one = (pool(field), pool(field), 0_u8..4).prop_map(move |(a, b, kind)| {
        let max = max_value(field.width());
        match kind {
            0 => Range::new(a, a),
            1 => Range::new(a, a.saturating_add(1).min(max)),
            _ => Range::new(a, b),
        }
    });
    proptest::collection::vec(one, 1..4).prop_map(ValueSet::from_ranges)
}

/// A single test.
pub fn test(terms: Terms) -> BoxedStrategy<Test> {
    let fields: Vec<Field> = Field::ALL
        .into_iter()
        .filter(|f| {
            !matches!(
                f,
                Field::FragmentBits | Field::PayloadFirst | Field::PayloadSecond
            ) && (terms == Terms::All || *f != Field::VlanId)
        })
        .collect();
    let media: Vec<Media> = Media::ALL
        .into_iter()
        .filter(|m| terms == Terms::All || *m != Media::Dtls)
        .collect();
    prop_oneof![
        1 => Just(Test::Tagged),
        2 => prop_oneof![Just(Family::V4), Just(Family::V6)].prop_map(Test::Ip),
        1 => Just(Test::Fragment),
        8 => proptest::sample::select(fields)
            .prop_flat_map(|field| values(field).prop_map(move |set| Test::Field(field, set))),
        2 => values(Field::Dport).prop_map(Test::EitherPort),
        2 => proptest::sample::select(media).prop_map(Test::Media),
        1 => proptest::collection::vec(0_u128..128, 1..3).prop_map(|types| {
            Test::RtpPayloadType(ValueSet::from_ranges(types.iter().map(|&t| Range::new(t, t))))
        }),
    ]
    .boxed()
}

/// A condition of a few levels.
pub fn condition(terms: Terms) -> BoxedStrategy<Condition> {
    let leaf = prop_oneof![
        3 => test(terms).prop_map(|test| Condition::Test { test, span: Span::default() }),
        1 => proptest::sample::select(Transport::ALL.to_vec())
            .prop_map(|transport| Test::protocol_condition(transport, Span::default())),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            1 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Condition::Any),
            1 => inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
    .boxed()
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Buffer), Just(Verdict::Bypass)]
}

/// A policy of up to `rules` rules.
pub fn policy(terms: Terms, rules: usize) -> impl Strategy<Value = Policy> {
    let rule = (verdict(), condition(terms)).prop_map(|(verdict, condition)| Rule {
        verdict,
        condition,
        because: None,
        span: Span::default(),
    });
    (
        proptest::collection::vec(rule, 0..=rules),
        proptest::option::of(verdict()),
    )
        .prop_map(|(rules, default)| Policy {
            rules,
            default: default.unwrap_or(Verdict::Buffer),
            default_span: default.map(|_| Span::default()),
            expectations: Vec::new(),
            gate: Gate::default(),
        })
}

/// A policy of many rules about the same few fields, as lists of prefixes and ports are: what back
/// ends turn into tables rather than rules.
pub fn tabular(terms: Terms) -> impl Strategy<Value = Policy> {
    tabular_of(terms, 3..24)
}

/// As [`tabular`], with so many rules. The rules that u32 needs for them grow with the square of these
/// and more: for 23 they are a hundred times as long as for 6.
pub fn tabular_of(terms: Terms, rules: std::ops::Range<usize>) -> impl Strategy<Value = Policy> {
    use Field::{Dport, Dscp, Dst4, Dst6, DstMac, Protocol, Sport, Src4, Src6, SrcMac};
    use Field::{TcpFlags, Ttl, VlanId};
    let over: Vec<Vec<Field>> = [Src4, Src6]
        .map(|src| {
            let dst = if src == Src4 { Dst4 } else { Dst6 };
            let common = [SrcMac, DstMac, VlanId, Protocol, Dscp, Ttl, Sport, Dport];
            [&[src, dst, TcpFlags][..], &common[..]].concat()
        })
        .into();
    let fields = proptest::sample::select(over).prop_flat_map(move |fields| {
        let fields: Vec<Field> = fields
            .into_iter()
            .filter(|f| terms == Terms::All || *f != VlanId)
            .collect();
        proptest::sample::subsequence(fields, 1..=4)
    });
    let shapes = proptest::collection::vec(fields, 1..3);
    let rules = shapes.prop_flat_map(move |shapes| {
        let rule = proptest::sample::select(shapes).prop_flat_map(|fields| {
            let tests: Vec<_> = fields
                .into_iter()
                .map(|field| stripes(field).prop_map(move |set| Test::Field(field, set)))
                .collect();
            (verdict(), tests)
        });
        proptest::collection::vec(rule, rules.clone())
    });
    (rules, verdict()).prop_map(|(rules, default)| of_tests(rules, default))
}

/// Rules that ask for all of these at once.
fn of_tests(rules: Vec<(Verdict, Vec<Test>)>, default: Verdict) -> Policy {
    let condition = |test| Condition::Test {
        test,
        span: Span::default(),
    };
    Policy {
        rules: rules
            .into_iter()
            .map(|(verdict, tests)| Rule {
                verdict,
                condition: Condition::All(tests.into_iter().map(condition).collect()),
                because: None,
                span: Span::default(),
            })
            .collect(),
        default,
        default_span: Some(Span::default()),
        expectations: Vec::new(),
        gate: Gate::default(),
    }
}

/// A policy of so many rules that the nft back end cuts it into parts: about UDP, with a prefix and a range of
/// ports each; one in sixteen lacks one of them or asks for much.
pub fn crowded() -> impl Strategy<Value = Policy> {
    use Field::{Dport, Dst4, Dst6, Protocol, Sport, Src4, Src6};
    let fields = proptest::sample::select(vec![Src4, Dst4, Src6, Dst6])
        .prop_flat_map(|address| (Just(address), proptest::sample::select(vec![Sport, Dport])));
    let rules = fields.prop_flat_map(|(address, port)| {
        let rule = (verdict(), 0_u8..64, near(address), near(port)).prop_map(
            move |(verdict, kind, prefix, ports)| {
                let all = |field: Field| ValueSet::range(1, max_value(field.width()) / 2);
                let (prefix, ports) = match kind {
                    0 => (Some(all(address)), Some(ports)),
                    1 => (Some(prefix), Some(all(port))),
                    2 => (None, Some(ports)),
                    3 => (Some(prefix), None),
                    _ => (Some(prefix), Some(ports)),
                };
                let udp = Test::Field(Protocol, ValueSet::single(17));
                let prefix = prefix.map(|values| Test::Field(address, values));
                let ports = ports.map(|values| Test::Field(port, values));
                let tests = [Some(udp), prefix, ports];
                (verdict, tests.into_iter().flatten().collect())
            },
        );
        proptest::collection::vec(rule, 320..400)
    });
    (rules, verdict()).prop_map(|(rules, default)| of_tests(rules, default))
}

/// A prefix or a short range in the thousandth part of all values around one of the pool.
fn near(field: Field) -> impl Strategy<Value = ValueSet> {
    let (width, spread) = (field.width(), field.width().min(32) / 2);
    (pool(field), 0..max_value(spread), 0..spread / 2).prop_map(move |(around, at, free)| {
        let low = around
            .saturating_add(at << (width / 8))
            .min(max_value(width));
        let low = low >> free << free;
        ValueSet::range(low, low | max_value(free))
    })
}

/// Values from the pool, or a row of short ranges behind one of them.
fn stripes(field: Field) -> impl Strategy<Value = ValueSet> {
    let row = (pool(field), 1_usize..14, 1_u128..4).prop_map(move |(start, count, length)| {
        let max = max_value(field.width());
        let starts = (0..count as u128).map(|n| start.saturating_add(n * (length + 1)).min(max));
        let ends = |low: u128| Range::new(low, low.saturating_add(length - 1).min(max));
        ValueSet::from_ranges(starts.map(ends))
    });
    prop_oneof![3 => values(field), 1 => row]
}

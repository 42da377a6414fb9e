//! What the u32 back end writes, read back by somebody else, lets the same frames pass as the
//! policy: on sets of all frames, not on samples. And what it writes, as text, for reading.

use compiler::backend::Kind;
use policy_lang::field::Field;
use policy_lang::policy::{Condition, Gate, Policy, Rule, Test, Verdict};
use policy_lang::source::{SourceFile, Span};
use policy_lang::values::{Range, ValueSet, max_value};
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy};

use crate::proof::{agree, emit, from_text};

/// Values of a field without favourites, often one value or a prefix.
fn spread(field: Field) -> impl Strategy<Value = ValueSet> {
    let max = max_value(field.width());
    (any::<u128>(), 0..=field.width(), 0_u8..4).prop_map(move |(value, free, kind)| {
        let (value, size) = (value & max, max_value(free));
        match kind {
            0 => ValueSet::range(value & !size, value | size),
            1 => ValueSet::from_ranges([Range::new(value, value.saturating_add(100).min(max))]),
            _ => ValueSet::single(value),
        }
    })
}

/// Many simple rules, which become hash tables.
fn many_rules() -> impl Strategy<Value = Policy> {
    let fields = [
        vec![Field::Dport],
        vec![Field::Src4, Field::Dport],
        vec![Field::Dst4],
        vec![Field::Dst6],
        vec![Field::SrcMac],
        vec![Field::Ethertype, Field::DstMac],
        vec![Field::Sport, Field::Dport],
        vec![Field::Dscp, Field::Ttl],
    ];
    let test = |field| {
        spread(field).prop_map(move |values| Condition::Test {
            test: Test::Field(field, values),
            span: Span::default(),
        })
    };
    let rule = move |fields: Vec<Field>| {
        let tests: Vec<_> = fields.into_iter().map(test).collect();
        (any::<bool>(), tests).prop_map(|(bypass, tests)| Rule {
            verdict: if bypass {
                Verdict::Bypass
            } else {
                Verdict::Buffer
            },
            condition: Condition::All(tests),
            because: None,
            span: Span::default(),
        })
    };
    let two = proptest::sample::subsequence(fields.to_vec(), 1..3);
    two.prop_flat_map(move |kinds| {
        let rule = proptest::sample::select(kinds).prop_flat_map(rule);
        (proptest::collection::vec(rule, 10..120), any::<bool>()).prop_map(|(rules, open)| Policy {
            rules,
            default: if open {
                Verdict::Bypass
            } else {
                Verdict::Buffer
            },
            default_span: None,
            expectations: Vec::new(),
            gate: Gate::default(),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn read_back_as_meant(policy in policy(Terms::U32, 6)) {
        // A random policy may need more filters than one hook takes.
        if let Err(refusal) = emit(Kind::U32, &policy) {
            prop_assert!(refusal.reason.contains("more than"), "{}", refusal);
            return Ok(());
        }
        agree(Kind::U32, &policy)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn hash_tables_are_read_back_as_meant(policy in many_rules()) {
        agree(Kind::U32, &policy)?;
    }

    #[test]
    fn the_same_policy_gives_the_same_bytes(policy in policy(Terms::U32, 6)) {
        prop_assert_eq!(emit(Kind::U32, &policy), emit(Kind::U32, &policy.clone()));
    }
}

#[test]
fn small_policies_as_text() {
    let policies = [
        ("hold_all", "buffer;"),
        ("paper", "buffer tcp; default bypass;"),
        (
            "media",
            "bypass udp dport 16384-32767 because \"RTP media\";",
        ),
        ("payload", "bypass rtp pt {0, 8, 101}; bypass stun;"),
        (
            "tags",
            "bypass arp; buffer vlan; bypass ip dst 10.0.0.0/8; bypass ip6;",
        ),
        (
            "service_tags",
            "bypass ethertype {0x88a8, 0x88cc}; buffer src mac 00:16:3e:00:00:01; default bypass;",
        ),
        ("flags", "bypass tcp flags syn;"),
    ];
    for (name, text) in policies {
        let policy = from_text(text);
        let rules = agree(Kind::U32, &policy).unwrap();
        insta::assert_snapshot!(name, rules);
    }
}

#[test]
fn what_u32_does_not_see_is_refused_by_name() {
    let cases = [
        ("bypass vlan 100;", "vlan ID", "vlan 100"),
        ("buffer tcp; bypass udp (rtp or dtls);", "dtls", "dtls"),
    ];
    for (text, term, place) in cases {
        let source = SourceFile::new("test.gate", text);
        let refusal = emit(Kind::U32, &from_text(text)).unwrap_err();
        assert_eq!(refusal.backend, Kind::U32);
        assert_eq!(refusal.instead, Some(Kind::Nft));
        assert_eq!(refusal.term, term);
        assert_eq!(refusal.span.map(|span| source.slice(span)), Some(place));
    }
}

#[test]
fn a_rule_that_costs_too_much_is_named() {
    let odd: Vec<String> = (1..400).map(|n| format!("{}", n * 3)).collect();
    let odd = odd.join(",");
    let text = format!("buffer tcp; bypass udp sport {{{odd}}} dport {{{odd}}};");
    let refusal = emit(Kind::U32, &from_text(&text)).unwrap_err();
    assert_eq!(refusal.term, "rule 2");
    assert!(refusal.span.is_some());
}

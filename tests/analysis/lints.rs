//! Lints on random policies: what they say of rules and frames is so.

use compiler::lint::lints;
use policy_lang::{Space, Verdict, classify};
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_is_redundant_exactly_if_nothing_changes_without_it(policy in policy(Terms::All, 6)) {
        let mut policy = policy;
        // Generated rules have no places: these tell them apart.
        for (at, rule) in policy.rules.iter_mut().enumerate() {
            rule.span = policy_lang::source::Span::at(at);
        }
        let space = Space::new(1 << 20).unwrap();
        let found = lints(&space, &policy).unwrap();
        let whole = space.bypass_of(&policy).unwrap();
        let mut before = space.none();
        for (at, rule) in policy.rules.iter().enumerate() {
            let set = space.condition(&rule.condition).unwrap();
            let decides = !space.minus(&set, &before).unwrap().is_empty();
            before = space.union(&before, &set).unwrap();
            let mut without = policy.clone();
            without.rules.remove(at);
            let same = space.bypass_of(&without).unwrap() == whole;
            let named = found
                .iter()
                .any(|lint| lint.code == "L0101" && lint.span == Some(rule.span));
            prop_assert_eq!(named, same && decides && rule.because.is_none(), "rule {}", at);
        }
    }

    #[test]
    fn frames_show_what_is_said(policy in policy(Terms::All, 4)) {
        let space = Space::new(1 << 20).unwrap();
        for lint in lints(&space, &policy).unwrap() {
            let verdicts: Vec<_> = lint
                .frames
                .iter()
                .map(|frame| classify(&policy, frame).verdict)
                .collect();
            let wanted: &[Verdict] = match lint.code {
                "L0301" | "L0302" | "L0303" => &[Verdict::Buffer, Verdict::Bypass],
                "L0403" | "L0501" => &[Verdict::Buffer],
                "L0102" => &[Verdict::Bypass],
                code if code.starts_with("L02") => &[Verdict::Bypass],
                _ => &[],
            };
            prop_assert_eq!(&verdicts, wanted, "{}", lint.code);
        }
    }
}

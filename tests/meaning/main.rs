//! The reference meaning and the packet sets are two accounts of the same thing: they must agree.

mod table;

use policy_lang::check::overlap::unreachable_rules;
use policy_lang::policy::Verdict;
use policy_lang::source::Span;
use policy_lang::{Space, classify};
use proptest::prelude::*;
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, condition, policy};

const NODES: usize = 1 << 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A frame is in the bypass set of a policy exactly if `classify` lets it pass.
    #[test]
    fn classify_is_membership(
        policy in policy(Terms::All, 6),
        frames in proptest::collection::vec(frame(), 64),
    ) {
        let space = Space::new(NODES).unwrap();
        let bypass = space.bypass_of(&policy).unwrap();
        for frame in frames {
            let passes = classify(&policy, &frame).verdict == Verdict::Bypass;
            prop_assert_eq!(space.contains(&bypass, &frame), passes, "{:02x?}", frame);
        }
    }

    /// Witnesses are real frames: they go through `classify` and come out as promised.
    #[test]
    fn witnesses_keep_their_promise(policy in policy(Terms::All, 6)) {
        let space = Space::new(NODES).unwrap();
        let bypass = space.bypass_of(&policy).unwrap();
        let held = space.complement(&bypass).unwrap();
        for (set, verdict) in [(bypass, Verdict::Bypass), (held, Verdict::Buffer)] {
            if let Some(frame) = space.witness(&set).unwrap() {
                prop_assert_eq!(classify(&policy, &frame).verdict, verdict, "{:02x?}", frame);
            }
        }
    }

    /// Exactly the rules that match nothing new are said to decide nothing, and without them the
    /// policy is the same.
    #[test]
    fn rules_that_never_decide_are_found(mut policy in policy(Terms::All, 8)) {
        for (at, rule) in policy.rules.iter_mut().enumerate() {
            rule.span = Span::at(at);
        }
        let space = Space::new(NODES).unwrap();
        let bypass = space.bypass_of(&policy).unwrap();
        let mut before = space.none();
        let mut wanted = Vec::new();
        for (at, rule) in policy.rules.iter().enumerate() {
            let set = space.condition(&rule.condition).unwrap();
            let after = space.union(&before, &set).unwrap();
            if after == before {
                wanted.push(at);
            }
            before = after;
        }
        let found = unreachable_rules(&policy, &space).unwrap();
        let found: Vec<_> = found.iter().map(|found| found.primary.span.start).collect();
        prop_assert_eq!(&found, &wanted);
        policy.rules.retain(|rule| !wanted.contains(&rule.span.start));
        prop_assert!(space.bypass_of(&policy).unwrap() == bypass);
    }

    /// A condition and its complement share no frame and miss none.
    #[test]
    fn not_is_plain_complement(condition in condition(Terms::All)) {
        let space = Space::new(NODES).unwrap();
        let set = space.condition(&condition).unwrap();
        let not = space.condition(&policy_lang::policy::Condition::Not(Box::new(condition))).unwrap();
        prop_assert!(space.intersection(&set, &not).unwrap().is_empty());
        prop_assert!(space.difference(&space.union(&set, &not).unwrap(), &space.all()).unwrap().is_none());
    }
}

//! The reference meaning and the packet sets are two accounts of the same thing: they must agree.

use policy_lang::policy::Verdict;
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

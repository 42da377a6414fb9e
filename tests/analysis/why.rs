//! What is said to flip a verdict does so, for random policies and frames.

use compiler::explain::why::{Edit, policy_changes, smallest_change};
use compiler::frame_text;
use policy_lang::source::SourceFile;
use policy_lang::{Space, check, classify};
use proptest::prelude::*;
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, policy};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_frame_gets_the_other_verdict(policy in policy(Terms::All, 5), frame in frame()) {
        let space = Space::new(1 << 20).unwrap();
        let was = classify(&policy, &frame).verdict;
        if let Some(change) = smallest_change(&space, &policy, &frame).unwrap() {
            prop_assert_eq!(classify(&policy, &change.frame), change.decision);
            prop_assert_ne!(change.decision.verdict, was);
            prop_assert!((1..=3).contains(&change.changed.len()));
            for part in &change.changed {
                prop_assert_ne!(&part.from, &part.to, "{}", part.what);
            }
            // What is printed can be asked about again.
            if let Ok(read) = frame_text::parse(&frame_text::describe(&change.frame)) {
                prop_assert_eq!(classify(&policy, &read).verdict, change.decision.verdict);
            }
        }
    }

    #[test]
    fn a_changed_policy_says_otherwise(policy in policy(Terms::All, 5), frame in frame()) {
        let space = Space::new(1 << 20).unwrap();
        let was = classify(&policy, &frame).verdict;
        let changes = policy_changes(&space, &policy, &frame).unwrap();
        for change in changes {
            let mut new = policy.clone();
            match &change.edit {
                Edit::Remove(rules) => {
                    rules.iter().rev().for_each(|at| drop(new.rules.remove(*at)));
                }
                Edit::Move { rule, before } => {
                    let moved = new.rules.remove(*rule);
                    new.rules.insert(*before, moved);
                }
                Edit::Add(text) => {
                    let (added, errors) = check(&SourceFile::new("rule", text.clone()));
                    let added = added.unwrap_or_else(|| panic!("{text}: {errors:?}"));
                    new.rules.splice(0..0, added.rules);
                }
            }
            prop_assert_ne!(classify(&new, &frame).verdict, was, "{:?}", change.edit);
            if let Some(other) = &change.besides {
                let [before, after] = [&policy, &new].map(|policy| classify(policy, other).verdict);
                prop_assert_ne!(before, after, "{:?}", change.edit);
            }
        }
    }
}

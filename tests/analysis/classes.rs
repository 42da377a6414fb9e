//! Classes cover their set, stay within it, need every term, and mean what their text says.

use compiler::diff::{changed_sides, decisions, verdicts_within};
use policy_lang::classes::{Classes, Term, in_the_language};
use policy_lang::policy::{Condition, Policy};
use policy_lang::source::SourceFile;
use policy_lang::{PacketSet, Space, Verdict, check};
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy};

const NODES: usize = 1 << 20;

fn term(space: &Space, term: &Term) -> PacketSet {
    let set = space.test(&term.test).unwrap();
    if term.holds {
        set
    } else {
        space.complement(&set).unwrap()
    }
}

fn all<'a>(space: &Space, terms: impl IntoIterator<Item = &'a Term>) -> PacketSet {
    terms.into_iter().fold(space.all(), |set, one| {
        space.intersection(&set, &term(space, one)).unwrap()
    })
}

/// The set of a condition as text.
fn read(space: &Space, text: &str) -> PacketSet {
    let (policy, found) = check(&SourceFile::new("class", format!("expect buffer {text};")));
    let policy = policy.unwrap_or_else(|| panic!("`{text}`: {found:?}"));
    space.condition(&policy.expectations[0].condition).unwrap()
}

/// Checks everything about classes that were told for `set` within `whole`.
fn judge(space: &Space, told: &Classes, set: &PacketSet, whole: &PacketSet) {
    let outside = space.minus(whole, set).unwrap();
    let mut covered = space.none();
    for class in &told.classes {
        let frames = all(space, &class.terms);
        assert!(space.intersection(&frames, &outside).unwrap().is_empty());
        assert!(space.contains(set, &class.frame));
        assert!(space.contains(&frames, &class.frame));
        for left_out in &class.terms {
            let others = class.terms.iter().filter(|one| *one != left_out);
            let wider = space.intersection(&all(space, others), &outside).unwrap();
            assert!(!wider.is_empty(), "{left_out:?} is not needed");
        }
        let text = class.text();
        assert!(read(space, &text) == frames, "{text}: {:?}", class.terms);
        covered = space.union(&covered, &frames).unwrap();
    }
    let left = space.minus(set, &covered).unwrap();
    match &told.rest {
        None => assert!(left.is_empty()),
        Some(frame) => assert!(space.contains(&left, frame)),
    }
}

/// A condition that never holds can't be written down, nor can an empty list.
fn is_writable(space: &Space, condition: &Condition) -> bool {
    let text = in_the_language(condition);
    let (policy, _) = check(&SourceFile::new("c", format!("expect buffer {text};")));
    policy.is_some() && !space.condition(condition).unwrap().is_empty()
}

fn reversed(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    policy.rules.reverse();
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_change_is_told_exactly(old in policy(Terms::All, 6), new in policy(Terms::All, 6)) {
        for new in [new, reversed(&old)] {
            let space = Space::new(NODES).unwrap();
            let changed = changed_sides(&space, &old, &new).unwrap();
            let before = space.bypass_of(&old).unwrap();
            let after = space.bypass_of(&new).unwrap();
            prop_assert_eq!(changed.is_nothing(), before == after);
            let sides = [(&changed.opened, &after, &before), (&changed.closed, &before, &after)];
            for (told, is, was) in sides {
                judge(&space, told, &space.minus(is, was).unwrap(), &space.all());
                for class in &told.classes {
                    let [before, after] = decisions(&old, &new, class);
                    prop_assert_ne!(before.verdict, after.verdict);
                }
            }
        }
    }

    #[test]
    fn a_condition_is_parted_exactly(policy in policy(Terms::All, 6), asked in policy(Terms::All, 2)) {
        let space = Space::new(NODES).unwrap();
        for rule in &asked.rules {
            let parts = verdicts_within(&space, &policy, &rule.condition).unwrap();
            let whole = space.condition(&rule.condition).unwrap();
            let bypass = space.bypass_of(&policy).unwrap();
            let sum: f64 = parts.iter().map(|part| part.share).sum();
            prop_assert!(whole.is_empty() || (sum - 1.0).abs() < 1e-6, "{sum}");
            for part in &parts {
                let set = match part.verdict {
                    Verdict::Bypass => space.intersection(&whole, &bypass).unwrap(),
                    Verdict::Buffer => space.minus(&whole, &bypass).unwrap(),
                };
                judge(&space, &part.classes, &set, &whole);
            }
        }
    }

    #[test]
    fn a_condition_means_what_its_text_says(policy in policy(Terms::All, 6)) {
        let space = Space::new(NODES).unwrap();
        for rule in &policy.rules {
            if is_writable(&space, &rule.condition) {
                let text = in_the_language(&rule.condition);
                let meant = space.condition(&rule.condition).unwrap();
                prop_assert!(read(&space, &text) == meant, "{}", text);
            }
        }
    }
}

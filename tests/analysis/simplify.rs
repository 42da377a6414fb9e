//! Simplified policies are equal to what they were made of, have no more rules, and get no simpler.

use std::sync::atomic::AtomicU64;

use compiler::simplify::{Simplified, simplify};
use policy_lang::classes::in_the_language;
use policy_lang::policy::{Condition, Policy};
use policy_lang::source::SourceFile;
use policy_lang::{Space, check};
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy, tabular};

/// The text of a policy, without the rules that the language refuses; some rules get a reason.
fn text(policy: &Policy) -> String {
    let mut text = String::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let condition = in_the_language(&rule.condition);
        // Terms side by side, as people write them.
        let bare = match rule.condition {
            Condition::All(_) => condition
                .strip_prefix('(')
                .and_then(|c| c.strip_suffix(')')),
            _ => None,
        };
        let condition = bare.unwrap_or(&condition);
        let because = if at % 5 == 4 { " because \"so\"" } else { "" };
        let line = format!("{} {condition}{because};\n", rule.verdict.keyword());
        if check(&SourceFile::new("rule", line.clone())).0.is_some() {
            text.push_str(&line);
        }
    }
    text + &format!("default {};\n", policy.default.keyword())
}

fn run(space: &Space, text: &str) -> (Policy, Simplified) {
    let source = SourceFile::new("case", text);
    let (policy, errors) = check(&source);
    let policy = policy.unwrap_or_else(|| panic!("{text}: {errors:?}"));
    let simple = simplify(space, &source, &policy, &AtomicU64::new(0)).unwrap();
    (policy, simple)
}

fn judge(policy: &Policy) -> Result<(), TestCaseError> {
    let space = Space::new(1 << 20).unwrap();
    let (before, simple) = run(&space, &text(policy));
    let (after, again) = run(&space, &simple.text);
    prop_assert!(space.bypass_of(&before).unwrap() == space.bypass_of(&after).unwrap());
    prop_assert_eq!(simple.rules, after.rules.len());
    prop_assert_eq!(before.rules.len() - after.rules.len(), simple.gone.len());
    prop_assert!(
        again.gone.is_empty(),
        "{:?} in\n{}",
        again.gone,
        simple.text
    );
    prop_assert_eq!(again.text, simple.text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn random_policies_get_simpler_and_stay_equal(policy in policy(Terms::All, 8)) {
        judge(&policy)?;
    }

    #[test]
    fn lists_get_simpler_and_stay_equal(policy in tabular(Terms::All)) {
        judge(&policy)?;
    }
}

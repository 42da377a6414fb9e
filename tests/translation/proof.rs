//! What the tests of all back ends share: see [`tests::proof`].

use compiler::backend::Kind;
use policy_lang::check::check;
use policy_lang::policy::Policy;
use policy_lang::source::SourceFile;
use proptest::prelude::*;
pub(crate) use tests::proof::{are_the_policy, emit};

/// A policy that has to be one.
pub(crate) fn from_text(text: &str) -> Policy {
    let (policy, diagnostics) = check(&SourceFile::new("test.gate", text));
    policy.unwrap_or_else(|| panic!("{diagnostics:#?}"))
}

/// Whether the rules that `kind` writes for a policy are the policy; they come back.
pub(crate) fn agree(kind: Kind, policy: &Policy) -> Result<String, TestCaseError> {
    let rules = emit(kind, policy).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
    are_the_policy(kind, policy, &rules)?;
    Ok(rules)
}

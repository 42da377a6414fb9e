//! What all back ends are held to: the rules that one writes for a policy, read back by somebody else,
//! let the same frames pass as the policy. On sets of all frames, not on samples.

use compiler::backend::{self, Kind, Refusal, Target};
use compiler::compile::read_back;
use compiler::device::Device;
use compiler::lower::lower;
use compiler::readback::ReadbackError;
use compiler::verify::{Verified, verify_equivalent};
use policy_lang::Space;
use policy_lang::check::check;
use policy_lang::policy::Policy;
use policy_lang::source::SourceFile;
use proptest::prelude::*;

/// Where all rules of these tests are for.
pub(crate) fn target() -> Target {
    Target {
        vif: Device::new("vif1.0").unwrap(),
        ifb: Device::new("ifb0").unwrap(),
        header: vec![String::from("a test\nof two lines")],
    }
}

/// A policy that has to be one.
pub(crate) fn from_text(text: &str) -> Policy {
    let (policy, diagnostics) = check(&SourceFile::new("test.gate", text));
    policy.unwrap_or_else(|| panic!("{diagnostics:#?}"))
}

/// The rules of one back end.
pub(crate) fn emit(kind: Kind, policy: &Policy) -> Result<String, Refusal> {
    backend::emit(kind, &lower(policy).unwrap(), policy, &target())
}

/// Whether the rules that `kind` writes for a policy are the policy; they come back.
pub(crate) fn agree(kind: Kind, policy: &Policy) -> Result<String, TestCaseError> {
    let rules = emit(kind, policy).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
    are_the_policy(kind, policy, &rules)?;
    Ok(rules)
}

/// Whether these rules are the policy.
pub(crate) fn are_the_policy(
    kind: Kind,
    policy: &Policy,
    rules: &str,
) -> Result<(), TestCaseError> {
    // Small spaces are made much faster, and nearly always enough.
    for nodes in [1 << 16, 1 << 19, 1 << 23] {
        let space = Space::new(nodes).unwrap();
        match verified(kind, &space, policy, rules) {
            Err(ReadbackError::Full(_)) => {}
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{rules}"))),
            Ok(verified) => {
                prop_assert!(verified.is_ok(), "{:02x?}\n{}", verified, rules);
                return Ok(());
            }
        }
    }
    Err(TestCaseError::fail("too large"))
}

/// What the proof says of these rules.
pub(crate) fn verified(
    kind: Kind,
    space: &Space,
    policy: &Policy,
    rules: &str,
) -> Result<Verified, ReadbackError> {
    let Target { vif, ifb, .. } = target();
    let outcome = read_back(kind, space, rules, &vif)?;
    Ok(verify_equivalent(space, policy, &outcome, &ifb)?)
}

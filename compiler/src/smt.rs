//! Questions about every frame as SMT-LIB 2 (QF_BV), for a solver that knows nothing of Epochgate.
//!
//! A second way to the answers of `verify` and `diff`: it shares the checked policy and the parsed
//! rules with them, and nothing of the sets of frames. A frame is its length and its first bytes
//! ([`frame`]); a policy is one function per rule ([`policy`]); what rules do is told by the
//! read-backs, beside their sets. `sat` means that there is a frame that is treated otherwise, and
//! the values that the solver gives are that frame. The language is that of the SMT-LIB Standard,
//! version 2.6; solvers need only the theory of fixed-size bit-vectors.

pub mod fate;
pub mod frame;
mod policy;
pub mod term;

use fate::{HELD, PASSES};
use policy_lang::policy::{Condition, Policy, Verdict};

use crate::device::Device;
use crate::notation::Notation;
use crate::readback::ReadbackError;
use crate::verify::in_space;

/// "Is there a frame on whose verdict these two policies differ?"
#[must_use]
pub fn differ(old: &Policy, new: &Policy) -> String {
    [
        frame::declarations(),
        policy::passes("old", old),
        policy::passes("new", new),
        question("(distinct old-passes new-passes)"),
    ]
    .concat()
}

/// "Is there a frame of this condition that the policy lets pass, or holds?"
#[must_use]
pub fn within(asked: &Condition, policy: &Policy, verdict: Verdict) -> String {
    let passes = match verdict {
        Verdict::Bypass => "policy-passes",
        Verdict::Buffer => "(not policy-passes)",
    };
    [
        frame::declarations(),
        policy::passes("policy", policy),
        question(&format!("(and {} {passes})", policy::condition(asked))),
    ]
    .concat()
}

/// A claim about rules, as in [`crate::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// What the policy holds, the rules hold or drop.
    NoLeak,
    /// The rules do what the policy says.
    Equal,
}

/// "Is there a frame that reaches the rules and shows that the claim is false?"
///
/// # Errors
///
/// What [`Notation::read`] says of rules that are not understood: it is asked first.
pub fn refuting(
    claim: Claim,
    policy: &Policy,
    rules: &str,
    notation: Notation,
    (vif, ifb): (&Device, &Device),
) -> Result<String, ReadbackError> {
    in_space(|space| notation.read(space, rules, vif).map(|_| ()))?;
    let refuted = match claim {
        Claim::NoLeak => {
            format!("(and (not policy-passes) (or rules-unsure (= rules-fate {PASSES})))")
        }
        Claim::Equal => {
            format!("(or rules-unsure (distinct rules-fate (ite policy-passes {PASSES} {HELD})))")
        }
    };
    Ok([
        frame::declarations(),
        frame::as_the_kernel_shows_it(),
        policy::passes("policy", policy),
        notation.smt(rules, vif, ifb)?,
        question(&format!("(and delivered {refuted})")),
    ]
    .concat())
}

fn question(claim: &str) -> String {
    format!("\n(assert {claim})\n(check-sat)\n{}", frame::values())
}

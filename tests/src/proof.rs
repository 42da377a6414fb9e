//! What all back ends are held to: the rules that one writes for a policy, read back by somebody else,
//! let the same frames pass as the policy. On sets of all frames, not on samples.
//!
//! And that for as many random policies as one has time for, with a seed that gives them again
//! (`cargo xtask soak proofs`).

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use compiler::backend::{self, Kind, Refusal, Target};
use compiler::compile::read_back;
use compiler::device::Device;
use compiler::lower::lower;
use compiler::readback::ReadbackError;
use compiler::verify::{Verified, verify_equivalent};
use policy_lang::Space;
use policy_lang::policy::Policy;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::generate::policy::{Terms, policy, tabular, tabular_of};

/// Nodes of the spaces that are tried. Small ones are made much faster, and nearly always enough.
const NODES: [usize; 3] = [1 << 16, 1 << 19, 1 << 23];

/// From so many bytes of rules on the smallest space is not tried: it would nearly always be too small,
/// which takes long to find out.
const LONG: usize = 1 << 19;

/// Where all rules of these proofs are for.
///
/// # Panics
/// Never: the names are short ones.
#[must_use]
pub fn target() -> Target {
    Target {
        vif: Device::new("vif1.0").expect("a short name"),
        ifb: Device::new("ifb0").expect("a short name"),
        header: vec![String::from("a test\nof two lines")],
    }
}

/// The rules of one back end.
///
/// # Errors
/// What it refuses.
///
/// # Panics
/// When the policy is too large for any back end, which no generated one is.
pub fn emit(kind: Kind, policy: &Policy) -> Result<String, Refusal> {
    let program = lower(policy).expect("a small policy");
    backend::emit(kind, &program, policy, &target())
}

/// Whether these rules are the policy.
///
/// # Errors
/// A frame on which they differ, or what can't be read, with the rules.
pub fn are_the_policy(kind: Kind, policy: &Policy, rules: &str) -> Result<(), TestCaseError> {
    let tried = if rules.len() < LONG { 0 } else { 1 };
    for nodes in NODES.into_iter().skip(tried) {
        let space = Space::new(nodes).map_err(|error| TestCaseError::fail(error.to_string()))?;
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
fn verified(
    kind: Kind,
    space: &Space,
    policy: &Policy,
    rules: &str,
) -> Result<Verified, ReadbackError> {
    let Target { vif, ifb, .. } = target();
    let outcome = read_back(kind, space, rules, &vif)?;
    Ok(verify_equivalent(space, policy, &outcome, &ifb)?)
}

/// What came of random policies: how many each back end took, all of which were proved, and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Policies.
    pub policies: usize,
    taken: [usize; Kind::ALL.len()],
    /// Those of flower that were u32's to the byte: one proof is both's.
    shared: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} policies", self.policies)?;
        for (kind, taken) in Kind::ALL.into_iter().zip(self.taken) {
            let refused = self.policies - taken;
            write!(f, "; {kind}: {taken} proved, {refused} refused")?;
            if kind == Kind::Flower {
                write!(f, ", {} the same text as u32's", self.shared)?;
            }
        }
        Ok(())
    }
}

/// So many threads, on any machine, so that a seed gives the same policies everywhere.
const LANES: u32 = 4;

/// Has rules made and proved by every back end for so many random policies, rounded up to a multiple of
/// four; `progress` hears how many are done.
///
/// # Errors
/// The smallest policy found that a back end makes wrong rules of, and what is wrong.
pub fn of_random_policies(
    seed: u64,
    policies: u32,
    progress: impl Fn(usize) + Sync,
) -> Result<Tally, String> {
    let done = AtomicUsize::new(0);
    let one_more = || progress(done.fetch_add(1, Ordering::Relaxed) + 1);
    let run = |lane| of_lane(seed, lane, policies.div_ceil(LANES), &one_more);
    let lanes: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = (0..LANES)
            .map(|lane| scope.spawn(move || run(lane)))
            .collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|lane| lane.unwrap_or_else(|_| Err(String::from("a panic, see above"))))
            .collect()
    });
    let mut sum = Tally::default();
    for lane in lanes {
        let lane = lane?;
        sum.policies += lane.policies;
        sum.shared += lane.shared;
        for (sum, taken) in sum.taken.iter_mut().zip(lane.taken) {
            *sum += taken;
        }
    }
    Ok(sum)
}

/// Policies of all kinds. One in sixteen is a long list of rules: its proof for u32 takes up to a minute,
/// those of the others a twentieth of a second, and mistakes show in short ones.
fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        8 => policy(Terms::All, 6),
        8 => policy(Terms::U32, 6),
        7 => tabular_of(Terms::All, 2..7),
        7 => tabular_of(Terms::U32, 2..7),
        1 => tabular(Terms::All),
        1 => tabular(Terms::U32),
    ]
}

fn of_lane(seed: u64, lane: u32, policies: u32, one_more: &dyn Fn()) -> Result<Tally, String> {
    let config = Config {
        cases: policies,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&lane.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let tally = RefCell::new(Tally::default());
    let run = TestRunner::new_with_rng(config, random).run(&any_policy(), |policy| {
        let mut tally = tally.borrow_mut();
        let mut of_u32 = None;
        for kind in Kind::ALL {
            let Ok(rules) = emit(kind, &policy) else {
                continue;
            };
            // One reader reads all that is for tc: the same text is the same question.
            if kind == Kind::Flower && of_u32.as_ref() == Some(&rules) {
                tally.shared += 1;
            } else {
                are_the_policy(kind, &policy, &rules)
                    .map_err(|error| TestCaseError::fail(format!("{kind}: {error}")))?;
            }
            let at = Kind::ALL.iter().position(|of| *of == kind);
            if let Some(taken) = at.and_then(|at| tally.taken.get_mut(at)) {
                *taken += 1;
            }
            if kind == Kind::U32 {
                of_u32 = Some(rules);
            }
        }
        tally.policies += 1;
        one_more();
        Ok(())
    });
    run.map_err(|error| error.to_string())?;
    Ok(tally.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_policies() {
        let run = || of_random_policies(7, 4, |_| {}).expect("proofs");
        let tally = run();
        assert_eq!((tally.policies, tally), (4, run()));
    }
}

//! Proofs: claims about every possible frame, or a frame for which the claim is false.
//!
//! One function per property. Sets are compared, never samples; a counterexample is a concrete
//! frame that has been put through [`classify`] again.

use policy_lang::policy::{Condition, Expectation, Policy, Verdict};
use policy_lang::set::Space;
use policy_lang::{Decision, PacketSet, SpaceFull, Table, classify};

use crate::device::Device;
use crate::hook;
use crate::readback::Outcome;

/// What rules do to one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on at once.
    Bypass,
    /// It is handed to this device.
    Held(String),
    /// It is lost.
    Dropped,
    /// Kernels differ.
    Unsure,
}

/// A frame about which the rules and the policy disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The frame.
    pub frame: Vec<u8>,
    /// What the policy says, by the reference meaning.
    pub policy: Decision,
    /// What the rules do.
    pub rules: Fate,
}

/// What was proved, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Nodes of the diagram of the frames that bypass: how complicated the policy is.
    pub nodes: usize,
}

/// The answer to a claim.
pub type Verified = Result<Proof, Counterexample>;

/// Rules = policy: every frame that reaches the hook bypasses if the policy says so, and is handed
/// to `ifb` otherwise; none is dropped or handed elsewhere, and none meets a test about which
/// kernels differ.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn verify_equivalent(
    space: &Space,
    policy: &Policy,
    rules: &Outcome,
    ifb: &Device,
) -> Result<Verified, SpaceFull> {
    let delivered = hook::delivered(space)?;
    let bypass = space.bypass_of(policy)?;
    let held = space.complement(&bypass)?;
    let none = space.none();
    let held_by_rules = rules.held.get(ifb.as_str()).unwrap_or(&none);
    // A leak is the worse mistake: it is looked for, and shown, first.
    for (wanted, found) in [(&held, held_by_rules), (&bypass, &rules.bypass)] {
        let missing = space.intersection(&space.minus(wanted, found)?, &delivered)?;
        if let Some(frame) = space.shortest(&missing)? {
            let rules = fate(space, rules, &frame);
            return Ok(Err(Counterexample {
                policy: classify(policy, &frame),
                rules,
                frame,
            }));
        }
    }
    let unsure = space.intersection(&rules.unsure, &delivered)?;
    if let Some(frame) = space.shortest(&unsure)? {
        return Ok(Err(Counterexample {
            policy: classify(policy, &frame),
            rules: Fate::Unsure,
            frame,
        }));
    }
    Ok(Ok(Proof {
        nodes: bypass.complexity(),
    }))
}

/// No leak: every frame that the policy holds, the rules hold or drop. Weaker than
/// [`verify_equivalent`], and what matters most.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn verify_no_leak(
    space: &Space,
    policy: &Policy,
    rules: &Outcome,
) -> Result<Verified, SpaceFull> {
    let bypass = space.bypass_of(policy)?;
    let perhaps = space.union(&rules.bypass, &rules.unsure)?;
    let leaked = space.minus(&perhaps, &bypass)?;
    let leaked = space.intersection(&leaked, &hook::delivered(space)?)?;
    Ok(match space.shortest(&leaked)? {
        Some(frame) => {
            let rules = fate(space, rules, &frame);
            Err(Counterexample {
                policy: classify(policy, &frame),
                rules,
                frame,
            })
        }
        None => Ok(Proof {
            nodes: bypass.complexity(),
        }),
    })
}

/// Table = judge: every frame that `table` decides by itself is decided as `policy` says, by the same
/// rule or by none, and every other frame it leaves to the judge.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn verify_table(
    space: &Space,
    policy: &Policy,
    table: &Table<'_>,
) -> Result<Result<(), MisjudgedFrame>, SpaceFull> {
    let decided = table.decided(space)?;
    let rules = policy.rules.iter().map(|rule| &rule.condition);
    let conditions = rules.chain([&Condition::Always]);
    let mut left = space.all();
    for (condition, (decision, found)) in conditions.zip(&decided.by_table) {
        let holds = space.condition(condition)?;
        let wanted = space.minus(&space.intersection(&left, &holds)?, &decided.by_judge)?;
        if let Some(frame) = space.difference(&wanted, found)? {
            return Ok(Err(MisjudgedFrame {
                policy: classify(policy, &frame),
                table: table.classify(&frame),
                claimed: *decision,
                frame,
            }));
        }
        left = space.minus(&left, &holds)?;
    }
    Ok(Ok(()))
}

/// A frame that a table decides otherwise than the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisjudgedFrame {
    /// The frame.
    pub frame: Vec<u8>,
    /// What the policy says, by the reference meaning.
    pub policy: Decision,
    /// What the table says.
    pub table: Decision,
    /// The decision that one of the two makes and the other does not.
    pub claimed: Decision,
}

/// An `expect` statement that is not true, with a frame that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Index of the statement in the policy.
    pub expectation: usize,
    /// A frame of the condition with the other verdict.
    pub frame: Vec<u8>,
    /// What the policy says about it.
    pub decision: Decision,
}

/// Every `expect` statement of the policy is true. Returns those that are not.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn verify_expectations(space: &Space, policy: &Policy) -> Result<Vec<Broken>, SpaceFull> {
    if policy.expectations.is_empty() {
        return Ok(Vec::new());
    }
    let bypass = space.bypass_of(policy)?;
    let mut broken = Vec::new();
    for (at, claim) in policy.expectations.iter().enumerate() {
        if let Some(frame) = space.witness(&exceptions(space, claim, &bypass)?)? {
            let decision = classify(policy, &frame);
            broken.push(Broken {
                expectation: at,
                frame,
                decision,
            });
        }
    }
    Ok(broken)
}

fn exceptions(
    space: &Space,
    claim: &Expectation,
    bypass: &PacketSet,
) -> Result<PacketSet, SpaceFull> {
    let described = space.condition(&claim.condition)?;
    match claim.verdict {
        Verdict::Buffer => space.intersection(&described, bypass),
        Verdict::Bypass => space.minus(&described, bypass),
    }
}

/// What the rules do to one frame.
#[must_use]
pub fn fate(space: &Space, rules: &Outcome, frame: &[u8]) -> Fate {
    let held = rules
        .held
        .iter()
        .find(|(_, set)| space.contains(set, frame));
    match held {
        _ if space.contains(&rules.unsure, frame) => Fate::Unsure,
        Some((device, _)) => Fate::Held(device.clone()),
        None if space.contains(&rules.bypass, frame) => Fate::Bypass,
        None => Fate::Dropped,
    }
}

/// Sizes of the spaces that are tried, in nodes. Most policies fit into the first, which is small
/// because to make a space takes time in proportion to its size.
const SPACES: [usize; 4] = [1 << 16, 1 << 20, 1 << 23, 1 << 25];

/// Runs `work` in spaces of growing size until it fits.
///
/// # Errors
///
/// What `work` returns; [`SpaceFull`] only if the largest space is too small as well.
pub fn in_space<T, E: From<SpaceFull> + MaybeFull>(
    mut work: impl FnMut(&Space) -> Result<T, E>,
) -> Result<T, E> {
    let mut attempt = |nodes| {
        Space::new(nodes)
            .map_err(E::from)
            .and_then(|space| work(&space))
    };
    let mut result = Err(E::from(SpaceFull::Nodes(0)));
    for nodes in SPACES {
        result = attempt(nodes);
        if !result.as_ref().is_err_and(MaybeFull::is_full) {
            break;
        }
    }
    result
}

/// An error that may say that a larger space is needed.
pub trait MaybeFull {
    /// Whether it says so.
    fn is_full(&self) -> bool;
}

impl MaybeFull for SpaceFull {
    fn is_full(&self) -> bool {
        true
    }
}

//! What would have to be different for the other verdict: in the frame, and in the policy.
//!
//! The frame: parts of it, such as its source port or its payload, are let go of, one, then two, then
//! three at a time, until some frame that agrees in all the others is in the set of the other verdict.
//! The new values are the nearest ones. The policy: rules are left out, moved or added, and what else
//! such a change does is worked out over all frames. Whatever is answered has been put through
//! [`classify`] again.

mod edit;
mod parts;

pub use edit::{Edit, PolicyChange, policy_changes};
pub use parts::Changed;

use policy_lang::packet::Packet;
use policy_lang::policy::{Policy, Verdict};
use policy_lang::{Decision, PacketSet, Space, SpaceFull, classify};

use parts::{Bits, Part};

/// Most parts of a frame that are changed.
const MOST_PARTS: usize = 3;

/// A frame that differs in few parts and gets the other verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameChange {
    /// The parts that differ, from the one that is changed most readily on.
    pub changed: Vec<Changed>,
    /// The frame as it would be.
    pub frame: Vec<u8>,
    /// What the policy says about it.
    pub decision: Decision,
}

/// The smallest change of `frame` after which `policy` says otherwise; `None` if up to three parts of it
/// are not enough.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn smallest_change(
    space: &Space,
    policy: &Policy,
    frame: &[u8],
) -> Result<Option<FrameChange>, SpaceFull> {
    let Some(bits) = Bits::of(frame) else {
        return Ok(None);
    };
    let verdict = classify(policy, frame).verdict;
    let bypass = space.bypass_of(policy)?;
    let other = match verdict {
        Verdict::Buffer => bypass,
        Verdict::Bypass => space.complement(&bypass)?,
    };
    let parts = Part::of(Packet::new(frame));
    let fixed = bits.outside(space, &parts)?;
    let within = space.intersection(&other, &fixed)?;
    let same: Result<Vec<_>, _> = parts.iter().map(|part| bits.same(space, *part)).collect();
    let all: Vec<(Part, PacketSet)> = parts.into_iter().zip(same?).collect();
    for most in 1..=MOST_PARTS {
        let mut free = Vec::new();
        if let Some(found) = search(space, &all, &within, most, &mut free)? {
            let new = bits.changed(space, &free, &found)?;
            let decision = classify(policy, &new);
            if decision.verdict == verdict {
                return Ok(None);
            }
            let changed = free.iter().map(|part| part.told(frame, &new)).collect();
            return Ok(Some(FrameChange {
                changed,
                frame: new,
                decision,
            }));
        }
    }
    Ok(None)
}

/// The frames of `set` that have all of `parts` in common with the frame but for `most` of them, which
/// end up in `free`; the first parts are let go of first.
fn search(
    space: &Space,
    parts: &[(Part, PacketSet)],
    set: &PacketSet,
    most: usize,
    free: &mut Vec<Part>,
) -> Result<Option<PacketSet>, SpaceFull> {
    if set.is_empty() || parts.len() < most {
        return Ok(None);
    }
    let Some(((part, same), rest)) = parts.split_first() else {
        return Ok(Some(set.clone()));
    };
    if most > 0 {
        free.push(*part);
        if let Some(found) = search(space, rest, set, most - 1, free)? {
            return Ok(Some(found));
        }
        free.pop();
    }
    search(space, rest, &space.intersection(set, same)?, most, free)
}

#[cfg(test)]
mod tests;

//! What a change of a policy changes, and what a condition meets: sets of frames told in classes.

use policy_lang::classes::{Class, Classes, Vocabulary, classes};
use policy_lang::policy::{Condition, Policy, Verdict};
use policy_lang::{Decision, PacketSet, Space, SpaceFull, classify};

/// Frames that one policy treats otherwise than another.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Frames that were held and now pass.
    pub opened: Classes,
    /// Frames that passed and are now held.
    pub closed: Classes,
}

impl Changed {
    /// Whether there are none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.opened.classes.is_empty() && self.closed.classes.is_empty()
    }
}

/// The frames that change side when `old` is replaced by `new`, in the fewest classes found.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn changed_sides(space: &Space, old: &Policy, new: &Policy) -> Result<Changed, SpaceFull> {
    let mut vocabulary = Vocabulary::default();
    vocabulary.policy(old);
    vocabulary.policy(new);
    let (before, after) = (space.bypass_of(old)?, space.bypass_of(new)?);
    let tell = |set: &PacketSet| classes(space, set, &space.all(), &vocabulary);
    Ok(Changed {
        opened: tell(&space.minus(&after, &before)?)?,
        closed: tell(&space.minus(&before, &after)?)?,
    })
}

/// Which frames of a condition have a verdict.
#[derive(Clone, Debug)]
pub struct Part {
    /// The verdict.
    pub verdict: Verdict,
    /// How much of the condition they are, from 0 to 1, every bit that can differ counted the same.
    pub share: f64,
    /// The frames, in terms that tell them from the rest of the condition.
    pub classes: Classes,
}

/// What a policy does with the frames of a condition: those that pass, and those that are held.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn verdicts_within(
    space: &Space,
    policy: &Policy,
    condition: &Condition,
) -> Result<[Part; 2], SpaceFull> {
    let mut vocabulary = Vocabulary::default();
    vocabulary.policy(policy);
    vocabulary.condition(condition);
    let asked = space.condition(condition)?;
    let bypass = space.bypass_of(policy)?;
    let part = |verdict, set: PacketSet| -> Result<Part, SpaceFull> {
        Ok(Part {
            verdict,
            share: space.share(&set, &asked)?,
            classes: classes(space, &set, &asked, &vocabulary)?,
        })
    };
    Ok([
        part(Verdict::Bypass, space.intersection(&asked, &bypass)?)?,
        part(Verdict::Buffer, space.minus(&asked, &bypass)?)?,
    ])
}

/// What both policies say about the frame of a class.
#[must_use]
pub fn decisions(old: &Policy, new: &Policy, class: &Class) -> [Decision; 2] {
    [classify(old, &class.frame), classify(new, &class.frame)]
}

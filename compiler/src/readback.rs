//! Rules read back: what text that a kernel would load, or prints, does to every possible frame.
//!
//! The read-backs are a second opinion on the back ends. They follow the kernel's manuals, never
//! the back ends' code: [`crate::readback`] imports nothing that emits rules. What they can't
//! understand is an error that names the line; nothing is guessed.

mod bpf;
pub mod nft;
pub mod u32;

use std::collections::BTreeMap;

use policy_lang::{PacketSet, SpaceFull};

/// What rules do to every frame that reaches the hook.
///
/// `bypass`, `held` and `dropped` are a partition of [`policy_lang::Space::all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The frames that go on at once.
    pub bypass: PacketSet,
    /// The frames that are handed to another device, by its name.
    pub held: BTreeMap<String, PacketSet>,
    /// The frames that are lost.
    pub dropped: PacketSet,
    /// Frames that meet a test about which kernels differ. The other sets say what becomes of them
    /// in kernels before the change.
    pub unsure: PacketSet,
}

/// A rule that a frame goes through, in the text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its line, from 1 on; of a JSON listing, the place of its object. `None` where it has no single one.
    pub line: Option<usize>,
    /// The rule, or the beginning of it.
    pub text: String,
}

/// The beginning of a rule: elements of large sets may stand in one line.
fn beginning(rule: &str) -> String {
    const SHOWN: usize = 160;
    let mut text: String = rule.trim().chars().take(SHOWN).collect();
    if text.len() < rule.trim().len() {
        text.push_str("...");
    }
    text
}

/// Why rules have no [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadbackError {
    /// The sets outgrew their space.
    #[error(transparent)]
    Full(#[from] SpaceFull),
    /// Something in the rules whose meaning is not known here.
    #[error("line {line}: {reason}: `{text}`")]
    NotUnderstood {
        /// The line of the rules, from 1 on.
        line: usize,
        /// The rule, or the part of it, as it stands there.
        text: String,
        /// What about it is not understood.
        reason: String,
    },
}

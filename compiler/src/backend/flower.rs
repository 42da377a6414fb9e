//! A rule program as a `tc -batch` file in which flower decides about plain packets.
//!
//! The prefs of chain 0 are those of the u32 back end, guards included, since flower sees neither
//! versions nor options, fragments and the ends of headers. Where flower sees all that a block's rules
//! ask for, the guard goes to a chain of flower filters that decides about everything; else the block
//! keeps its u32 tables.

use policy_lang::policy::Policy;

use super::u32;
use crate::backend::{Kind, Refusal, Target};
use crate::ir::Program;

/// Writes the filters.
///
/// # Errors
///
/// [`Refusal`] for what the guard, or a block that is left to u32, can't ask.
pub fn emit(program: &Program, policy: &Policy, target: &Target) -> Result<String, Refusal> {
    u32::write(program, policy, target, u32::Deciders::FlowerWherePlain).map_err(|refusal| {
        Refusal {
            backend: Kind::Flower,
            ..refusal
        }
    })
}

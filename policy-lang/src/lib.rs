//! The Epochgate policy language: text, its meaning, and the packet sets it denotes.
//!
//! Data flows one way: text, tree, [`policy::Policy`], [`set::PacketSet`]. [`classify`] says what a
//! policy means for one frame; it is the judge of everything else. This crate is pure: no input or
//! output, no clock, no printing.

pub mod check;
pub mod classes;
pub mod classify;
pub mod diagnostic;
pub mod field;
pub mod names;
pub mod packet;
pub mod policy;
pub mod set;
pub mod source;
pub mod syntax;
pub mod values;

pub use check::check;
pub use classify::headers::Headers;
pub use classify::table::Table;
pub use classify::{Decision, Reason, classify};
pub use policy::{Policy, Verdict};
pub use set::{PacketSet, Space, SpaceFull};

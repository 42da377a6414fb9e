//! The differential test: the same rules and frames through a real kernel and through the reference
//! meaning, frame by frame, with nothing left to silence.
//!
//! ```text
//! host:   policy -> proved rules, aimed frames, the way each must take -> batch (one file)
//! kernel: batch -> vif0 -> rules -> IFB with a plug -> bridge -> out0 -> answer (a few lines)
//! ```
//!
//! The host does what is slow: compiling, proving, classifying. What runs beside the kernel, which
//! may be an emulated one, only writes, reads and compares. The VM's end of `vif0` is a tap, as a
//! hypervisor without Xen has it: a frame that was written has been through the rules when the call
//! returns, so what bypasses can be read at once, and what is not there yet was held.

pub mod answer;
pub mod batch;
pub mod ground;
pub mod judge;
pub mod offload;
pub mod pair;
pub mod port;
pub mod prepare;
pub mod rig;
pub mod way;
pub mod wrong;

/// The VM's interface.
pub const VIF: &str = "vif0";
/// Where held frames go.
pub const IFB: &str = "ifb-vif0";

//! The kernel module: built for the kernels of the lab, loaded, and driven over netlink.
//!
//! docs/kernel-module.md says how it is built and used by hand.

pub mod build;
pub mod cures;
pub mod drive;
pub mod load;
pub mod lockstep;
pub mod rig;

/// Where the module is in a guest; it differs from kernel to kernel, as the kernel's own do.
pub const IN_GUEST: &str = "/lab/sch_epochgate.ko";
/// The kernel's own plug, to be put back after ours has stood in for it.
pub const PLUG_IN_GUEST: &str = "/lab/sch_plug.ko";
/// On the host: builds the module for 7.x as well, which a usual run leaves out.
pub const ALL_KERNELS: &str = "EPOCHGATE_MODULE_ON_7";
/// On the host: builds it against the kernel's own Rust.
pub const RUST: &str = "EPOCHGATE_MODULE_RUST";
/// Says in a guest that its clock counts instructions, so that what is measured is the same each time.
pub const EXACT: &str = "EPOCHGATE_EXACT_CLOCK";
/// Says in a guest why there is no module, if there is none.
pub const WHY_NOT: &str = "EPOCHGATE_NO_MODULE";

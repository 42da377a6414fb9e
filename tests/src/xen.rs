//! The Xen lab: a real dom0 under Xen in QEMU, a paravirtual domU with a vif, and `xl remus`, which drives
//! what `epochgate compile --emit xen-hook` makes.
//!
//! ```text
//! packages -> libxl with network buffering -> dom0 (a guest of the lab, below Xen) -> domU
//!                                              hook, plug, captures, traces  <- xl remus
//! ```
//!
//! Everything is made of Debian packages that are unpacked and never installed, in an initramfs: no disk, no
//! mount and no root on the host. docs/xen.md says how to use it and what was measured.

pub mod call;
pub mod cut;
pub mod dom0;
pub mod domu;
pub mod failover;
pub mod frames;
pub mod judge;
pub mod libxl;
pub mod pair;
pub mod pictures;
pub mod recording;
pub mod report;
pub mod run;
pub mod station;
pub mod streams;
pub mod takeover;
pub mod traffic;
pub mod wire;

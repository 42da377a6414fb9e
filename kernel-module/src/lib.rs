// SPDX-License-Identifier: GPL-2.0

//! The epoch gate as a Linux qdisc, in the style of Rust for Linux.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h)
//!
//! No `std` and no panic: memory that can't be had is an error that the caller sees. Locking is the
//! caller's, as everywhere under `qdisc_lock`.
//!
//! The kernel's own things come from the crate `kernel`: that of a kernel with CONFIG_RUST, or a stub with
//! the same names. What upstream has nothing for is here: [`skbuff`] and [`sch_generic`], and [`bindings`]
//! below them. Everywhere but in a kernel, Rust functions play the kernel's part there, so that all above
//! is tested on any machine.

// Where the kernel knows Rust, its build system says so.
#![cfg_attr(not(CONFIG_RUST), no_std)]

#[cfg(not(MODULE))]
extern crate alloc;
#[cfg(not(MODULE))]
extern crate std;

pub mod bindings;
pub mod classifier;
pub mod gate;
pub mod netlink;
pub mod qdisc;
pub mod queue;
pub mod registration;
pub mod sch_epochgate;
pub mod sch_generic;
pub mod skbuff;

kernel::prelude::module! {
    type: registration::Registration,
    name: "sch_epochgate",
    authors: ["the Epochgate authors"],
    description: "Holds packets until the checkpoint of their epoch is committed",
    license: "GPL",
}

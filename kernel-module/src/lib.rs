// SPDX-License-Identifier: GPL-2.0

//! The epoch gate as a Linux qdisc, in the style of Rust for Linux.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h)
//!
//! No `std` and no panic: memory that can't be had is an error that the caller sees. Locking is the
//! caller's, as everywhere under `qdisc_lock`. The kernel's own things come from the crate `kernel`,
//! which is a stub everywhere but in a kernel.

#![no_std]

#[cfg(test)]
extern crate alloc;

pub mod classifier;
pub mod gate;
pub mod netlink;
pub mod qdisc;
pub mod queue;
pub mod sch_epochgate;

kernel::prelude::module! {
    type: sch_epochgate::EpochGate,
    name: "sch_epochgate",
    authors: ["the Epochgate authors"],
    description: "Holds packets until the checkpoint of their epoch is committed",
    license: "GPL",
}

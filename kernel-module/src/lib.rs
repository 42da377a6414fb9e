// SPDX-License-Identifier: GPL-2.0

//! The epoch gate as the core of a Linux qdisc, in the style of Rust for Linux.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h)
//!
//! No `std`, no unsafe code, no panic: memory that can't be had is an error that the caller sees.
//! Locking is the caller's, as everywhere under `qdisc_lock`.

#![no_std]

extern crate alloc;

pub mod gate;
pub mod queue;

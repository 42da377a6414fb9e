// SPDX-License-Identifier: GPL-2.0

//! As much of Rust for Linux's `kernel` crate as `sch_epochgate` needs.
//!
//! Names and signatures are those of `rust/kernel/` in Linux 7.3; each module says which file it stands
//! for and where it says less. What upstream has nothing for, packets and the qdisc layer, the module has
//! itself.
//!
//! Two worlds lie below, and [`bindings`] is where they differ. Compiled with `--cfg MODULE`, its
//! functions are C functions of `glue.c`, inside a kernel that need not know Rust. Otherwise they
//! are Rust functions that play the kernel's part, so that everything above is tested on any
//! machine.

#![no_std]

#[cfg(not(MODULE))]
extern crate alloc as std_alloc;
#[cfg(not(MODULE))]
extern crate std;

pub mod alloc;
pub mod bindings;
pub mod error;
mod module;
pub mod prelude;
mod print;
#[cfg(not(MODULE))]
pub mod sync;

pub use module::{Module, ThisModule};

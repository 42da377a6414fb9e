// SPDX-License-Identifier: GPL-2.0

//! What lies below: C functions of a kernel, or Rust functions that play it. Stands for upstream's
//! generated `bindings` crate and the static inlines of `rust/helpers/`. Nothing but this crate uses it,
//! and tests: it is not what upstream's `bindings` hold.
//!
//! C headers: [`include/linux/slab.h`](srctree/include/linux/slab.h),
//! [`include/linux/printk.h`](srctree/include/linux/printk.h)

#[cfg(not(MODULE))]
mod host;
#[cfg(not(MODULE))]
pub use host::{kfree, kmalloc, print, testing};

#[cfg(MODULE)]
mod glue;
#[cfg(MODULE)]
pub use glue::{kfree, kmalloc, print};

/// `ARCH_KMALLOC_MINALIGN`, the least of all architectures with 64 bits.
pub const ALIGN: usize = 8;

/// `KERN_INFO` and `KERN_WARNING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Something is wrong.
    Warn,
}

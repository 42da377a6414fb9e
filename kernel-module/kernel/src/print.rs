// SPDX-License-Identifier: GPL-2.0

//! Lines in the kernel's log. Stands for `rust/kernel/print.rs`.
//!
//! C headers: [`include/linux/printk.h`](srctree/include/linux/printk.h)
//!
//! Upstream formats its arguments with the `%pA` of a kernel that has CONFIG_RUST. Elsewhere there
//! is none, and `core::fmt` would bring its panics along: a line here is a literal without
//! arguments, which upstream takes as well. The name of the module comes before it, as there.

/// `pr_info!("text\n")`.
#[macro_export]
macro_rules! pr_info {
    ($text:literal) => {
        $crate::bindings::print($crate::bindings::Level::Info, concat!($text, "\0"))
    };
}

/// `pr_warn!("text\n")`.
#[macro_export]
macro_rules! pr_warn {
    ($text:literal) => {
        $crate::bindings::print($crate::bindings::Level::Warn, concat!($text, "\0"))
    };
}

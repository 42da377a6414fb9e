// SPDX-License-Identifier: GPL-2.0

//! The functions of `glue.c`: what is a static inline in C, or a macro, under a name of its own.
//! Stands for `rust/helpers/helpers.c`.
//!
//! C headers: [`include/linux/slab.h`](srctree/include/linux/slab.h),
//! [`include/linux/printk.h`](srctree/include/linux/printk.h)

use core::ffi::{c_char, c_void};
use core::ptr::NonNull;

use super::Level;
use crate::alloc::Flags;

mod c {
    use super::{c_char, c_void};

    unsafe extern "C" {
        pub(super) fn epochgate_kmalloc(bytes: usize, atomic: u32) -> *mut c_void;
        pub(super) fn epochgate_kfree(memory: *mut c_void);
        pub(super) fn epochgate_print(warn: u32, text: *const c_char);
    }
}

/// `kmalloc`; quiet when there is no memory.
#[must_use]
#[inline]
pub fn kmalloc(bytes: usize, flags: Flags) -> Option<NonNull<c_void>> {
    // SAFETY: any size may be asked for.
    NonNull::new(unsafe { c::epochgate_kmalloc(bytes, flags.0) })
}

/// `kfree`.
///
/// # Safety
///
/// The memory came from [`kmalloc`] and is not used any more.
#[inline]
pub unsafe fn kfree(memory: NonNull<c_void>, _bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_kfree(memory.as_ptr()) };
}

/// `printk`; the text ends with a zero byte.
#[inline]
pub fn print(level: Level, text: &'static str) {
    // SAFETY: the macros of `print` put the zero byte there, and C only reads.
    unsafe { c::epochgate_print((level == Level::Warn).into(), text.as_ptr().cast()) };
}

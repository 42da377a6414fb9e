// SPDX-License-Identifier: GPL-2.0

//! The kernel's part, played on the host. Stands for the kernel itself, below upstream's `bindings`.
//!
//! C headers: [`include/linux/slab.h`](srctree/include/linux/slab.h),
//! [`include/linux/printk.h`](srctree/include/linux/printk.h)

use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::NonNull;
use std_alloc::alloc::{alloc, dealloc};

use super::{ALIGN, Level};
use crate::alloc::Flags;

/// Levers and gauges for tests.
pub mod testing {
    use core::cell::Cell;

    std::thread_local! {
        pub(super) static NO_MEMORY: Cell<bool> = const { Cell::new(false) };
        pub(super) static WARNINGS: Cell<u32> = const { Cell::new(0) };
    }

    /// Does something on a thread that finds no memory.
    pub fn without_memory<T>(work: impl FnOnce() -> T) -> T {
        NO_MEMORY.set(true);
        let done = work();
        NO_MEMORY.set(false);
        done
    }

    /// Warnings that this thread has logged.
    #[must_use]
    pub fn warnings() -> u32 {
        WARNINGS.get()
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes, ALIGN).ok()
}

/// `kmalloc`.
#[must_use]
pub fn kmalloc(bytes: usize, _flags: Flags) -> Option<NonNull<c_void>> {
    // KMALLOC_MAX_SIZE with pages of 4 KiB.
    if bytes == 0 || bytes > 4 << 20 || testing::NO_MEMORY.get() {
        return None;
    }
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { alloc(layout(bytes)?) }.cast())
}

/// `kfree`.
///
/// # Safety
///
/// The memory came from [`kmalloc`] with this size and is not used any more.
pub unsafe fn kfree(memory: NonNull<c_void>, bytes: usize) {
    if let Some(layout) = layout(bytes) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(memory.as_ptr().cast(), layout) };
    }
}

/// `printk`: counted, not shown.
pub fn print(level: Level, _text: &'static str) {
    if level == Level::Warn {
        testing::WARNINGS.set(testing::WARNINGS.get().wrapping_add(1));
    }
}

// SPDX-License-Identifier: GPL-2.0

//! A spinlock. Stands for `rust/kernel/sync/lock/spinlock.rs`.
//!
//! C headers: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)
//!
//! Only on the host, where it plays the lock of a qdisc's root (`qdisc_lock`): in a kernel the core
//! of the qdisc layer holds that one, and this crate takes none. Upstream's needs to be pinned. With the
//! feature `shuttle` its threads are those of the crate `shuttle`.

#[cfg(feature = "shuttle")]
use shuttle::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(feature = "shuttle"))]
use std::sync::{Mutex, MutexGuard};

/// Data behind a lock.
#[derive(Debug, Default)]
pub struct SpinLock<T>(Mutex<T>);

impl<T> SpinLock<T> {
    /// Unlocked.
    pub const fn new(data: T) -> Self {
        Self(Mutex::new(data))
    }

    /// Waits for the lock; dropping the answer gives it back. A thread that died with it has shown
    /// a failure of its own.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

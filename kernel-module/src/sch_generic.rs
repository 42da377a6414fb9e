// SPDX-License-Identifier: GPL-2.0

//! A qdisc as seen by its own operations. Upstream has nothing for this layer.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/net/pkt_sched.h`](srctree/include/net/pkt_sched.h)

#![expect(unsafe_code, reason = "a qdisc is a pointer that C gave")]

use core::ptr::NonNull;

use crate::bindings;
use crate::skbuff::SkBuff;

/// A `struct Qdisc` whose root is locked: the queue's length and statistics may be changed.
///
/// # Invariants
///
/// The pointer is that of a live qdisc, and the lock is held as long as this is there.
#[derive(Debug)]
pub struct Qdisc(NonNull<bindings::Qdisc>);

impl Qdisc {
    /// A qdisc for the time of one operation.
    ///
    /// # Safety
    ///
    /// The qdisc is alive and its root locked until the answer is gone.
    #[must_use]
    #[inline]
    pub unsafe fn from_raw(sch: NonNull<bindings::Qdisc>) -> Self {
        // INVARIANT: the caller's promise.
        Self(sch)
    }

    /// The packet enters the queue: counts it.
    #[inline]
    pub fn enqueued(&mut self, skb: &SkBuff) {
        // SAFETY: the invariants of both types.
        unsafe { bindings::qdisc_enqueued(self.0, skb.as_raw()) };
    }

    /// It found no room after all.
    #[inline]
    pub fn not_enqueued(&mut self, skb: &SkBuff) {
        // SAFETY: the invariants of both types.
        unsafe { bindings::qdisc_not_enqueued(self.0, skb.as_raw()) };
    }

    /// The packet leaves the queue for the device: counts it.
    #[inline]
    pub fn dequeued(&mut self, skb: &SkBuff) {
        // SAFETY: the invariants of both types.
        unsafe { bindings::qdisc_dequeued(self.0, skb.as_raw()) };
    }

    /// The packet was in the queue and is lost: counts it and frees it.
    #[inline]
    pub fn drop_queued(&mut self, skb: SkBuff) {
        // SAFETY: the invariants of both types; the packet is given up.
        unsafe { bindings::qdisc_drop_queued(self.0, skb.into_raw()) };
    }

    /// A packet found no room. Its drop is counted by whoever drops it.
    #[inline]
    pub fn overlimit(&mut self) {
        // SAFETY: the invariant of this type.
        unsafe { bindings::qdisc_overlimit(self.0) };
    }

    /// Something may leave now: has the device run the queue.
    #[inline]
    pub fn schedule(&mut self) {
        // SAFETY: the invariant of this type.
        unsafe { bindings::qdisc_schedule(self.0) };
    }

    /// Has the device run the queue at that time, in nanoseconds of the monotonic clock.
    #[inline]
    pub fn watchdog(&mut self, expires: u64) {
        // SAFETY: the invariant of this type.
        unsafe { bindings::qdisc_watchdog(self.0, expires) };
    }
}

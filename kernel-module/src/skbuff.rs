// SPDX-License-Identifier: GPL-2.0

//! A packet that Rust owns. Upstream has none yet for networking; the form follows its other owners
//! of C objects, such as `rust/kernel/types.rs` (`ForeignOwnable`).
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

#![expect(
    unsafe_code,
    reason = "a packet is owned by way of a pointer that C gave"
)]

use core::mem;
use core::ptr::NonNull;

use crate::bindings;

mod list;
pub use list::SkBuffList;

/// A `struct sk_buff`, freed when dropped.
///
/// # Invariants
///
/// The pointer is that of a live packet that nobody else owns.
#[derive(Debug)]
#[repr(transparent)]
pub struct SkBuff(NonNull<bindings::sk_buff>);

// SAFETY: a packet belongs to no thread.
unsafe impl Send for SkBuff {}

impl SkBuff {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// The packet is alive, and its owner gives it up.
    #[must_use]
    #[inline]
    pub unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: the caller's promise.
        Self(skb)
    }

    /// Gives the packet away.
    #[must_use]
    #[inline]
    pub fn into_raw(self) -> NonNull<bindings::sk_buff> {
        let skb = self.0;
        mem::forget(self);
        skb
    }

    /// The packet, which stays owned here.
    #[must_use]
    #[inline]
    pub const fn as_raw(&self) -> NonNull<bindings::sk_buff> {
        self.0
    }

    /// `skb->len`: bytes from the link layer's header on.
    #[expect(clippy::len_without_is_empty, reason = "no packet is empty")]
    #[must_use]
    #[inline]
    pub fn len(&self) -> u32 {
        // SAFETY: the invariant of this type.
        unsafe { bindings::skb_len(self.0) }
    }

    /// `skb->mark`.
    #[must_use]
    #[inline]
    pub fn mark(&self) -> u32 {
        // SAFETY: the invariant of this type.
        unsafe { bindings::skb_mark(self.0) }
    }

    /// `qdisc_skb_cb(skb)->data[0]`: what the qdisc that has the packet wants to remember of it. Any
    /// value until it was set.
    #[must_use]
    #[inline]
    pub fn private(&self) -> u8 {
        // SAFETY: the invariant of this type.
        unsafe { bindings::skb_private(self.0) }
    }

    /// Sets it.
    #[inline]
    pub fn set_private(&mut self, value: u8) {
        // SAFETY: the invariant of this type.
        unsafe { bindings::skb_set_private(self.0, value) };
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the invariant of this type, and it is used no more.
        unsafe { bindings::skb_free(self.0) };
    }
}

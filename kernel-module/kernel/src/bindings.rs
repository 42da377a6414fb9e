// SPDX-License-Identifier: GPL-2.0

//! What lies below: C functions of a kernel, or Rust functions that play it. Stands for upstream's
//! generated `bindings` crate and the static inlines of `rust/helpers/`.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h)

#[cfg(not(MODULE))]
mod host;
#[cfg(not(MODULE))]
pub use host::{
    Qdisc, kfree, kmalloc, print, qdisc_dequeued, qdisc_drop_queued, qdisc_enqueued,
    qdisc_not_enqueued, qdisc_overlimit, qdisc_schedule, qdisc_watchdog, sk_buff, skb_free,
    skb_len, skb_mark, skb_next, skb_private, skb_set_next, skb_set_private, testing,
};

#[cfg(MODULE)]
mod glue;
#[cfg(MODULE)]
pub use glue::{
    Qdisc, kfree, kmalloc, print, qdisc_dequeued, qdisc_drop_queued, qdisc_enqueued,
    qdisc_not_enqueued, qdisc_overlimit, qdisc_schedule, qdisc_watchdog, sk_buff, skb_free,
    skb_len, skb_mark, skb_next, skb_private, skb_set_next, skb_set_private,
};

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

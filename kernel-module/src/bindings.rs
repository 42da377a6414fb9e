// SPDX-License-Identifier: GPL-2.0

//! What lies below packets and qdiscs: C functions of a kernel, or Rust functions that play it.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h)

#![expect(unsafe_code, reason = "this is where Rust meets C")]

#[cfg(not(MODULE))]
mod host;
#[cfg(not(MODULE))]
pub use host::{
    Qdisc, qdisc_dequeued, qdisc_drop_queued, qdisc_enqueued, qdisc_not_enqueued, qdisc_overlimit,
    qdisc_schedule, qdisc_watchdog, register, sk_buff, skb_free, skb_len, skb_mark, skb_next,
    skb_private, skb_set_next, skb_set_private, testing, unregister,
};

#[cfg(MODULE)]
mod glue;
#[cfg(MODULE)]
pub use glue::{
    Qdisc, qdisc_dequeued, qdisc_drop_queued, qdisc_enqueued, qdisc_not_enqueued, qdisc_overlimit,
    qdisc_schedule, qdisc_watchdog, register, sk_buff, skb_free, skb_len, skb_mark, skb_next,
    skb_private, skb_set_next, skb_set_private, unregister,
};

// SPDX-License-Identifier: GPL-2.0

//! The kernel's part, played on the host: as much of it as the tests look at. Stands for the kernel
//! itself, below upstream's `bindings`.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`net/sched/sch_api.c`](srctree/net/sched/sch_api.c)

use alloc::boxed::Box;
use core::ffi::c_int;
use core::ptr::NonNull;

/// As much of `struct sk_buff` as a qdisc sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the name that C has")]
pub struct sk_buff {
    /// Tells it from others.
    pub id: u64,
    /// `skb->len`.
    pub len: u32,
    /// `qdisc_pkt_len(skb)`: with the headers that segmentation will add.
    pub pkt_len: u32,
    /// `skb->mark`.
    pub mark: u32,
    /// `skb->next`.
    pub next: Option<NonNull<Self>>,
    /// The first byte of `qdisc_skb_cb(skb)->data`.
    pub private: u8,
}

/// As much of `struct Qdisc` as a qdisc changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qdisc {
    /// `q.qlen`.
    pub qlen: u32,
    /// `qstats.backlog`, in `pkt_len`.
    pub backlog: u32,
    /// `qstats.drops`.
    pub drops: u32,
    /// `qstats.overlimits`.
    pub overlimits: u32,
    /// `bstats`: packets that left.
    pub packets: u64,
    /// `bstats`: their bytes.
    pub bytes: u64,
    /// How often the device was asked to run the queue.
    pub scheduled: u32,
    /// When the watchdog will have it run.
    pub watchdog: Option<u64>,
}

/// Levers and gauges for tests.
pub mod testing {
    use alloc::boxed::Box;
    use core::cell::Cell;

    use super::{Qdisc, sk_buff};
    use crate::sch_generic;
    use crate::skbuff::SkBuff;

    std::thread_local! {
        pub(super) static BUFFERS: Cell<i64> = const { Cell::new(0) };
    }

    /// A new packet.
    #[must_use]
    pub fn packet(skb: sk_buff) -> SkBuff {
        // As a packet is that comes: in no list, and with anything in what is the qdisc's.
        let skb = sk_buff {
            next: None,
            private: 0xff,
            ..skb
        };
        BUFFERS.set(BUFFERS.get().wrapping_add(1));
        let raw = core::ptr::NonNull::from(Box::leak(Box::new(skb)));
        // SAFETY: it was just made as one, and nobody else has it.
        unsafe { SkBuff::from_raw(raw) }
    }

    /// A qdisc with nothing in it, as the core sees it.
    #[derive(Debug, Default)]
    pub struct Root(Box<Qdisc>);

    impl Root {
        /// Does something while the root is locked; who has it alone holds its lock.
        pub fn locked<T>(&mut self, work: impl FnOnce(&mut sch_generic::Qdisc) -> T) -> T {
            let raw = core::ptr::NonNull::from(&mut *self.0);
            // SAFETY: it lives as long as this is borrowed, by nobody else.
            let mut sch = unsafe { sch_generic::Qdisc::from_raw(raw) };
            work(&mut sch)
        }

        /// What the core counts.
        #[must_use]
        pub fn counts(&self) -> Qdisc {
            *self.0
        }

        /// `qdisc_reset`: what the core does beside the operation.
        pub fn reset(&mut self) {
            self.0.qlen = 0;
            self.0.backlog = 0;
        }
    }

    /// What a test made this packet as.
    #[must_use]
    pub fn look(skb: &SkBuff) -> sk_buff {
        // SAFETY: the invariant of the type.
        unsafe { *skb.as_raw().as_ref() }
    }

    /// Packets made on this thread and not freed on it.
    #[must_use]
    pub fn packets() -> i64 {
        BUFFERS.get()
    }
}

/// `skb->len`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
#[must_use]
pub unsafe fn skb_len(skb: NonNull<sk_buff>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { skb.as_ref() }.len
}

/// `skb->mark`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
#[must_use]
pub unsafe fn skb_mark(skb: NonNull<sk_buff>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { skb.as_ref() }.mark
}

/// `skb->next`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
#[must_use]
pub unsafe fn skb_next(skb: NonNull<sk_buff>) -> Option<NonNull<sk_buff>> {
    // SAFETY: the caller's promise.
    unsafe { skb.as_ref() }.next
}

/// `skb->next = next`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
pub unsafe fn skb_set_next(mut skb: NonNull<sk_buff>, next: Option<NonNull<sk_buff>>) {
    // SAFETY: the caller's promise.
    unsafe { skb.as_mut() }.next = next;
}

/// The first byte of `qdisc_skb_cb(skb)->data`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
#[must_use]
pub unsafe fn skb_private(skb: NonNull<sk_buff>) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { skb.as_ref() }.private
}

/// Sets it.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
pub unsafe fn skb_set_private(mut skb: NonNull<sk_buff>, value: u8) {
    // SAFETY: the caller's promise.
    unsafe { skb.as_mut() }.private = value;
}

/// `kfree_skb`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns, and gives up.
pub unsafe fn skb_free(skb: NonNull<sk_buff>) {
    testing::BUFFERS.set(testing::BUFFERS.get().wrapping_sub(1));
    // SAFETY: `testing::packet` made it from a box, and the caller gives it up.
    drop(unsafe { Box::from_raw(skb.as_ptr()) });
}

/// `sch->q.qlen++` and `qdisc_qstats_backlog_inc`.
///
/// # Safety
///
/// Both are alive and the lock of the qdisc's root is held; so in all functions below.
pub unsafe fn qdisc_enqueued(mut sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    let (sch, skb) = unsafe { (sch.as_mut(), skb.as_ref()) };
    sch.qlen = sch.qlen.wrapping_add(1);
    sch.backlog = sch.backlog.wrapping_add(skb.pkt_len);
}

/// `sch->q.qlen--` and `qdisc_qstats_backlog_dec`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
pub unsafe fn qdisc_not_enqueued(mut sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    let (sch, skb) = unsafe { (sch.as_mut(), skb.as_ref()) };
    sch.qlen = sch.qlen.wrapping_sub(1);
    sch.backlog = sch.backlog.wrapping_sub(skb.pkt_len);
}

/// `sch->q.qlen--`, `qdisc_qstats_backlog_dec` and, which in a kernel `glue.c` does when it has the
/// packet, `qdisc_bstats_update`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
pub unsafe fn qdisc_dequeued(mut sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    let (sch, skb) = unsafe { (sch.as_mut(), skb.as_ref()) };
    sch.qlen = sch.qlen.wrapping_sub(1);
    sch.backlog = sch.backlog.wrapping_sub(skb.pkt_len);
    sch.packets = sch.packets.wrapping_add(1);
    sch.bytes = sch.bytes.wrapping_add(skb.pkt_len.into());
}

/// `sch->q.qlen--`, `qdisc_qstats_backlog_dec`, `qdisc_qstats_drop` and `kfree_skb`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`]; `skb` is given up.
pub unsafe fn qdisc_drop_queued(mut sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    let (sch, dropped) = unsafe { (sch.as_mut(), skb.as_ref()) };
    sch.qlen = sch.qlen.wrapping_sub(1);
    sch.backlog = sch.backlog.wrapping_sub(dropped.pkt_len);
    sch.drops = sch.drops.wrapping_add(1);
    // SAFETY: the caller's promise.
    unsafe { skb_free(skb) };
}

/// `qdisc_qstats_overlimit`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
pub unsafe fn qdisc_overlimit(mut sch: NonNull<Qdisc>) {
    // SAFETY: the caller's promise.
    let sch = unsafe { sch.as_mut() };
    sch.overlimits = sch.overlimits.wrapping_add(1);
}

/// `netif_schedule_queue(sch->dev_queue)`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
pub unsafe fn qdisc_schedule(mut sch: NonNull<Qdisc>) {
    // SAFETY: the caller's promise.
    let sch = unsafe { sch.as_mut() };
    sch.scheduled = sch.scheduled.wrapping_add(1);
}

/// `qdisc_watchdog_schedule_ns`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
pub unsafe fn qdisc_watchdog(mut sch: NonNull<Qdisc>, expires: u64) {
    // SAFETY: the caller's promise.
    let sch = unsafe { sch.as_mut() };
    sch.watchdog = Some(expires);
}

/// `register_qdisc`: nobody asks for one here.
///
/// # Safety
///
/// Not registered already, and undone before the module goes.
pub unsafe fn register() -> c_int {
    0
}

/// `unregister_qdisc`.
///
/// # Safety
///
/// It is registered.
pub unsafe fn unregister() {}

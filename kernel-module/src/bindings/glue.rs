// SPDX-License-Identifier: GPL-2.0

//! The functions of `glue.c`: what is a static inline in C, or a macro, under a name of its own. What
//! happens to every packet is not called: `glue.c` says where the fields lie, and they are read here.
//! Stands for `rust/helpers/helpers.c`, and for the structures in upstream's generated `bindings`.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/net/pkt_sched.h`](srctree/include/net/pkt_sched.h)

use core::ffi::c_int;
use core::ptr::NonNull;

/// `struct sk_buff`, which only C looks into.
#[repr(C)]
#[derive(Debug)]
pub struct sk_buff {
    _opaque: [u8; 0],
}

/// `struct Qdisc`, which only C looks into.
#[repr(C)]
#[derive(Debug)]
pub struct Qdisc {
    _opaque: [u8; 0],
}

/// Where the fields lie in the kernel that this is linked for: `struct epochgate_layout`. All of them
/// are 32 bits wide but `skb->next` and the qdisc's own bytes in `skb->cb`, which `glue.c` asserts.
#[repr(C)]
struct Layout {
    skb_next: u32,
    skb_len: u32,
    skb_mark: u32,
    skb_pkt_len: u32,
    skb_private: u32,
    sch_qlen: u32,
    sch_backlog: u32,
}

mod c {
    use super::{Layout, Qdisc, c_int, sk_buff};

    unsafe extern "C" {
        pub(super) static epochgate_layout: Layout;
        pub(super) fn epochgate_skb_free(skb: *mut sk_buff);
        pub(super) fn epochgate_drop_queued(sch: *mut Qdisc, skb: *mut sk_buff);
        pub(super) fn epochgate_overlimit(sch: *mut Qdisc);
        pub(super) fn epochgate_schedule(sch: *mut Qdisc);
        pub(super) fn epochgate_watchdog(sch: *mut Qdisc, expires: u64);
        pub(super) fn epochgate_register() -> c_int;
        pub(super) fn epochgate_unregister();
    }
}

/// The field of an object of C that lies so many bytes behind its start.
///
/// # Safety
///
/// There is an `F` at that place, in the object that `object` points to.
#[inline]
unsafe fn field<T, F>(object: NonNull<T>, offset: u32) -> NonNull<F> {
    // CAST: `usize` is at least 32 bits wide.
    // SAFETY: the caller's promise; the object is a whole one.
    unsafe { object.cast::<u8>().add(offset as usize).cast() }
}

/// The layout, which is the same for good.
#[inline]
fn layout() -> &'static Layout {
    // SAFETY: `glue.c` has it as a constant.
    unsafe { &c::epochgate_layout }
}

/// `skb->len`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns; so in all functions with one below.
#[must_use]
#[inline]
pub unsafe fn skb_len(skb: NonNull<sk_buff>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { field(skb, layout().skb_len).read() }
}

/// `skb->mark`.
///
/// # Safety
///
/// As for [`skb_len`].
#[must_use]
#[inline]
pub unsafe fn skb_mark(skb: NonNull<sk_buff>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { field(skb, layout().skb_mark).read() }
}

/// `skb->next`.
///
/// # Safety
///
/// As for [`skb_len`].
#[must_use]
#[inline]
pub unsafe fn skb_next(skb: NonNull<sk_buff>) -> Option<NonNull<sk_buff>> {
    // SAFETY: the caller's promise.
    unsafe { field(skb, layout().skb_next).read() }
}

/// `skb->next = next`.
///
/// # Safety
///
/// As for [`skb_len`].
#[inline]
pub unsafe fn skb_set_next(skb: NonNull<sk_buff>, next: Option<NonNull<sk_buff>>) {
    // SAFETY: the caller's promise.
    unsafe { field(skb, layout().skb_next).write(next) };
}

/// The first byte of `qdisc_skb_cb(skb)->data`.
///
/// # Safety
///
/// As for [`skb_len`]; it was set since the packet came.
#[must_use]
#[inline]
pub unsafe fn skb_private(skb: NonNull<sk_buff>) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { field(skb, layout().skb_private).read() }
}

/// Sets it.
///
/// # Safety
///
/// As for [`skb_len`]; a qdisc has it.
#[inline]
pub unsafe fn skb_set_private(skb: NonNull<sk_buff>, value: u8) {
    // SAFETY: the caller's promise.
    unsafe { field(skb, layout().skb_private).write(value) };
}

/// `kfree_skb`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns, and gives up.
#[inline]
pub unsafe fn skb_free(skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_skb_free(skb.as_ptr()) };
}

/// `sch->q.qlen++` and `qdisc_qstats_backlog_inc`.
///
/// # Safety
///
/// Both are alive and the lock of the qdisc's root is held; so in all functions below.
#[inline]
pub unsafe fn qdisc_enqueued(sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe {
        let pkt_len: u32 = field(skb, layout().skb_pkt_len).read();
        let (qlen, backlog) = counts(sch);
        *qlen = qlen.wrapping_add(1);
        *backlog = backlog.wrapping_add(pkt_len);
    }
}

/// `sch->q.qlen--` and `qdisc_qstats_backlog_dec`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_not_enqueued(sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe {
        let pkt_len: u32 = field(skb, layout().skb_pkt_len).read();
        let (qlen, backlog) = counts(sch);
        *qlen = qlen.wrapping_sub(1);
        *backlog = backlog.wrapping_sub(pkt_len);
    }
}

/// `sch->q.qlen--` and `qdisc_qstats_backlog_dec`. What left (`qdisc_bstats_update`) `glue.c` counts
/// when it has the packet.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_dequeued(sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe { qdisc_not_enqueued(sch, skb) };
}

/// `sch->q.qlen` and `sch->qstats.backlog`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`], until the answer is gone.
#[inline]
unsafe fn counts<'a>(sch: NonNull<Qdisc>) -> (&'a mut u32, &'a mut u32) {
    // SAFETY: the caller's promise; they are two fields.
    unsafe {
        let mut qlen = field(sch, layout().sch_qlen);
        let mut backlog = field(sch, layout().sch_backlog);
        (qlen.as_mut(), backlog.as_mut())
    }
}

/// `sch->q.qlen--`, `qdisc_qstats_backlog_dec`, `qdisc_qstats_drop` and `kfree_skb`; parents are told
/// when the operation is over.
///
/// # Safety
///
/// As for [`qdisc_enqueued`]; `skb` is given up.
#[inline]
pub unsafe fn qdisc_drop_queued(sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_drop_queued(sch.as_ptr(), skb.as_ptr()) };
}

/// `qdisc_qstats_overlimit`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_overlimit(sch: NonNull<Qdisc>) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_overlimit(sch.as_ptr()) };
}

/// `netif_schedule_queue(sch->dev_queue)`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_schedule(sch: NonNull<Qdisc>) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_schedule(sch.as_ptr()) };
}

/// `qdisc_watchdog_schedule_ns`: a dequeue will be tried at that time.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_watchdog(sch: NonNull<Qdisc>, expires: u64) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_watchdog(sch.as_ptr(), expires) };
}

/// `register_qdisc`: 0, or a negative errno.
///
/// # Safety
///
/// Not registered already, and undone before the module goes.
pub unsafe fn register() -> c_int {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_register() }
}

/// `unregister_qdisc`.
///
/// # Safety
///
/// It is registered.
pub unsafe fn unregister() {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_unregister() };
}

// SPDX-License-Identifier: GPL-2.0

//! The functions of `glue.c`: what is a static inline in C, or a macro, under a name of its own.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/net/pkt_sched.h`](srctree/include/net/pkt_sched.h)

use core::ffi::{c_char, c_void};
use core::ptr::NonNull;

use super::Level;
use crate::alloc::Flags;

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

mod c {
    use super::{Qdisc, c_char, c_void, sk_buff};

    unsafe extern "C" {
        pub(super) fn epochgate_kmalloc(bytes: usize, atomic: u32) -> *mut c_void;
        pub(super) fn epochgate_kfree(memory: *mut c_void);
        pub(super) fn epochgate_print(warn: u32, text: *const c_char);
        pub(super) fn epochgate_skb_len(skb: *const sk_buff) -> u32;
        pub(super) fn epochgate_skb_mark(skb: *const sk_buff) -> u32;
        pub(super) fn epochgate_skb_free(skb: *mut sk_buff);
        pub(super) fn epochgate_enqueued(sch: *mut Qdisc, skb: *mut sk_buff);
        pub(super) fn epochgate_not_enqueued(sch: *mut Qdisc, skb: *mut sk_buff);
        pub(super) fn epochgate_dequeued(sch: *mut Qdisc, skb: *mut sk_buff);
        pub(super) fn epochgate_drop_queued(sch: *mut Qdisc, skb: *mut sk_buff);
        pub(super) fn epochgate_overlimit(sch: *mut Qdisc);
        pub(super) fn epochgate_schedule(sch: *mut Qdisc);
        pub(super) fn epochgate_watchdog(sch: *mut Qdisc, expires: u64);
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

/// `skb->len`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
#[must_use]
#[inline]
pub unsafe fn skb_len(skb: NonNull<sk_buff>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_skb_len(skb.as_ptr()) }
}

/// `skb->mark`.
///
/// # Safety
///
/// `skb` is a packet that the caller owns.
#[must_use]
#[inline]
pub unsafe fn skb_mark(skb: NonNull<sk_buff>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_skb_mark(skb.as_ptr()) }
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
    unsafe { c::epochgate_enqueued(sch.as_ptr(), skb.as_ptr()) };
}

/// `sch->q.qlen--` and `qdisc_qstats_backlog_dec`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_not_enqueued(sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_not_enqueued(sch.as_ptr(), skb.as_ptr()) };
}

/// `sch->q.qlen--`, `qdisc_qstats_backlog_dec` and `qdisc_bstats_update`.
///
/// # Safety
///
/// As for [`qdisc_enqueued`].
#[inline]
pub unsafe fn qdisc_dequeued(sch: NonNull<Qdisc>, skb: NonNull<sk_buff>) {
    // SAFETY: the caller's promise.
    unsafe { c::epochgate_dequeued(sch.as_ptr(), skb.as_ptr()) };
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

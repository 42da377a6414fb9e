// SPDX-License-Identifier: GPL-2.0

//! A queueing discipline as a trait, and what C calls.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h) (`struct Qdisc_ops`)
//!
//! [`Adapter`] has one function for each operation of `Qdisc_ops`, with pointers as C has them;
//! `glue.c` calls them by the names of [`exports`].

#![expect(
    unsafe_code,
    reason = "C hands over the qdisc's own memory and packets as pointers"
)]

#[cfg(test)]
mod tests;

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::slice;

use crate::bindings;
use crate::sch_generic;
use crate::skbuff::SkBuff;
use kernel::error::code;
use kernel::error::from_result;
use kernel::prelude::Result;

use crate::netlink::Writer;

/// What the device and the way of loading decide about a new qdisc.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// `tx_queue_len` of the device times `psched_mtu`: the limit of a plug that is told none.
    pub device_limit: u64,
    /// Whether the module stands in for `sch_plug`.
    pub is_plug: u32,
}

/// A queueing discipline. The lock of the root is held in all of it; `now` is a monotonic clock in
/// nanoseconds.
pub trait Qdisc: Sized {
    /// `init`: `options` is the value of `TCA_OPTIONS`, if there was one.
    ///
    /// # Errors
    ///
    /// Any; nothing of it stays.
    fn init(circumstances: Circumstances, options: Option<&[u8]>, now: u64) -> Result<Self>;

    /// `change`.
    ///
    /// # Errors
    ///
    /// Any; nothing has changed then.
    fn change(&mut self, sch: &mut sch_generic::Qdisc, options: &[u8], now: u64) -> Result;

    /// `enqueue`: `class` is what filters chose, 0 for nothing.
    ///
    /// # Errors
    ///
    /// The packet, for the caller to drop and count.
    fn enqueue(
        &mut self,
        sch: &mut sch_generic::Qdisc,
        skb: SkBuff,
        class: u32,
        now: u64,
    ) -> Result<(), SkBuff>;

    /// `peek`: what [`Qdisc::dequeue`] would give now. Changes nothing that can be seen.
    fn peek(&self) -> Option<&SkBuff>;

    /// `dequeue`.
    fn dequeue(&mut self, sch: &mut sch_generic::Qdisc, now: u64) -> Option<SkBuff>;

    /// `reset`: all packets are lost. The core sets the length and backlog to zero itself.
    fn reset(&mut self);

    /// `dump`: the attributes in `TCA_OPTIONS`.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`.
    fn dump(&self, to: &mut Writer<'_>, now: u64) -> Result;
}

/// The functions for C. `state` is memory of the size and alignment of a `T` that belongs to the
/// qdisc; it holds one from a successful `init` to `destroy`, and no other function may be called
/// outside of that time.
#[derive(Debug)]
pub struct Adapter<T>(PhantomData<T>);

impl<T: Qdisc> Adapter<T> {
    /// Makes the state.
    ///
    /// # Safety
    ///
    /// `state` is free; `options` is null or points to `length` bytes.
    pub unsafe fn init(
        state: NonNull<T>,
        circumstances: Circumstances,
        options: *const u8,
        length: usize,
        now: u64,
    ) -> c_int {
        // SAFETY: the caller's promise.
        let options = unsafe { bytes(options, length) };
        match T::init(circumstances, options, now) {
            Ok(made) => {
                // SAFETY: the memory is free and large enough.
                unsafe { state.write(made) };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// Drops the state, and with it all packets that are left.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`, which is used no more.
    pub unsafe fn destroy(state: NonNull<T>) {
        // SAFETY: the caller's promise.
        unsafe { ptr::drop_in_place(state.as_ptr()) };
    }

    /// Carries out a request.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`; the root of `sch` is locked; `options` points to `length` bytes.
    pub unsafe fn change(
        mut state: NonNull<T>,
        sch: NonNull<bindings::Qdisc>,
        options: *const u8,
        length: usize,
        now: u64,
    ) -> c_int {
        // SAFETY: the caller's promise, for all three.
        let (this, mut sch, options) = unsafe {
            let sch = sch_generic::Qdisc::from_raw(sch);
            (state.as_mut(), sch, bytes(options, length))
        };
        match options {
            Some(options) => from_result(|| this.change(&mut sch, options, now).map(|()| 0)),
            None => code::EINVAL.to_errno(),
        }
    }

    /// Takes a packet: true if it is in the queue, false if it stays the caller's.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`; the root of `sch` is locked; the caller owns `skb`.
    #[inline]
    pub unsafe fn enqueue(
        mut state: NonNull<T>,
        sch: NonNull<bindings::Qdisc>,
        skb: NonNull<bindings::sk_buff>,
        class: u32,
        now: u64,
    ) -> bool {
        // SAFETY: the caller's promise, for all three.
        let (this, mut sch, skb) = unsafe {
            let sch = sch_generic::Qdisc::from_raw(sch);
            (state.as_mut(), sch, SkBuff::from_raw(skb))
        };
        match this.enqueue(&mut sch, skb, class, now) {
            Ok(()) => true,
            Err(skb) => {
                let _the_callers = skb.into_raw();
                false
            }
        }
    }

    /// Gives a packet away, or null.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`; the root of `sch` is locked.
    #[inline]
    pub unsafe fn dequeue(
        mut state: NonNull<T>,
        sch: NonNull<bindings::Qdisc>,
        now: u64,
    ) -> *mut bindings::sk_buff {
        // SAFETY: the caller's promise, for both.
        let (this, mut sch) = unsafe { (state.as_mut(), sch_generic::Qdisc::from_raw(sch)) };
        let packet = this.dequeue(&mut sch, now);
        packet.map_or(ptr::null_mut(), |skb| skb.into_raw().as_ptr())
    }

    /// Shows the packet that comes next, or null.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`, whose root is locked.
    pub unsafe fn peek(state: NonNull<T>) -> *mut bindings::sk_buff {
        // SAFETY: the caller's promise.
        let this = unsafe { state.as_ref() };
        this.peek()
            .map_or(ptr::null_mut(), |skb| skb.as_raw().as_ptr())
    }

    /// Drops all packets.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`, whose root is locked.
    pub unsafe fn reset(mut state: NonNull<T>) {
        // SAFETY: the caller's promise.
        unsafe { state.as_mut() }.reset();
    }

    /// Writes the attributes into `to`, and says how many bytes they are, or why not.
    ///
    /// # Safety
    ///
    /// `state` holds a `T`, whose root is locked; there are `room` bytes at `to`.
    pub unsafe fn dump(state: NonNull<T>, to: NonNull<u8>, room: usize, now: u64) -> c_int {
        // SAFETY: the caller's promise, for both.
        let (this, bytes) = unsafe {
            let bytes = slice::from_raw_parts_mut(to.as_ptr(), room);
            (state.as_ref(), bytes)
        };
        let mut writer = Writer::new(bytes);
        match this.dump(&mut writer, now) {
            Ok(()) => c_int::try_from(writer.len()).unwrap_or_else(|_| code::EMSGSIZE.to_errno()),
            Err(error) => error.to_errno(),
        }
    }
}

/// # Safety
///
/// `from` is null or points to `length` bytes, which stay as they are for the time of the call.
unsafe fn bytes<'a>(from: *const u8, length: usize) -> Option<&'a [u8]> {
    if from.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { slice::from_raw_parts(from, length) })
}

/// The names that `glue.c` knows.
pub mod exports {
    use super::{Adapter, Circumstances, NonNull, bindings, c_int, c_void};
    use crate::sch_epochgate::EpochGate;

    type This = Adapter<EpochGate>;

    /// Bytes of the state, which C puts where a `u64` may stand.
    #[unsafe(no_mangle)]
    pub extern "C" fn epochgate_rs_size() -> usize {
        const { assert!(align_of::<EpochGate>() <= align_of::<u64>()) };
        size_of::<EpochGate>()
    }

    /// [`Adapter::init`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_init(
        state: NonNull<c_void>,
        circumstances: &Circumstances,
        options: *const u8,
        length: usize,
        now: u64,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { This::init(state.cast(), *circumstances, options, length, now) }
    }

    /// [`Adapter::destroy`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_destroy(state: NonNull<c_void>) {
        // SAFETY: the caller's promise.
        unsafe { This::destroy(state.cast()) };
    }

    /// [`Adapter::change`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_change(
        state: NonNull<c_void>,
        sch: NonNull<bindings::Qdisc>,
        options: *const u8,
        length: usize,
        now: u64,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { This::change(state.cast(), sch, options, length, now) }
    }

    /// [`Adapter::enqueue`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_enqueue(
        state: NonNull<c_void>,
        sch: NonNull<bindings::Qdisc>,
        skb: NonNull<bindings::sk_buff>,
        class: u32,
        now: u64,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe { This::enqueue(state.cast(), sch, skb, class, now) }
    }

    /// [`Adapter::dequeue`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_dequeue(
        state: NonNull<c_void>,
        sch: NonNull<bindings::Qdisc>,
        now: u64,
    ) -> *mut bindings::sk_buff {
        // SAFETY: the caller's promise.
        unsafe { This::dequeue(state.cast(), sch, now) }
    }

    /// [`Adapter::peek`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_peek(state: NonNull<c_void>) -> *mut bindings::sk_buff {
        // SAFETY: the caller's promise.
        unsafe { This::peek(state.cast()) }
    }

    /// [`Adapter::reset`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_reset(state: NonNull<c_void>) {
        // SAFETY: the caller's promise.
        unsafe { This::reset(state.cast()) };
    }

    /// [`Adapter::dump`].
    ///
    /// # Safety
    ///
    /// That of the function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn epochgate_rs_dump(
        state: NonNull<c_void>,
        to: NonNull<u8>,
        room: usize,
        now: u64,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { This::dump(state.cast(), to, room, now) }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! The functions for C, called as C calls them.
//!
//! C headers: none

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use super::{Circumstances, exports};
use crate::bindings::{Qdisc, sk_buff, testing};
use crate::sch_epochgate::EpochGate;
use crate::skbuff::SkBuff;
use alloc::boxed::Box;
use core::mem::MaybeUninit;

/// A qdisc with its state, as the core of the qdisc layer has them.
struct Core {
    state: NonNull<c_void>,
    sch: NonNull<Qdisc>,
}

impl Core {
    fn new() -> Self {
        let state = Box::leak(Box::new(MaybeUninit::<EpochGate>::uninit()));
        Self {
            state: NonNull::from(state).cast(),
            sch: NonNull::from(Box::leak(Box::default())),
        }
    }

    fn counts(&self) -> Qdisc {
        // SAFETY: it was leaked in `new` and is freed in `drop`.
        unsafe { *self.sch.as_ref() }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: both were leaked in `new`, as these types.
        unsafe {
            drop(Box::from_raw(
                self.state.cast::<MaybeUninit<EpochGate>>().as_ptr(),
            ));
            drop(Box::from_raw(self.sch.as_ptr()));
        }
    }
}

const PLUG: Circumstances = Circumstances {
    device_limit: 250,
    is_plug: 1,
};

#[test]
fn c_makes_drives_and_destroys_it() {
    let before = testing::packets();
    let core = Core::new();
    let (state, sch) = (core.state, core.sch);
    // SAFETY: the memory is free.
    let done = unsafe { exports::epochgate_rs_init(state, &PLUG, ptr::null(), 0, 1) };
    assert_eq!(done, 0);
    for id in 0..3 {
        let skb = testing::packet(sk_buff {
            id,
            len: 100,
            pkt_len: 100,
            ..sk_buff::default()
        });
        let skb = skb.into_raw();
        // SAFETY: the state was made, nobody else has the qdisc, and the packet is given up.
        let taken = unsafe { exports::epochgate_rs_enqueue(state, sch, skb, 0, 1) };
        assert_eq!(taken, id < 2, "the limit is that of the device");
        if !taken {
            // SAFETY: it stayed ours.
            drop(unsafe { SkBuff::from_raw(skb) });
        }
    }
    assert_eq!((core.counts().qlen, core.counts().overlimits), (2, 1));
    for action in [0_u32, 1, 7] {
        let options = [action.to_ne_bytes(), [0; 4]].concat();
        // SAFETY: the state was made, nobody else has the qdisc, the options are there.
        let done =
            unsafe { exports::epochgate_rs_change(state, sch, options.as_ptr(), options.len(), 1) };
        assert_eq!(done, if action == 7 { -22 } else { 0 });
    }
    // SAFETY: the state was made, and nobody else has it.
    let shown = unsafe { exports::epochgate_rs_peek(state) };
    // SAFETY: the state was made, and nobody else has the qdisc.
    let given = unsafe { exports::epochgate_rs_dequeue(state, sch, 1) };
    assert_eq!(shown, given);
    // SAFETY: it was given away.
    drop(unsafe { SkBuff::from_raw(NonNull::new(given).unwrap()) });
    let mut room = [0_u8; crate::netlink::LONGEST];
    let length = {
        let to = NonNull::from(&mut room).cast();
        // SAFETY: the state was made, and the room is there.
        unsafe { exports::epochgate_rs_dump(state, to, room.len(), 1) }
    };
    assert!(length > 100, "{length}");
    let to = NonNull::from(&mut room).cast();
    // SAFETY: as above, with less room than there is.
    let too_little = unsafe { exports::epochgate_rs_dump(state, to, 40, 1) };
    assert_eq!(too_little, -90);
    // SAFETY: the state was made, and is used no more.
    unsafe { exports::epochgate_rs_destroy(state) };
    assert_eq!(testing::packets(), before, "what it held is freed with it");
}

#[test]
fn what_is_not_made_needs_no_end() {
    let core = Core::new();
    let wrong = [1_u8, 2, 3];
    // SAFETY: the memory is free, the options are there.
    let done =
        unsafe { exports::epochgate_rs_init(core.state, &PLUG, wrong.as_ptr(), wrong.len(), 1) };
    assert_eq!(done, -22);
}

// SPDX-License-Identifier: GPL-2.0

//! Packets one behind the other, linked by themselves: the list takes no memory. Upstream has none
//! yet; it is `struct qdisc_skb_head`, with an owner.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

#![expect(unsafe_code, reason = "packets are linked by pointers of their own")]

use core::fmt;
use core::ptr::NonNull;

use super::SkBuff;
use crate::bindings;

/// A first-in, first-out list of packets.
///
/// # Invariants
///
/// `head` and what follows it by `skb->next` are `len` packets, all of which the list owns; `tail` is
/// the last of them, whose `next` is null. Without packets both are `None`.
#[derive(Default)]
pub struct SkBuffList {
    head: Option<SkBuff>,
    tail: Option<NonNull<bindings::sk_buff>>,
    len: usize,
}

// SAFETY: packets belong to no thread, and the list owns all that it points to.
unsafe impl Send for SkBuffList {}

impl SkBuffList {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        // INVARIANT: no packets.
        Self {
            head: None,
            tail: None,
            len: 0,
        }
    }

    /// Packets in the list.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first packet.
    #[must_use]
    #[inline]
    pub const fn front(&self) -> Option<&SkBuff> {
        self.head.as_ref()
    }

    /// Puts a packet behind all others.
    #[inline]
    pub fn push_back(&mut self, skb: SkBuff) {
        let raw = skb.as_raw();
        // SAFETY: `skb` is owned.
        unsafe { bindings::skb_set_next(raw, None) };
        match self.tail {
            // SAFETY: the list owns its last packet.
            Some(tail) => unsafe { bindings::skb_set_next(tail, Some(skb.into_raw())) },
            None => self.head = Some(skb),
        }
        // INVARIANT: one packet more, which is the last, behind the one that was.
        self.tail = Some(raw);
        self.len = self.len.wrapping_add(1);
    }

    /// Takes the first packet.
    #[inline]
    pub fn pop_front(&mut self) -> Option<SkBuff> {
        let skb = self.head.take()?;
        let raw = skb.as_raw();
        // SAFETY: it is owned, and the one that follows was the list's.
        self.head = unsafe {
            let next = bindings::skb_next(raw);
            bindings::skb_set_next(raw, None);
            next.map(|next| SkBuff::from_raw(next))
        };
        // INVARIANT: what followed is the first now, and without it there is no last.
        if self.head.is_none() {
            self.tail = None;
        }
        self.len = self.len.wrapping_sub(1);
        Some(skb)
    }

    /// Takes all packets but the first `at`. Walks over those.
    #[must_use]
    #[inline]
    pub fn split_off(&mut self, at: usize) -> Self {
        if at >= self.len {
            return Self::new();
        }
        let Some(last) = at.checked_sub(1).and_then(|before| self.nth(before)) else {
            return core::mem::take(self);
        };
        // SAFETY: the list owns the packet, and what follows.
        let head = unsafe {
            let next = bindings::skb_next(last);
            bindings::skb_set_next(last, None);
            next.map(|next| SkBuff::from_raw(next))
        };
        // INVARIANT: the chain is cut behind its first `at` packets, and each end is somebody's tail.
        let rest = Self {
            head,
            tail: self.tail,
            len: self.len.wrapping_sub(at),
        };
        self.tail = Some(last);
        self.len = at;
        rest
    }

    /// Sets what the qdisc remembers ([`SkBuff::set_private`]) of all packets but the first `from`.
    #[inline]
    pub fn set_private(&mut self, from: usize, value: u8) {
        let mut next = self.nth(from);
        while let Some(skb) = next {
            // SAFETY: the list owns the packet, and what follows.
            next = unsafe {
                bindings::skb_set_private(skb, value);
                bindings::skb_next(skb)
            };
        }
    }

    /// The packet behind so many others.
    #[inline]
    fn nth(&self, offset: usize) -> Option<NonNull<bindings::sk_buff>> {
        let mut next = self.head.as_ref().map(SkBuff::as_raw);
        for _ in 0..offset {
            // SAFETY: the list owns the packet.
            next = unsafe { bindings::skb_next(next?) };
        }
        next
    }
}

impl Drop for SkBuffList {
    #[inline]
    fn drop(&mut self) {
        while let Some(skb) = self.pop_front() {
            drop(skb);
        }
    }
}

impl fmt::Debug for SkBuffList {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkBuffList")
            .field("len", &self.len)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::SkBuffList;
    use crate::bindings::{sk_buff, testing};
    use crate::skbuff::SkBuff;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Pop,
        Split(usize),
        Remember(usize, u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => Just(Step::Push),
            3 => Just(Step::Pop),
            1 => (0_usize..12).prop_map(Step::Split),
            1 => (0_usize..12, any::<u8>()).prop_map(|(from, value)| Step::Remember(from, value)),
        ];
        proptest::collection::vec(step, 0..60)
    }

    fn packet(id: u64) -> SkBuff {
        let mut skb = testing::packet(sk_buff {
            id,
            ..sk_buff::default()
        });
        skb.set_private(0);
        skb
    }

    fn seen(skb: &SkBuff) -> (u64, u8) {
        (testing::look(skb).id, skb.private())
    }

    proptest! {
        #[test]
        fn it_is_a_queue_that_owns_its_packets(steps in steps()) {
            let before = testing::packets();
            let mut list = SkBuffList::new();
            let mut expected: VecDeque<(u64, u8)> = VecDeque::new();
            for (id, step) in (0..).zip(steps) {
                match step {
                    Step::Push => {
                        list.push_back(packet(id));
                        expected.push_back((id, 0));
                    }
                    Step::Pop => {
                        let skb = list.pop_front();
                        assert_eq!(skb.as_ref().map(seen), expected.pop_front());
                        assert!(skb.is_none_or(|skb| testing::look(&skb).next.is_none()));
                    }
                    Step::Split(at) => {
                        let mut rest = list.split_off(at);
                        let lost = expected.split_off(at.min(expected.len()));
                        assert_eq!(rest.len(), lost.len());
                        let rest = core::iter::from_fn(|| rest.pop_front().map(|skb| seen(&skb)));
                        assert!(rest.eq(lost));
                    }
                    Step::Remember(from, value) => {
                        list.set_private(from, value);
                        expected.iter_mut().skip(from).for_each(|(_, own)| *own = value);
                    }
                }
                assert_eq!(list.front().map(seen), expected.front().copied());
                assert_eq!((list.len(), list.is_empty()), (expected.len(), expected.is_empty()));
            }
            let held = i64::try_from(list.len()).unwrap();
            assert_eq!(testing::packets().checked_sub(before), Some(held));
            drop(list);
            assert_eq!(testing::packets(), before);
        }
    }
}

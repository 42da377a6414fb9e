// SPDX-License-Identifier: GPL-2.0

//! A first-in, first-out queue over a ring of slots, in which every entry has a position for life.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/linux/circ_buf.h`](srctree/include/linux/circ_buf.h)
//!
//! Where `sk_buff_head` chains packets by pointers, this counts positions: the first entry ever
//! has position 0, and a place in the queue can be remembered as a number that no purge of the
//! queue makes wrong. The ring grows by doubling, and growing may fail.

use alloc::vec::Vec;

/// Slots of the first ring that is allocated. A power of two.
const FIRST_RING: usize = 16;

/// A queue of at most `max` entries.
///
/// # Invariants
///
/// The number of slots is zero or a power of two; slots `head .. head + len`, modulo their number,
/// are full and all others are empty.
#[derive(Debug)]
pub struct Queue<T> {
    slots: Vec<Option<T>>,
    head: usize,
    len: usize,
    first: u64,
    max: usize,
}

/// `-ENOMEM` or the queue's own maximum; the entry comes back.
#[derive(Debug)]
pub struct Full<T>(pub T);

impl<T> Queue<T> {
    /// An empty queue. Allocates nothing.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        // INVARIANT: no slots, none of them full.
        Self {
            slots: Vec::new(),
            head: 0,
            len: 0,
            first: 0,
            max,
        }
    }

    /// Entries in the queue.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The position of the first entry, or of the next one to come if there is none.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The position that the next entry will have.
    #[must_use]
    pub const fn end(&self) -> u64 {
        // CAST: `usize` is at most 64 bits wide. The sum counts entries ever queued.
        self.first.wrapping_add(self.len as u64)
    }

    /// The slot of the entry that stands `offset` behind the first. With no slots at all any
    /// number does: `get` finds nothing there.
    const fn slot(&self, offset: usize) -> usize {
        self.head.wrapping_add(offset) & self.slots.len().wrapping_sub(1)
    }

    /// The first entry.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last entry.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The entry that stands `offset` behind the first.
    #[must_use]
    pub fn get(&self, offset: usize) -> Option<&T> {
        if offset >= self.len {
            return None;
        }
        self.slots.get(self.slot(offset))?.as_ref()
    }

    /// Queues an entry behind all others.
    ///
    /// # Errors
    ///
    /// [`Full`] if the maximum is reached or no memory can be had; nothing has changed then.
    pub fn push_back(&mut self, entry: T) -> Result<(), Full<T>> {
        if self.len >= self.max || (self.len == self.slots.len() && self.grow().is_none()) {
            return Err(Full(entry));
        }
        let slot = self.slot(self.len);
        match self.slots.get_mut(slot) {
            // INVARIANT: the slot behind the last full one is filled, and `len` says so.
            Some(empty) => {
                *empty = Some(entry);
                self.len = self.len.wrapping_add(1);
                Ok(())
            }
            None => Err(Full(entry)),
        }
    }

    /// Takes the first entry.
    pub fn pop_front(&mut self) -> Option<T> {
        let entry = self.slots.get_mut(self.head)?.take()?;
        // INVARIANT: the slot is empty now and no longer counted.
        self.head = self.slot(1);
        self.len = self.len.wrapping_sub(1);
        self.first = self.first.wrapping_add(1);
        Some(entry)
    }

    /// Takes the last entry. Its position will be that of the next one.
    pub fn pop_back(&mut self) -> Option<T> {
        let slot = self.slot(self.len.checked_sub(1)?);
        let entry = self.slots.get_mut(slot)?.take()?;
        // INVARIANT: the slot is empty now and no longer counted.
        self.len = self.len.wrapping_sub(1);
        Some(entry)
    }

    /// Memory for `size` slots, if it can be had.
    fn ring(size: usize) -> Option<Vec<Option<T>>> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(size).ok()?;
        Some(slots)
    }

    /// Moves everything to a ring twice the size.
    fn grow(&mut self) -> Option<()> {
        let size = self.slots.len().checked_mul(2)?.max(FIRST_RING);
        // What follows stays within the memory had here, so the growing that `Vec` would do, and
        // its way of failing, are never reached. Not known to the compiler: one symbol for it
        // remains until `KVec::push_within_capacity` takes the place of `push`.
        let mut slots = Self::ring(size)?;
        for offset in 0..self.len {
            let slot = self.slot(offset);
            slots.push(self.slots.get_mut(slot).and_then(Option::take));
        }
        slots.resize_with(size, || None);
        // INVARIANT: `size` is twice a power of two, or one itself; slots `0 .. len` are full.
        self.slots = slots;
        self.head = 0;
        Some(())
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an overflow in a test is a failed test"
)]
mod tests {
    use super::{FIRST_RING, Full, Queue};
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        PushBack,
        PopFront,
        PopBack,
        Get(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::PushBack),
            2 => Just(Step::PopFront),
            1 => Just(Step::PopBack),
            1 => (0_usize..40).prop_map(Step::Get),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_is_a_bounded_queue_with_positions(steps in steps(), max in 0_usize..80) {
            let mut queue = Queue::new(max);
            let mut expected = VecDeque::new();
            let (mut pushed, mut popped) = (0_u64, 0_u64);
            for step in steps {
                match step {
                    Step::PushBack => {
                        let full = expected.len() == max;
                        assert_eq!(queue.push_back(pushed).is_err(), full);
                        if !full {
                            expected.push_back(pushed);
                            pushed += 1;
                        }
                    }
                    Step::PopFront => {
                        let entry = expected.pop_front();
                        popped += u64::from(entry.is_some());
                        assert_eq!(queue.pop_front(), entry);
                    }
                    Step::PopBack => {
                        let entry = expected.pop_back();
                        pushed -= u64::from(entry.is_some());
                        assert_eq!(queue.pop_back(), entry);
                    }
                    Step::Get(offset) => assert_eq!(queue.get(offset), expected.get(offset)),
                }
                assert_eq!(queue.front(), expected.front());
                assert_eq!(queue.back(), expected.back());
                assert_eq!((queue.len(), queue.is_empty()), (expected.len(), expected.is_empty()));
                assert_eq!((queue.first(), queue.end()), (popped, pushed));
            }
        }

        #[test]
        fn an_entry_that_is_not_taken_comes_back(entry in any::<u32>()) {
            let Err(Full(back)) = Queue::new(0).push_back(entry) else {
                panic!("a queue of none took one");
            };
            assert_eq!(back, entry);
        }
    }

    #[test]
    fn memory_that_can_not_be_had_is_no_panic() {
        assert!(Queue::<u64>::ring(usize::MAX >> 1).is_none());
        assert!(Queue::<u64>::ring(FIRST_RING).is_some());
    }
}

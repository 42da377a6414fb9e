// SPDX-License-Identifier: GPL-2.0

//! A first-in, first-out queue in blocks of memory, in which every entry has a position for life: that
//! of the epochs in flight. Packets need none, since they are linked by themselves.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/linux/slab.h`](srctree/include/linux/slab.h)
//!
//! Where `sk_buff_head` chains packets by pointers, this counts positions: the first entry ever
//! has position 0, and a place in the queue can be remembered as a number that no purge of the
//! queue makes wrong. Entries lie in blocks of about a page, since under a lock one page can be had
//! where many in a row can't. Growing may fail.

mod ring;

use kernel::prelude::{GFP_ATOMIC, KVec};

use ring::Ring;

/// Entries of a block, as a power of two: 128 entries of 32 bytes are a page.
const SHIFT: u32 = 7;
const BLOCK: usize = 1 << SHIFT;
const MASK: usize = BLOCK.wrapping_sub(1);

/// A queue of at most `max` entries.
///
/// # Invariants
///
/// All blocks but the last hold [`BLOCK`] entries, the last one at least one. In the first block the
/// first `head` of them have been taken, and all others there, and everywhere else, are `Some`.
/// `len` is how many those are.
#[derive(Debug)]
pub struct Queue<T> {
    blocks: Ring<KVec<Option<T>>>,
    /// A block that was emptied, for the next one that is needed.
    spare: Option<KVec<Option<T>>>,
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
        // INVARIANT: no blocks, no entries.
        Self {
            blocks: Ring::new(),
            spare: None,
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

    /// Sets the most entries. What is there stays.
    pub const fn set_max(&mut self, max: usize) {
        self.max = max;
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
        let place = self.place(offset)?;
        let block = self.blocks.get(place >> SHIFT)?;
        block.get(place & MASK)?.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, offset: usize) -> Option<&mut T> {
        let place = self.place(offset)?;
        let block = self.blocks.get_mut(place >> SHIFT)?;
        block.get_mut(place & MASK)?.as_mut()
    }

    /// Where an entry lies, counted from the start of the first block.
    const fn place(&self, offset: usize) -> Option<usize> {
        if offset < self.len {
            Some(self.head.wrapping_add(offset))
        } else {
            None
        }
    }

    /// Queues an entry behind all others.
    ///
    /// # Errors
    ///
    /// [`Full`] if the maximum is reached or no memory can be had; nothing has changed then.
    pub fn push_back(&mut self, entry: T) -> Result<(), Full<T>> {
        if self.len >= self.max {
            return Err(Full(entry));
        }
        let entry = match self.blocks.back_mut() {
            // INVARIANT: the last block has one entry more.
            Some(block) => match block.push_within_capacity(Some(entry)) {
                Ok(()) => {
                    self.len = self.len.wrapping_add(1);
                    return Ok(());
                }
                Err(back) => back.0,
            },
            None => Some(entry),
        };
        match self.push_block(entry) {
            Ok(()) => {
                self.len = self.len.wrapping_add(1);
                Ok(())
            }
            // It went in as `Some` and comes back as it was.
            Err(Some(entry)) => Err(Full(entry)),
            Err(None) => Ok(()),
        }
    }

    /// A new last block with this one entry.
    #[cold]
    fn push_block(&mut self, entry: Option<T>) -> Result<(), Option<T>> {
        let block = match self.spare.take() {
            Some(block) => Some(block),
            None => KVec::with_capacity(BLOCK, GFP_ATOMIC).ok(),
        };
        let Some(mut block) = block else {
            return Err(entry);
        };
        if let Err(back) = block.push_within_capacity(entry) {
            return Err(back.0);
        }
        // INVARIANT: the block before is full, or this is the first and nothing of it is taken.
        match self.blocks.push_back(block) {
            Ok(()) => Ok(()),
            Err(Full(mut block)) => {
                let entry = block.pop().flatten();
                self.spare = Some(block);
                Err(entry)
            }
        }
    }

    /// Takes the first entry.
    pub fn pop_front(&mut self) -> Option<T> {
        let head = self.head;
        let block = self.blocks.get_mut(0)?;
        let entry = block.get_mut(head)?.take()?;
        let used_up = head.wrapping_add(1) == block.len();
        // INVARIANT: one more entry of the first block is taken; if it was the last, the block goes.
        self.head = head.wrapping_add(1);
        self.len = self.len.wrapping_sub(1);
        self.first = self.first.wrapping_add(1);
        if used_up {
            let block = self.blocks.pop_front();
            self.retire(block);
            self.head = 0;
        }
        Some(entry)
    }

    /// Takes the last entry. Its position will be that of the next one.
    pub fn pop_back(&mut self) -> Option<T> {
        self.len.checked_sub(1)?;
        let only = self.blocks.len() == 1;
        let head = self.head;
        let block = self.blocks.back_mut()?;
        let entry = block.pop()??;
        let used_up = block.is_empty() || (only && block.len() == head);
        // INVARIANT: the last block has one entry less; if none is left to be taken, the block goes.
        self.len = self.len.wrapping_sub(1);
        if used_up {
            let block = self.blocks.pop_back();
            self.retire(block);
            if only {
                self.head = 0;
            }
        }
        Some(entry)
    }

    /// Keeps one block for later; others are freed.
    fn retire(&mut self, block: Option<KVec<Option<T>>>) {
        if let (None, Some(mut block)) = (&self.spare, block) {
            block.clear();
            self.spare = Some(block);
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an overflow in a test is a failed test"
)]
mod tests {
    use super::{BLOCK, Full, Queue};
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use kernel::bindings::testing;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        PushBack(usize),
        PopFront(usize),
        PopBack(usize),
        Get(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Long runs, so that blocks fill up, run empty and come back.
        let run = || prop_oneof![3 => 1_usize..8, 1 => 1..3 * BLOCK];
        let step = prop_oneof![
            4 => run().prop_map(Step::PushBack),
            2 => run().prop_map(Step::PopFront),
            1 => run().prop_map(Step::PopBack),
            1 => (0..4 * BLOCK).prop_map(Step::Get),
        ];
        proptest::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn it_is_a_bounded_queue_with_positions(steps in steps(), max in prop_oneof![0_usize..80, Just(usize::MAX)]) {
            let mut queue = Queue::new(max);
            let mut expected = VecDeque::new();
            let (mut pushed, mut popped) = (0_u64, 0_u64);
            for step in steps {
                match step {
                    Step::PushBack(times) => for _ in 0..times {
                        let full = expected.len() == max;
                        assert_eq!(queue.push_back(pushed).is_err(), full);
                        if !full {
                            expected.push_back(pushed);
                            pushed += 1;
                        }
                    },
                    Step::PopFront(times) => for _ in 0..times {
                        let entry = expected.pop_front();
                        popped += u64::from(entry.is_some());
                        assert_eq!(queue.pop_front(), entry);
                    },
                    Step::PopBack(times) => for _ in 0..times {
                        let entry = expected.pop_back();
                        pushed -= u64::from(entry.is_some());
                        assert_eq!(queue.pop_back(), entry);
                    },
                    Step::Get(offset) => {
                        assert_eq!(queue.get(offset), expected.get(offset));
                        assert_eq!(queue.get_mut(offset), expected.get_mut(offset));
                    }
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

        #[test]
        fn without_memory_nothing_changes(before in 0_usize..3 * BLOCK) {
            let mut queue = Queue::new(usize::MAX);
            for entry in 0..before {
                assert!(queue.push_back(entry).is_ok());
            }
            let needs_memory = before % BLOCK == 0;
            testing::without_memory(|| {
                assert_eq!(queue.push_back(before).is_err(), needs_memory);
            });
            assert_eq!(queue.len(), before + usize::from(!needs_memory));
            assert_eq!(queue.front().copied(), (!queue.is_empty()).then_some(0));
        }
    }
}

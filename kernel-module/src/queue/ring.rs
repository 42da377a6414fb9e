// SPDX-License-Identifier: GPL-2.0

//! A ring of slots that grows by doubling: what holds the blocks of a queue together.
//!
//! C headers: [`include/linux/circ_buf.h`](srctree/include/linux/circ_buf.h)

use kernel::prelude::{GFP_ATOMIC, KVec};

use super::Full;

/// Slots of the first ring that is allocated. A power of two.
const FIRST: usize = 16;

/// A queue without a maximum of its own.
///
/// # Invariants
///
/// The number of slots is zero or a power of two; slots `head .. head + len`, modulo their number,
/// are full and all others are empty.
#[derive(Debug)]
pub(super) struct Ring<T> {
    slots: KVec<Option<T>>,
    head: usize,
    len: usize,
}

impl<T> Ring<T> {
    /// Allocates nothing.
    pub(super) const fn new() -> Self {
        // INVARIANT: no slots, none of them full.
        Self {
            slots: KVec::new(),
            head: 0,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The slot of the entry that stands `offset` behind the first. With no slots at all any
    /// number does: `get` finds nothing there.
    fn slot(&self, offset: usize) -> usize {
        self.head.wrapping_add(offset) & self.slots.len().wrapping_sub(1)
    }

    pub(super) fn get(&self, offset: usize) -> Option<&T> {
        if offset >= self.len {
            return None;
        }
        self.slots.get(self.slot(offset))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, offset: usize) -> Option<&mut T> {
        if offset >= self.len {
            return None;
        }
        let slot = self.slot(offset);
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len.checked_sub(1)?)
    }

    pub(super) fn push_back(&mut self, entry: T) -> Result<(), Full<T>> {
        if self.len == self.slots.len() && self.grow().is_none() {
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

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let entry = self.slots.get_mut(self.head)?.take()?;
        // INVARIANT: the slot is empty now and no longer counted.
        self.head = self.slot(1);
        self.len = self.len.wrapping_sub(1);
        Some(entry)
    }

    pub(super) fn pop_back(&mut self) -> Option<T> {
        let slot = self.slot(self.len.checked_sub(1)?);
        let entry = self.slots.get_mut(slot)?.take()?;
        // INVARIANT: the slot is empty now and no longer counted.
        self.len = self.len.wrapping_sub(1);
        Some(entry)
    }

    /// Moves everything to a ring twice the size.
    #[cold]
    fn grow(&mut self) -> Option<()> {
        let size = self.slots.len().checked_mul(2)?.max(FIRST);
        let mut slots = KVec::with_capacity(size, GFP_ATOMIC).ok()?;
        for offset in 0..size {
            let slot = self.slot(offset);
            let entry = if offset < self.len {
                self.slots.get_mut(slot).and_then(Option::take)
            } else {
                None
            };
            // There is room: it was asked for above.
            if slots.push_within_capacity(entry).is_err() {
                return None;
            }
        }
        // INVARIANT: `size` is twice a power of two, or one itself; slots `0 .. len` are full.
        self.slots = slots;
        self.head = 0;
        Some(())
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Memory that may not be there. Stands for `rust/kernel/alloc.rs` and `rust/kernel/alloc/kvec.rs`.
//!
//! C headers: [`include/linux/slab.h`](srctree/include/linux/slab.h)
//!
//! Less than upstream: one allocator (`Kmalloc`), and only the methods that are used here. Nothing
//! panics; upstream's `Vec` has the same promise.

use core::fmt;
use core::mem::{align_of, size_of};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

use crate::bindings;

/// Memory that could not be had. Upstream: `rust/kernel/alloc.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// `gfp_t`: what the allocator may do to find memory. Upstream: `rust/kernel/alloc.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub(crate) u32);

/// The flags by name. Upstream: `rust/kernel/alloc.rs`.
pub mod flags {
    use super::Flags;

    /// May sleep.
    pub const GFP_KERNEL: Flags = Flags(0);
    /// May not: under a spinlock, in softirq.
    pub const GFP_ATOMIC: Flags = Flags(1);
}

/// An entry that found no room; it comes back. Upstream: `rust/kernel/alloc/kvec/errors.rs`.
#[derive(Debug)]
pub struct PushError<T>(pub T);

/// `KVec<T>`: a vector on `kmalloc`, which grows only where the caller says so. Upstream:
/// `rust/kernel/alloc/kvec.rs`.
///
/// # Invariants
///
/// The first `len` of `capacity` entries at `ptr` are initialised, and `ptr` is dangling only if
/// `capacity` is zero. No `T` is of size zero.
pub struct KVec<T> {
    ptr: NonNull<T>,
    capacity: usize,
    len: usize,
}

// SAFETY: the vector owns its entries, as `Vec` of the standard library does.
unsafe impl<T: Send> Send for KVec<T> {}
// SAFETY: a shared vector gives out nothing but shared entries.
unsafe impl<T: Sync> Sync for KVec<T> {}

impl<T> KVec<T> {
    /// A vector without memory.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(size_of::<T>() > 0, "entries have a size") };
        const { assert!(align_of::<T>() <= bindings::ALIGN, "as kmalloc aligns") };
        // INVARIANT: no entries, no capacity.
        Self {
            ptr: NonNull::dangling(),
            capacity: 0,
            len: 0,
        }
    }

    /// A vector with room for so many entries.
    ///
    /// # Errors
    ///
    /// [`AllocError`].
    pub fn with_capacity(capacity: usize, flags: Flags) -> Result<Self, AllocError> {
        let mut vec = Self::new();
        if capacity > 0 {
            let bytes = capacity.checked_mul(size_of::<T>()).ok_or(AllocError)?;
            let memory = bindings::kmalloc(bytes, flags).ok_or(AllocError)?;
            // INVARIANT: room for `capacity` entries, none of them initialised.
            vec.ptr = memory.cast();
            vec.capacity = capacity;
        }
        Ok(vec)
    }

    /// Entries there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends an entry, if there is room.
    ///
    /// # Errors
    ///
    /// [`PushError`]; never allocates.
    pub fn push_within_capacity(&mut self, entry: T) -> Result<(), PushError<T>> {
        if self.len >= self.capacity {
            return Err(PushError(entry));
        }
        // SAFETY: `len` is below `capacity`, so the place is inside the allocation.
        let place = unsafe { self.ptr.as_ptr().add(self.len) };
        // SAFETY: nothing is initialised there that would have to be dropped.
        unsafe { place.write(entry) };
        // INVARIANT: one more entry is initialised.
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// Takes the last entry.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        // INVARIANT: the entry is given away and no longer counted.
        self.len = last;
        // SAFETY: `last` was below `len`, so it is inside the allocation.
        let place = unsafe { self.ptr.as_ptr().add(last) };
        // SAFETY: it is initialised and counted no more, so nobody else will read it.
        Some(unsafe { place.read() })
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for KVec<T> {
    fn drop(&mut self) {
        self.clear();
        if self.capacity > 0 {
            let bytes = self.capacity.wrapping_mul(size_of::<T>());
            // SAFETY: the memory came from `kmalloc` with this size, and nothing uses it any more.
            unsafe { bindings::kfree(self.ptr.cast(), bytes) };
        }
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` entries are initialised, and dangling is fine for none.
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let entries = ptr::slice_from_raw_parts_mut(self.ptr.as_ptr(), self.len);
        // SAFETY: as above, and the vector is borrowed alone.
        unsafe { &mut *entries }
    }
}

impl<T: fmt::Debug> fmt::Debug for KVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{AllocError, KVec, flags};
    use crate::bindings::testing;
    use proptest::prelude::{any, proptest};
    use std::rc::Rc;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn it_is_a_vector_that_never_grows(room in 0_usize..20, entries in proptest::collection::vec(any::<Option<u8>>(), 0..60)) {
            let mut vec = KVec::with_capacity(room, flags::GFP_KERNEL).unwrap();
            let mut expected: Vec<u8> = Vec::new();
            for entry in entries {
                match entry {
                    Some(entry) => {
                        assert_eq!(vec.push_within_capacity(entry).is_err(), expected.len() == room);
                        if expected.len() < room {
                            expected.push(entry);
                        }
                    }
                    None => assert_eq!(vec.pop(), expected.pop()),
                }
                assert_eq!(&vec[..], &expected[..]);
            }
        }
    }

    #[test]
    fn entries_are_dropped_once_each() {
        let witness = Rc::new(());
        let mut vec = KVec::with_capacity(4, flags::GFP_KERNEL).unwrap();
        for _ in 0..4 {
            vec.push_within_capacity(Rc::clone(&witness)).unwrap();
        }
        drop(vec.pop());
        assert_eq!(Rc::strong_count(&witness), 4);
        drop(vec);
        assert_eq!(Rc::strong_count(&witness), 1);
    }

    #[test]
    fn memory_that_can_not_be_had_is_an_error() {
        assert_eq!(
            KVec::<u64>::with_capacity(usize::MAX, flags::GFP_ATOMIC).err(),
            Some(AllocError)
        );
        testing::without_memory(|| {
            assert!(KVec::<u64>::with_capacity(1, flags::GFP_ATOMIC).is_err());
        });
        assert!(KVec::<u64>::with_capacity(1, flags::GFP_ATOMIC).is_ok());
    }
}

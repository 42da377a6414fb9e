//! A cursor over the bytes of a file, in the byte order that the file chose.

/// The bytes that are left, and the byte order of the numbers in them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'file> {
    left: &'file [u8],
    big_endian: bool,
}

impl<'file> Bytes<'file> {
    pub(super) fn new(left: &'file [u8], big_endian: bool) -> Self {
        Self { left, big_endian }
    }

    /// The same byte order over other bytes.
    pub(super) fn over(self, left: &'file [u8]) -> Self {
        Self { left, ..self }
    }

    pub(super) fn len(&self) -> usize {
        self.left.len()
    }

    /// The next `count` bytes, or nothing (and no step) if there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Option<&'file [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.array()?;
        Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.array()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        let bytes = self.array()?;
        Some(if self.big_endian {
            i64::from_be_bytes(bytes)
        } else {
            i64::from_le_bytes(bytes)
        })
    }
}

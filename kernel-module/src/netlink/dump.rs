// SPDX-License-Identifier: GPL-2.0

//! Attributes, written into memory that somebody else has.
//!
//! C headers: [`include/net/netlink.h`](srctree/include/net/netlink.h)

use kernel::error::code;
use kernel::prelude::Result;

use crate::gate::Bstats;

/// No dump is longer.
pub const LONGEST: usize = 512;

/// Writes attributes one behind the other.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// At the start of this memory.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// Bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// 32 bits.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`, as for all below.
    pub fn word(&mut self, kind: u16, value: u32) -> Result {
        self.header(kind, 8)?;
        self.put(value.to_ne_bytes())
    }

    /// 64 bits.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`.
    pub fn long(&mut self, kind: u16, value: u64) -> Result {
        self.header(kind, 12)?;
        self.put(value.to_ne_bytes())
    }

    /// Packets and bytes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`.
    pub fn bstats(&mut self, kind: u16, value: Bstats) -> Result {
        self.header(kind, 20)?;
        self.put(value.packets.to_ne_bytes())?;
        self.put(value.bytes.to_ne_bytes())
    }

    /// `struct nlattr`. All lengths are multiples of four, so nothing is padded.
    fn header(&mut self, kind: u16, length: u16) -> Result {
        self.put(length.to_ne_bytes())?;
        self.put(kind.to_ne_bytes())
    }

    fn put<const N: usize>(&mut self, value: [u8; N]) -> Result {
        let rest = self.bytes.get_mut(self.len..).ok_or(code::EMSGSIZE)?;
        let place: &mut [u8; N] = rest.first_chunk_mut().ok_or(code::EMSGSIZE)?;
        *place = value;
        self.len = self.len.wrapping_add(N);
        Ok(())
    }
}

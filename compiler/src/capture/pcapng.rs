//! The block format: sections, each with its byte order and its list of interfaces
//! (draft-ietf-opsawg-pcapng, section 4).

use std::ops::Range;
use std::time::Duration;

use super::bytes::Bytes;
use super::{CaptureError, RawPacket, Step};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;

/// Type, total length, and the total length again at the end.
const BLOCK_FRAMING: u32 = 12;

/// Of which so much comes before the body.
const BLOCK_HEADER: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Reader {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    /// Most bytes captured of a packet; 0 for no limit.
    snap_len: u32,
    units_per_second: u64,
    offset_seconds: i64,
}

/// Whether `file` begins with a section header.
pub(super) fn begins(file: &[u8]) -> bool {
    Bytes::new(file, true).u32() == Some(SECTION_HEADER)
}

impl Reader {
    /// The block that `rest` begins with, which lies `offset` bytes from the start of the file.
    /// Before the whole block is there, nothing is learnt from it.
    pub(super) fn step(&mut self, rest: &[u8], offset: usize) -> Result<Step, CaptureError> {
        let damaged = |what| CaptureError::Damaged { offset, what };
        let (kind, body, used) = self.next_block(rest, offset)?;
        let packet = match kind {
            SECTION_HEADER => {
                self.interfaces.clear();
                None
            }
            INTERFACE_DESCRIPTION => {
                let interface = read_interface(body)
                    .ok_or_else(|| damaged("an interface without a usable description"))?;
                self.interfaces.push(interface);
                None
            }
            ENHANCED_PACKET | PACKET => Some(
                self.read_packet(kind, body)
                    .ok_or_else(|| damaged("a packet block that lies"))?,
            ),
            SIMPLE_PACKET => {
                let simple = self.read_simple_packet(body);
                Some(simple.ok_or_else(|| damaged("a simple packet block that lies"))?)
            }
            // Names, statistics, secrets, and what later versions bring.
            _ => None,
        };
        Ok(Step { used, packet })
    }

    /// A block's type, body and length. A section header sets the byte order for itself and what
    /// follows; its own type reads the same in both.
    fn next_block<'a>(
        &mut self,
        rest: &'a [u8],
        offset: usize,
    ) -> Result<(u32, Bytes<'a>, usize), CaptureError> {
        let truncated = CaptureError::Truncated { offset };
        let damaged = |what| CaptureError::Damaged { offset, what };
        if begins(rest) {
            let magic = rest.get(8..).unwrap_or_default();
            self.big_endian = match Bytes::new(magic, true).u32() {
                None => return Err(truncated),
                Some(BYTE_ORDER_MAGIC) => true,
                Some(swapped) if swapped.swap_bytes() == BYTE_ORDER_MAGIC => false,
                Some(_) => return Err(damaged("a section of unknown byte order")),
            };
        }
        let mut bytes = Bytes::new(rest, self.big_endian);
        let kind = bytes.u32().ok_or(truncated)?;
        let total = bytes.u32().ok_or(truncated)?;
        if total < BLOCK_FRAMING || !total.is_multiple_of(4) {
            return Err(damaged("a block of impossible length"));
        }
        let body_len = usize::try_from(total - BLOCK_FRAMING).map_err(|_| truncated)?;
        let body = bytes.take(body_len).ok_or(truncated)?;
        if bytes.u32().ok_or(truncated)? != total {
            return Err(damaged("a block whose two lengths differ"));
        }
        let used = rest.len() - bytes.len();
        Ok((kind, Bytes::new(body, self.big_endian), used))
    }

    /// An enhanced packet block, or the obsolete packet block, which has a shorter interface number
    /// and a drop count.
    fn read_packet(&self, kind: u32, mut body: Bytes<'_>) -> Option<RawPacket> {
        let body_len = body.len();
        let interface = if kind == PACKET {
            let interface = u32::from(body.u16()?);
            let _drops = body.u16()?;
            interface
        } else {
            body.u32()?
        };
        let interface = self.interfaces.get(usize::try_from(interface).ok()?)?;
        let units = u64::from(body.u32()?) << 32 | u64::from(body.u32()?);
        let captured_len = body.u32()?;
        let original_len = body.u32()?;
        let data = data(body_len, &mut body, captured_len)?;
        Some(RawPacket {
            link_type: interface.link_type,
            time: interface.time(units),
            data,
            original_len,
        })
    }

    /// A simple packet block: of the first interface, without a time, its captured length implied.
    fn read_simple_packet(&self, mut body: Bytes<'_>) -> Option<RawPacket> {
        let body_len = body.len();
        let interface = self.interfaces.first()?;
        let original_len = body.u32()?;
        let captured_len = match interface.snap_len {
            0 => original_len,
            snap_len => original_len.min(snap_len),
        };
        let data = data(body_len, &mut body, captured_len)?;
        Some(RawPacket {
            link_type: interface.link_type,
            time: Duration::ZERO,
            data,
            original_len,
        })
    }
}

impl Interface {
    /// The time `units` after the epoch of this interface; zero if it is before 1970.
    fn time(self, units: u64) -> Duration {
        let seconds = units / self.units_per_second;
        let fraction = u128::from(units % self.units_per_second);
        // Below a thousand million because the fraction is below the units per second.
        let nanoseconds = fraction * 1_000_000_000 / u128::from(self.units_per_second);
        let seconds = i128::from(seconds) + i128::from(self.offset_seconds);
        match (u64::try_from(seconds), u32::try_from(nanoseconds)) {
            (Ok(seconds), Ok(nanoseconds)) => Duration::new(seconds, nanoseconds),
            _ => Duration::ZERO,
        }
    }
}

/// Where the next `len` bytes of a body lie within the block.
fn data(body_len: usize, body: &mut Bytes<'_>, len: u32) -> Option<Range<usize>> {
    let begin = BLOCK_HEADER + body_len - body.len();
    let taken = body.take(usize::try_from(len).ok()?)?;
    Some(begin..begin + taken.len())
}

fn read_interface(mut body: Bytes<'_>) -> Option<Interface> {
    let link_type = body.u16()?;
    let _reserved = body.u16()?;
    let snap_len = body.u32()?;
    let mut interface = Interface {
        link_type,
        snap_len,
        units_per_second: 1_000_000,
        offset_seconds: 0,
    };
    // Options end with an end mark, or, in files of careless writers, just end.
    while let Some((code, mut value)) = next_option(&mut body) {
        match code {
            0 => break,
            OPTION_TIME_RESOLUTION => {
                interface.units_per_second = units_per_second(*value.take(1)?.first()?)?;
            }
            OPTION_TIME_OFFSET => interface.offset_seconds = value.i64()?,
            _ => {}
        }
    }
    Some(interface)
}

fn next_option<'file>(body: &mut Bytes<'file>) -> Option<(u16, Bytes<'file>)> {
    let code = body.u16()?;
    let len = usize::from(body.u16()?);
    let mut value = *body;
    body.take(len.next_multiple_of(4))?;
    let whole = value.take(len)?;
    Some((code, value.over(whole)))
}

/// What the time-resolution option says: a negative power of ten or, with the top bit, of two.
fn units_per_second(resolution: u8) -> Option<u64> {
    let exponent = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 {
        10_u64.checked_pow(exponent)
    } else {
        2_u64.checked_pow(exponent)
    }
}

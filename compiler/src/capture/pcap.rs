//! The classic format: a header of 24 bytes, then packets with a header of 16 bytes each
//! (draft-ietf-opsawg-pcap, sections 4 and 5).

use std::time::Duration;

use super::bytes::Bytes;
use super::{CaptureError, ETHERNET, RawPacket};

/// Times in microseconds.
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Times in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// The link type is in the lower half of its word; above are the length of a frame check sequence
/// and its flag.
const LINK_TYPE_BITS: u32 = 0xffff;

#[derive(Debug)]
pub(super) struct Reader<'file> {
    bytes: Bytes<'file>,
    file_len: usize,
    nanoseconds_per_unit: u32,
}

impl<'file> Reader<'file> {
    pub(super) fn open(file: &'file [u8]) -> Result<Self, CaptureError> {
        let known = |big_endian| {
            let magic = Bytes::new(file, big_endian).u32()?;
            match magic {
                MAGIC_MICROSECONDS => Some((big_endian, 1000)),
                MAGIC_NANOSECONDS => Some((big_endian, 1)),
                _ => None,
            }
        };
        let (big_endian, nanoseconds_per_unit) = known(false)
            .or_else(|| known(true))
            .ok_or(CaptureError::NotACapture)?;
        let mut bytes = Bytes::new(file, big_endian);
        let link_type =
            read_file_header(&mut bytes).ok_or(CaptureError::Truncated { offset: 0 })??;
        if link_type != ETHERNET {
            return Err(CaptureError::LinkType(link_type));
        }
        Ok(Self {
            bytes,
            file_len: file.len(),
            nanoseconds_per_unit,
        })
    }

    pub(super) fn next_packet(&mut self) -> Result<Option<RawPacket<'file>>, CaptureError> {
        if self.bytes.len() == 0 {
            return Ok(None);
        }
        let offset = self.file_len - self.bytes.len();
        self.read_packet()
            .ok_or(CaptureError::Truncated { offset })
            .map(Some)
    }

    /// The next packet; nothing if the file does not hold all of it.
    fn read_packet(&mut self) -> Option<RawPacket<'file>> {
        let seconds = self.bytes.u32()?;
        let fraction = self.bytes.u32()?;
        let captured_len = self.bytes.u32()?;
        let original_len = self.bytes.u32()?;
        let data = self.bytes.take(usize::try_from(captured_len).ok()?)?;
        // A damaged fraction of a second or more carries over; it cannot overflow.
        let nanoseconds = u64::from(fraction) * u64::from(self.nanoseconds_per_unit);
        let time = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanoseconds);
        Some(RawPacket {
            link_type: ETHERNET,
            time,
            data,
            original_len,
        })
    }
}

/// The link type; nothing if the file does not hold all of the header.
fn read_file_header(bytes: &mut Bytes<'_>) -> Option<Result<u16, CaptureError>> {
    let _magic = bytes.u32()?;
    let (major, minor) = (bytes.u16()?, bytes.u16()?);
    let _time_zone_and_accuracy = (bytes.u32()?, bytes.u32()?);
    let _snap_len = bytes.u32()?;
    let link_word = bytes.u32()?;
    if major != 2 {
        return Some(Err(CaptureError::Version { major, minor }));
    }
    u16::try_from(link_word & LINK_TYPE_BITS).ok().map(Ok)
}

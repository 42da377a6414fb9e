//! The classic format: a header of 24 bytes, then packets with a header of 16 bytes each
//! (draft-ietf-opsawg-pcap, sections 4 and 5).

use std::time::Duration;

use super::bytes::Bytes;
use super::{CaptureError, ETHERNET, RawPacket, Step};

/// Times in microseconds.
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Times in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// The link type is in the lower half of its word; above are the length of a frame check sequence
/// and its flag.
const LINK_TYPE_BITS: u32 = 0xffff;

/// Bytes of a packet's header.
const PACKET_HEADER: usize = 16;

#[derive(Debug)]
pub(super) struct Reader {
    big_endian: bool,
    nanoseconds_per_unit: u32,
}

impl Reader {
    /// Reads the header of the file; also says how many bytes that is.
    pub(super) fn open(file: &[u8]) -> Result<(Self, usize), CaptureError> {
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
        let reader = Self {
            big_endian,
            nanoseconds_per_unit,
        };
        Ok((reader, file.len() - bytes.len()))
    }

    /// The packet that `rest` begins with; nothing if `rest` does not hold all of it.
    #[inline]
    pub(super) fn step(&self, rest: &[u8]) -> Option<Step> {
        let (header, data) = rest.split_first_chunk::<PACKET_HEADER>()?;
        let mut header = Bytes::new(header, self.big_endian);
        let seconds = header.u32()?;
        let fraction = header.u32()?;
        let captured = usize::try_from(header.u32()?).ok()?;
        let original_len = header.u32()?;
        if data.len() < captured {
            return None;
        }
        // A damaged fraction of a second or more carries over; it cannot overflow.
        let nanoseconds = u64::from(fraction) * u64::from(self.nanoseconds_per_unit);
        let time = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanoseconds);
        let used = PACKET_HEADER + captured;
        Some(Step {
            used,
            packet: Some(RawPacket {
                link_type: ETHERNET,
                time,
                data: PACKET_HEADER..used,
                original_len,
            }),
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

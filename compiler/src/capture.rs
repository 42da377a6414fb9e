//! Reads captures: the classic pcap format (draft-ietf-opsawg-pcap) and pcapng
//! (draft-ietf-opsawg-pcapng), from bytes, frame by frame.
//!
//! The reader is our own because the ready ones fail on real files: they take every pcapng time
//! stamp for nanoseconds, refuse a packet that the snap length cut, or refuse options without an
//! end mark. It never panics and never reads past what the file really holds: a length that lies
//! ends the reading with an error that says where. What was read before stays good.
//!
//! Only Ethernet can be judged by a policy. A pcap file of another link type is refused; in pcapng,
//! where each interface has its own, packets of other interfaces are counted and left out.

mod bytes;
mod pcap;
mod pcapng;
pub mod write;

use std::collections::BTreeMap;
use std::time::Duration;

/// The link type of Ethernet frames (LINKTYPE_ETHERNET of the tcpdump registry).
pub const ETHERNET: u16 = 1;

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the packet in the file, from 1, counting every packet as Wireshark does.
    pub number: u64,
    /// Time since 1970-01-01 00:00 UTC as the capturing host saw it; zero if the file has none.
    pub time: Duration,
    /// The captured bytes, from the destination address on.
    pub frame: Vec<u8>,
    /// Length of the frame on the wire, which is more than the captured bytes if it was cut.
    pub original_len: u32,
}

impl Record {
    /// Whether the snap length cut this frame: headers that are missing here may have been there
    /// on the wire, so the verdict on the captured bytes need not be that on the frame.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        u32::try_from(self.frame.len()).is_ok_and(|captured| captured < self.original_len)
    }
}

/// Why a capture cannot be read, or not further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The file begins with neither format's magic number.
    #[error("not a capture: it begins like neither pcap nor pcapng")]
    NotACapture,
    /// A pcap variant with other record headers than those of version 2.
    #[error("pcap version {major}.{minor} is not supported, only version 2")]
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// All packets of the file are something else than Ethernet frames.
    #[error("link type {0} is not supported: a policy is about Ethernet frames (link type 1)")]
    LinkType(u16),
    /// The file ends inside of a header or a packet, as when the capturing program was killed.
    #[error("the capture ends in the middle of what begins at byte {offset}")]
    Truncated {
        /// Where the unfinished header, packet or block begins.
        offset: usize,
    },
    /// The file contradicts itself or its format.
    #[error("the capture is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the damaged header, packet or block begins.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// The frames of a capture, in file order. After the first error there is nothing more.
#[derive(Debug)]
pub struct Capture<'file> {
    format: Format<'file>,
    packets: u64,
    other_links: BTreeMap<u16, u64>,
    ended: bool,
}

#[derive(Debug)]
enum Format<'file> {
    Pcap(pcap::Reader<'file>),
    Pcapng(pcapng::Reader<'file>),
}

/// A packet as a format's reader finds it.
#[derive(Debug)]
struct RawPacket<'file> {
    link_type: u16,
    time: Duration,
    data: &'file [u8],
    original_len: u32,
}

impl<'file> Capture<'file> {
    /// Opens the capture that `file` holds, of either format.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] if it is no capture, or one of another version or link type, or ends within
    /// its first header.
    pub fn open(file: &'file [u8]) -> Result<Self, CaptureError> {
        let format = if pcapng::begins(file) {
            Format::Pcapng(pcapng::Reader::new(file))
        } else {
            Format::Pcap(pcap::Reader::open(file)?)
        };
        Ok(Self {
            format,
            packets: 0,
            other_links: BTreeMap::new(),
            ended: false,
        })
    }

    /// How many packets were left out so far because their interface is not Ethernet, per link type.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<u16, u64> {
        &self.other_links
    }

    fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        loop {
            let packet = match &mut self.format {
                Format::Pcap(reader) => reader.next_packet()?,
                Format::Pcapng(reader) => reader.next_packet()?,
            };
            let Some(packet) = packet else {
                return Ok(None);
            };
            self.packets += 1;
            if packet.link_type == ETHERNET {
                return Ok(Some(Record {
                    number: self.packets,
                    time: packet.time,
                    frame: packet.data.to_vec(),
                    original_len: packet.original_len,
                }));
            }
            *self.other_links.entry(packet.link_type).or_default() += 1;
        }
    }
}

impl Iterator for Capture<'_> {
    type Item = Result<Record, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.next_record().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

#[cfg(test)]
mod tests;

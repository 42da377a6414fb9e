//! Reads captures: the classic pcap format (draft-ietf-opsawg-pcap) and pcapng
//! (draft-ietf-opsawg-pcapng), frame by frame: [`Capture`] from bytes, [`Stream`] from a file that
//! need not fit into memory, which [`crew`] looks through in several threads.
//!
//! The reader is our own because the ready ones fail on real files: they take every pcapng time
//! stamp for nanoseconds, refuse a packet that the snap length cut, or refuse options without an
//! end mark. It never panics and never reads past what the file really holds: a length that lies
//! ends the reading with an error that says where. What was read before stays good.
//!
//! Only Ethernet can be judged by a policy. A pcap file of another link type is refused; in pcapng,
//! where each interface has its own, packets of other interfaces are counted and left out.

mod bytes;
pub mod crew;
mod pcap;
mod pcapng;
mod stream;
pub mod turns;
pub mod write;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

pub use stream::{Piece, Stream, StreamError};

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

/// One captured frame where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'buffer> {
    /// Number of the packet in the file, as in [`Record`].
    pub number: u64,
    /// When it was captured, as in [`Record`].
    pub time: Duration,
    /// The captured bytes, from the destination address on.
    pub bytes: &'buffer [u8],
    /// Length of the frame on the wire.
    pub original_len: u32,
}

impl Frame<'_> {
    /// Whether the snap length cut this frame, as in [`Record::is_cut`].
    #[must_use]
    pub fn is_cut(&self) -> bool {
        u32::try_from(self.bytes.len()).is_ok_and(|captured| captured < self.original_len)
    }

    /// The frame with bytes of its own.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record {
            number: self.number,
            time: self.time,
            frame: self.bytes.to_vec(),
            original_len: self.original_len,
        }
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
    file: &'file [u8],
    at: usize,
    format: Format,
    count: Count,
    ended: bool,
}

/// What is known of a file apart from its bytes.
#[derive(Debug)]
enum Format {
    Pcap(pcap::Reader),
    Pcapng(pcapng::Reader),
}

/// What a file holds next.
#[derive(Debug)]
struct Step {
    /// How many bytes it takes.
    used: usize,
    /// The packet, if it is one.
    packet: Option<RawPacket>,
}

/// A packet as a format's reader finds it.
#[derive(Debug)]
struct RawPacket {
    link_type: u16,
    time: Duration,
    /// Where its bytes lie within the step.
    data: Range<usize>,
    original_len: u32,
}

impl Format {
    /// Reads what a file begins with; also says how many bytes that is.
    fn open(file: &[u8]) -> Result<(Self, usize), CaptureError> {
        if pcapng::begins(file) {
            return Ok((Self::Pcapng(pcapng::Reader::default()), 0));
        }
        let (reader, used) = pcap::Reader::open(file)?;
        Ok((Self::Pcap(reader), used))
    }

    /// Reads what `rest`, which is not empty, begins with; it lies `offset` bytes from the start of
    /// the file. With the rest of the file in `rest`, [`CaptureError::Truncated`] is final; else
    /// the same step may be tried again with more.
    fn step(&mut self, rest: &[u8], offset: usize) -> Result<Step, CaptureError> {
        match self {
            Self::Pcap(reader) => reader.step(rest).ok_or(CaptureError::Truncated { offset }),
            Self::Pcapng(reader) => reader.step(rest, offset),
        }
    }
}

/// Packets so far.
#[derive(Debug, Default)]
struct Count {
    packets: u64,
    other_links: BTreeMap<u16, u64>,
}

impl Count {
    /// Counts a packet; its number, if it is an Ethernet frame.
    #[inline]
    fn add(&mut self, link_type: u16) -> Option<u64> {
        self.packets += 1;
        if link_type == ETHERNET {
            return Some(self.packets);
        }
        *self.other_links.entry(link_type).or_default() += 1;
        None
    }
}

impl<'file> Capture<'file> {
    /// Opens the capture that `file` holds, of either format.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] if it is no capture, or one of another version or link type, or ends within
    /// its first header.
    pub fn open(file: &'file [u8]) -> Result<Self, CaptureError> {
        let (format, at) = Format::open(file)?;
        Ok(Self {
            file,
            at,
            format,
            count: Count::default(),
            ended: false,
        })
    }

    /// How many packets were left out so far because their interface is not Ethernet, per link type.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<u16, u64> {
        &self.count.other_links
    }

    fn next_frame(&mut self) -> Result<Option<Frame<'file>>, CaptureError> {
        loop {
            let rest = self.file.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let step = self.format.step(rest, self.at)?;
            self.at += step.used;
            if let Some(packet) = step.packet
                && let Some(number) = self.count.add(packet.link_type)
            {
                return Ok(Some(packet.frame(number, rest)));
            }
        }
    }
}

impl RawPacket {
    /// The packet as a frame; `step` is what its step began with.
    fn frame(self, number: u64, step: &[u8]) -> Frame<'_> {
        Frame {
            number,
            time: self.time,
            bytes: step.get(self.data).unwrap_or_default(),
            original_len: self.original_len,
        }
    }
}

impl Iterator for Capture<'_> {
    type Item = Result<Record, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.next_frame().transpose();
        self.ended = !matches!(frame, Some(Ok(_)));
        frame.map(|frame| frame.map(|frame| frame.to_record()))
    }
}

#[cfg(test)]
mod tests;

//! Captures from a file or a pipe, a piece at a time: what is held in memory are a few pieces, or one
//! packet if that is longer.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use super::{CaptureError, Count, Format, Frame, Step};

/// Bytes of a piece: few calls for many packets, and still near the processor when it is looked at.
const PIECE: usize = 256 << 10;

/// Bytes that no header of a file is longer than.
const FILE_HEADER: usize = 24;

/// Why there is nothing more to read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The file can't be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is no capture, or a damaged one.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// A capture that is read from its beginning to its end, or up to the first error.
///
/// It finds the frames, and ends with the error, that [`super::Capture`] does.
#[derive(Debug)]
pub struct Stream<R> {
    source: R,
    /// How much to read at a time.
    size: usize,
    /// What was read behind the last whole packet.
    left: Vec<u8>,
    /// How many bytes of the file lie before that.
    offset: usize,
    /// How many pieces there were.
    pieces: u64,
    format: Option<Format>,
    count: Count,
    /// Whether there is nothing more to come from the file.
    drained: bool,
    /// Whether nothing can follow, and why if that is an error.
    end: Option<Result<(), StreamError>>,
}

/// Frames that were read together. It can be filled again, which spares a new one.
#[derive(Debug, Default)]
pub struct Piece {
    number: u64,
    buffer: Vec<u8>,
    places: Vec<Place>,
}

/// Where a frame lies, and what the capture says of it.
#[derive(Debug)]
struct Place {
    number: u64,
    time: Duration,
    begin: usize,
    end: usize,
    original_len: u32,
}

impl Piece {
    /// Which piece of the capture this is, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The frames, in file order.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        self.places.iter().map(|place| Frame {
            number: place.number,
            time: place.time,
            bytes: self.buffer.get(place.begin..place.end).unwrap_or_default(),
            original_len: place.original_len,
        })
    }
}

impl<R: Read> Stream<R> {
    /// A capture of either format, of which nothing has been read.
    pub fn new(source: R) -> Self {
        Self::sized(source, PIECE)
    }

    pub(super) fn sized(source: R, size: usize) -> Self {
        Self {
            source,
            size,
            left: Vec::new(),
            offset: 0,
            pieces: 0,
            format: None,
            count: Count::default(),
            drained: false,
            end: None,
        }
    }

    /// How many packets were left out so far because their interface is not Ethernet, per link type.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<u16, u64> {
        &self.count.other_links
    }

    /// Reads the next piece, which may have no frame in it; false if there is none.
    pub fn next_piece(&mut self, piece: &mut Piece) -> bool {
        piece.places.clear();
        if self.end.is_some() {
            return false;
        }
        piece.number = self.pieces;
        self.pieces += 1;
        let mut filled = self.left.len();
        if piece.buffer.len() < filled {
            piece.buffer.resize(filled, 0);
        }
        if let Some(front) = piece.buffer.get_mut(..filled) {
            front.copy_from_slice(&self.left);
        }
        let mut passed = 0;
        while passed == 0 && self.end.is_none() {
            match self.more(&mut piece.buffer, filled) {
                Ok(count) => filled += count,
                Err(error) => self.end = Some(Err(error.into())),
            }
            let bytes = piece.buffer.get(..filled).unwrap_or_default();
            passed = self.step_through(bytes, &mut piece.places);
        }
        self.left.clear();
        let left = piece.buffer.get(passed..filled);
        self.left.extend_from_slice(left.unwrap_or_default());
        self.offset += passed;
        self.end.is_none() || !piece.places.is_empty()
    }

    /// Why there is no next piece, after there was none.
    ///
    /// # Errors
    ///
    /// [`StreamError`] if the file can't be read, is no capture, or is damaged.
    pub fn finish(self) -> Result<(), StreamError> {
        self.end.unwrap_or(Ok(()))
    }

    /// Reads behind the first `filled` bytes of a buffer; says how many bytes.
    fn more(&mut self, buffer: &mut Vec<u8>, filled: usize) -> io::Result<usize> {
        if buffer.len() < filled + self.size {
            buffer.resize(filled + self.size, 0);
        }
        let room = buffer.get_mut(filled..).unwrap_or_default();
        loop {
            match self.source.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => {
                    self.drained = true;
                    return Ok(0);
                }
                count => return count,
            }
        }
    }

    /// Finds the packets that are whole in the bytes from `self.offset` on; says how many bytes they
    /// take.
    fn step_through(&mut self, bytes: &[u8], places: &mut Vec<Place>) -> usize {
        let mut passed = 0;
        if self.format.is_none() && self.end.is_none() {
            if bytes.len() < FILE_HEADER && !self.drained {
                return 0;
            }
            match Format::open(bytes) {
                Ok((format, used)) => {
                    self.format = Some(format);
                    passed = used;
                }
                Err(error) => self.end = Some(Err(error.into())),
            }
        }
        let (Some(format), None) = (&mut self.format, &self.end) else {
            return passed;
        };
        let cut = Cut {
            bytes,
            passed,
            offset: self.offset,
            count: &mut self.count,
            places,
        };
        // The format is asked for once, not for each packet.
        let (passed, error) = match format {
            Format::Pcap(reader) => cut.up(|rest, offset| {
                let step = reader.step(rest);
                step.ok_or(CaptureError::Truncated { offset })
            }),
            Format::Pcapng(reader) => cut.up(|rest, offset| reader.step(rest, offset)),
        };
        self.end = match error {
            Some(CaptureError::Truncated { .. }) if !self.drained => None,
            Some(error) => Some(Err(error.into())),
            None if self.drained => Some(Ok(())),
            None => None,
        };
        passed
    }
}

/// Bytes that are being cut up into packets.
struct Cut<'a> {
    bytes: &'a [u8],
    /// How many of them belong to packets that were found.
    passed: usize,
    /// How many bytes of the file come before them.
    offset: usize,
    count: &'a mut Count,
    places: &'a mut Vec<Place>,
}

impl Cut<'_> {
    /// Finds packets up to the end or an error; says how many bytes they take.
    #[inline]
    fn up(
        self,
        mut step: impl FnMut(&[u8], usize) -> Result<Step, CaptureError>,
    ) -> (usize, Option<CaptureError>) {
        let mut passed = self.passed;
        loop {
            let rest = self.bytes.get(passed..).unwrap_or_default();
            if rest.is_empty() {
                return (passed, None);
            }
            let step = match step(rest, self.offset + passed) {
                Ok(step) => step,
                Err(error) => return (passed, Some(error)),
            };
            if let Some(packet) = step.packet
                && let Some(number) = self.count.add(packet.link_type)
            {
                self.places.push(Place {
                    number,
                    time: packet.time,
                    begin: passed + packet.data.start,
                    end: passed + packet.data.end,
                    original_len: packet.original_len,
                });
            }
            passed += step.used;
        }
    }
}

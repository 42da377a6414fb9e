//! Captures from a file or a pipe, a piece at a time: what is held in memory are a few pieces, or one
//! packet if that is longer.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::ahead::{Ahead, Sizes};
use super::{CaptureError, Count, Format, Frame};

/// A piece takes few calls for many packets, and stays near the processor. No frame that is real is
/// longer than the room.
const SIZES: Sizes = Sizes {
    piece: 256 << 10,
    room: 64 << 10,
};

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

/// The frames of a capture, in file order. After the first error there is nothing more.
///
/// It finds the frames, and ends with the error, that [`super::Capture`] does.
#[derive(Debug)]
pub struct Stream {
    file: Ahead,
    /// How many bytes of the file have been passed over.
    offset: usize,
    format: Option<Format>,
    count: Count,
    /// Whether there is nothing more to come from the file.
    drained: bool,
    ended: bool,
}

impl Stream {
    /// A capture of either format, of which nothing has been read.
    ///
    /// # Errors
    ///
    /// If there can be no thread to read it.
    pub fn new<R: Read + Send + 'static>(source: R) -> io::Result<Self> {
        Self::sized(source, SIZES)
    }

    pub(super) fn sized<R: Read + Send + 'static>(source: R, sizes: Sizes) -> io::Result<Self> {
        Ok(Self {
            file: Ahead::new(source, sizes)?,
            offset: 0,
            format: None,
            count: Count::default(),
            drained: false,
            ended: false,
        })
    }

    /// How many packets were left out so far because their interface is not Ethernet, per link type.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<u16, u64> {
        &self.count.other_links
    }

    /// The next frame; nothing at the end of the file.
    ///
    /// # Errors
    ///
    /// [`StreamError`] if the file can't be read, is no capture, or is damaged.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        // Unless a frame is found.
        self.ended = true;
        loop {
            let rest = self.file.bytes();
            let step = match &mut self.format {
                _ if rest.is_empty() && !self.drained => None,
                Some(_) if rest.is_empty() => return Ok(None),
                Some(format) => match format.step(rest, self.offset) {
                    Err(CaptureError::Truncated { .. }) if !self.drained => None,
                    step => Some(step?),
                },
                None if rest.len() < FILE_HEADER && !self.drained => None,
                None => {
                    let (format, used) = Format::open(rest)?;
                    self.format = Some(format);
                    self.pass(used);
                    continue;
                }
            };
            let Some(step) = step else {
                self.drained = !self.file.more()?;
                continue;
            };
            let Some(packet) = step.packet else {
                self.pass(step.used);
                continue;
            };
            if let Some(number) = self.count.add(packet.link_type) {
                self.ended = false;
                return Ok(Some(packet.frame(number, self.pass(step.used))));
            }
            self.pass(step.used);
        }
    }

    fn pass(&mut self, count: usize) -> &[u8] {
        self.offset += count;
        self.file.pass(count)
    }
}

//! Reads a file a piece at a time, one piece ahead: while one is looked at, a thread of its own gets
//! the next.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Sizes of what is read at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of a piece.
    pub(super) piece: usize,
    /// Room in front of a piece for what is left over from the one before.
    pub(super) room: usize,
}

/// Pieces on their way: one is looked at, one lies ready, one is being read.
const PIECES: usize = 3;

/// Bytes of the file that are in memory.
#[derive(Debug)]
pub(super) struct Ahead {
    sizes: Sizes,
    pieces: Receiver<io::Result<Piece>>,
    used: SyncSender<Vec<u8>>,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

/// A buffer with bytes of the file behind the room in front of them.
#[derive(Debug)]
struct Piece {
    buffer: Vec<u8>,
    count: usize,
}

impl Ahead {
    /// Begins to read.
    pub(super) fn new<R: Read + Send + 'static>(source: R, sizes: Sizes) -> io::Result<Self> {
        let (to_us, pieces) = sync_channel(PIECES);
        let (used, to_fill) = sync_channel(PIECES);
        for _ in 0..PIECES {
            // There is room for all of them.
            let _ = used.try_send(vec![0; sizes.room + sizes.piece]);
        }
        thread::Builder::new()
            .name(String::from("reader"))
            .spawn(move || read(source, sizes.room, &to_fill, &to_us))?;
        Ok(Self {
            sizes,
            pieces,
            used,
            buffer: Vec::new(),
            begin: 0,
            end: 0,
        })
    }

    /// What has been read and not been passed over.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    /// Passes over so many bytes; gives them back.
    pub(super) fn pass(&mut self, count: usize) -> &[u8] {
        let begin = self.begin;
        self.begin = begin.saturating_add(count).min(self.end);
        self.buffer.get(begin..self.begin).unwrap_or_default()
    }

    /// Gets more; false at the end of the file.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        let Ok(piece) = self.pieces.recv() else {
            return Ok(false);
        };
        let Piece { mut buffer, count } = piece?;
        let room = self.sizes.room;
        let left = self.bytes();
        if let Some(begin) = room.checked_sub(left.len()) {
            if let Some(front) = buffer.get_mut(begin..room) {
                front.copy_from_slice(left);
            }
            std::mem::swap(&mut self.buffer, &mut buffer);
            (self.begin, self.end) = (begin, room + count);
        } else {
            let new = buffer.get(room..room + count).unwrap_or_default();
            if self.buffer.len() == room + self.sizes.piece {
                let long = [left, new].concat();
                let before = std::mem::replace(&mut self.buffer, long);
                self.give_back(before);
            } else {
                // Added to what is there, so that a length that lies costs no copy for each piece.
                self.buffer.truncate(self.end);
                self.buffer.drain(..self.begin);
                self.buffer.extend(new);
            }
            (self.begin, self.end) = (0, self.buffer.len());
        }
        self.give_back(buffer);
        Ok(true)
    }

    /// Hands a buffer to the reader; one that was made for a long packet is not for it.
    fn give_back(&self, buffer: Vec<u8>) {
        if buffer.len() == self.sizes.room + self.sizes.piece {
            // The reader may have come to its end.
            let _ = self.used.try_send(buffer);
        }
    }
}

/// What the thread does, until the file ends or nobody wants more.
fn read<R: Read>(
    mut source: R,
    room: usize,
    to_fill: &Receiver<Vec<u8>>,
    to_us: &SyncSender<io::Result<Piece>>,
) {
    while let Ok(mut buffer) = to_fill.recv() {
        let count = match source.read(buffer.get_mut(room..).unwrap_or_default()) {
            Ok(0) => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            count => count,
        };
        let failed = count.is_err();
        if to_us
            .send(count.map(|count| Piece { buffer, count }))
            .is_err()
            || failed
        {
            return;
        }
    }
}

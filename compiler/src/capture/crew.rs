//! Looks through a capture in several threads. Each takes a piece, which is read and cut into frames
//! under a lock, and then looks at its frames while another thread reads: on the same processor, where
//! the bytes still are.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{CaptureError, Piece, Stream, StreamError};

/// More threads would wait for the reading.
const MOST: usize = 4;

/// How a capture came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadThrough {
    /// Packets that were left out because their interface is not Ethernet, per link type.
    pub left_out: BTreeMap<u16, u64>,
    /// What is wrong with the capture behind the last frame.
    pub error: Option<CaptureError>,
}

/// How many threads are worth while on this machine.
#[must_use]
pub fn size() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(MOST))
}

/// Shows all pieces of a capture to workers, each in a thread of its own: each piece to one of them,
/// and to each of them later pieces later. It ends before the capture if a worker wants no more.
///
/// # Errors
///
/// If the source can't be read.
pub fn look_through<R: Read + Send, W: Send>(
    stream: Stream<R>,
    workers: &mut [W],
    look: impl Fn(&mut W, &Piece) -> ControlFlow<()> + Sync,
) -> io::Result<ReadThrough> {
    let stream = Mutex::new(stream);
    let work = |worker: &mut W| {
        let mut piece = Piece::default();
        while locked(&stream).next_piece(&mut piece) {
            if look(worker, &piece).is_break() {
                break;
            }
        }
    };
    if let Some((first, others)) = workers.split_first_mut() {
        thread::scope(|scope| {
            for other in others {
                let work = &work;
                // Without a further thread it only takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, move || work(other));
            }
            work(first);
        });
    }
    let stream = stream.into_inner().unwrap_or_else(PoisonError::into_inner);
    let left_out = stream.left_out().clone();
    let error = match stream.finish() {
        Ok(()) => None,
        Err(StreamError::Capture(error)) => Some(error),
        Err(StreamError::Read(error)) => return Err(error),
    };
    Ok(ReadThrough { left_out, error })
}

/// What a lock guards is whole even if somebody panicked: they take their panic further.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

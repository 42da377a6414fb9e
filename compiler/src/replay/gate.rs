//! The gate of a replay, in a thread of its own: it takes the frames while others are read.
//!
//! What comes out does not depend on how far the thread is. Captures of several interfaces can have
//! frames out of order, and the guest sends in order: then all of them are sorted at the end, and
//! the gate takes them once more.

use std::iter;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use qdisc_model::packet::Tally;
use qdisc_model::schedule::{Fate, Outcome, Schedule, through_gate};

use super::{Options, Sent};

/// Frames that go to the thread at a time; few calls for many frames.
const BATCH: usize = 4096;
/// Batches on their way.
const BATCHES: usize = 4;

/// A gate that frames are given to.
#[derive(Debug)]
pub(super) struct Gate {
    batch: Vec<Sent>,
    /// Without it the gate takes all frames in the end.
    thread: Option<(SyncSender<Vec<Sent>>, JoinHandle<Gated>)>,
}

/// The frames in the order of their times, and what the gate did to them.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) sent: Vec<Sent>,
    pub(super) fates: Vec<Fate>,
    pub(super) most_held: Tally,
    /// If the capture was not in order: the place of each of its frames.
    pub(super) places: Option<Vec<usize>>,
}

impl Gate {
    pub(super) fn new(options: &Options) -> Self {
        let (to_thread, batches) = sync_channel(BATCHES);
        let (schedule, limit) = (options.schedule, options.limit);
        let thread = thread::Builder::new()
            .name(String::from("gate"))
            .spawn(move || Gated::of(schedule, limit, batches.into_iter()));
        Self {
            batch: Vec::with_capacity(BATCH),
            thread: thread.ok().map(|thread| (to_thread, thread)),
        }
    }

    /// The next frame of the capture.
    #[inline]
    pub(super) fn add(&mut self, sent: Sent) {
        self.batch.push(sent);
        if self.batch.len() >= BATCH
            && let Some((to_thread, _)) = &self.thread
        {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
            // It takes them until this end is dropped.
            let _ = to_thread.send(batch);
        }
    }

    /// What the gate did to all frames.
    pub(super) fn finish(self, options: &Options) -> Gated {
        let (schedule, limit) = (options.schedule, options.limit);
        let Some((to_thread, thread)) = self.thread else {
            return Gated::of(schedule, limit, iter::once(self.batch));
        };
        let _ = to_thread.send(self.batch);
        drop(to_thread);
        // Nothing in it panics; if something did, an empty answer would be worse.
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Gated {
    fn of(schedule: Schedule, limit: u64, batches: impl Iterator<Item = Vec<Sent>>) -> Self {
        let mut sent: Vec<Sent> = Vec::new();
        let mut in_order = true;
        let mut frames = batches.flatten();
        let taken = iter::from_fn(|| {
            for frame in frames.by_ref() {
                in_order = sent.last().is_none_or(|before| before.at <= frame.at);
                let id = sent.len() as u64;
                sent.push(frame);
                if !in_order {
                    return None;
                }
                if frame.of_guest {
                    return Some((frame.at, frame.packet(id)));
                }
            }
            None
        });
        let mut outcome = through_gate(schedule, limit, taken);
        let mut places = None;
        if !in_order {
            sent.extend(frames);
            places = Some(sort(&mut sent));
            let of_guest = (0..).zip(&sent).filter(|(_, sent)| sent.of_guest);
            let of_guest = of_guest.map(|(id, sent)| (sent.at, sent.packet(id)));
            outcome = through_gate(schedule, limit, of_guest);
        }
        let Outcome { fates, most_held } = outcome;
        Self {
            fates: of_all(&sent, fates),
            sent,
            most_held,
            places,
        }
    }
}

/// Puts frames into the order of their times; says where each has come to.
fn sort(sent: &mut [Sent]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sent.len()).collect();
    order.sort_by_key(|&index| sent.get(index).map(|sent| sent.at));
    let mut places = vec![0; order.len()];
    for (place, &index) in order.iter().enumerate() {
        if let Some(entry) = places.get_mut(index) {
            *entry = place;
        }
    }
    sent.sort_by_key(|sent| sent.at);
    places
}

/// What becomes of each frame. What others than the guest send leaves when it was sent.
fn of_all(sent: &[Sent], of_guest: Vec<Fate>) -> Vec<Fate> {
    if of_guest.len() == sent.len() {
        return of_guest;
    }
    let mut of_guest = of_guest.into_iter();
    let fates = sent.iter().map(|sent| match sent.of_guest {
        false => Fate::Left(sent.at),
        true => of_guest.next().unwrap_or(Fate::Overflow),
    });
    fates.collect()
}

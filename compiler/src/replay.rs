//! A capture through a gate: when each frame would have left, and what that does to the RTP
//! streams in it.
//!
//! The capture is taken for what the guest sent and when. A frame with verdict `bypass` leaves
//! when it was sent, one with `buffer` when its epoch is committed, in its order and without time
//! on the wire. A pause of the guest delays what was sent in it to its end.
//!
//! Frames are judged in several threads, and go through the gate in order, by whichever thread has the
//! next ones. What is held in memory is what the gate holds, and two receivers for each stream. Only a
//! capture whose frames are not in the order of their times, as those of several interfaces can be, has
//! to be known as a whole before its first frame is sent: then 16 bytes are kept of each frame, and 20
//! more of those that look like RTP. The frames themselves are kept where they are wanted behind the
//! gate.

mod figures;
pub mod json;
pub mod page;
mod streams;
mod take;
mod through;

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use policy_lang::{Policy, Table};
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Tally;
use qdisc_model::schedule::Schedule;

use crate::capture::crew::{self, ReadThrough};
use crate::capture::turns::Turns;
use crate::capture::{Frame, Record, Stream};
use crate::flow::Ends;
use crate::rtp::RtpStream;

pub use figures::{Behind, Figures};
use take::{Batch, Taker};
use through::Through;

/// What is replayed, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// When checkpoints come.
    pub schedule: Schedule,
    /// Most bytes held.
    pub limit: u64,
    /// The guest's addresses; none means that every frame is the guest's.
    pub guest: Vec<IpAddr>,
    /// The receiver of the streams.
    pub assumptions: Assumptions,
}

/// One stream before and behind the gate.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The stream.
    pub stream: RtpStream,
    /// Its packets that were held.
    pub held: u64,
    /// As captured.
    pub before: Figures,
    /// Behind the gate.
    pub after: Figures,
}

impl Compared {
    /// Where it comes from and where it goes: addresses with ports.
    #[must_use]
    pub fn ends(&self) -> (String, String) {
        match self.stream.key.flow.ends {
            Ends::Ip {
                src,
                dst,
                ports: Some((sport, dport)),
                ..
            } => (
                SocketAddr::new(src, sport).to_string(),
                SocketAddr::new(dst, dport).to_string(),
            ),
            _ => (String::new(), String::new()),
        }
    }

    /// What the policy does to it.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.held {
            0 => "bypass",
            held if held == self.before.packets => "buffer",
            _ => "both",
        }
    }
}

/// A replay with all that is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// What became of the capture.
    pub replayed: &'a Replayed,
    /// Packets that are no Ethernet frames.
    pub left_out: u64,
    /// Why the capture was replayed up to there only.
    pub error: Option<&'a str>,
}

/// What became of a capture.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// The streams, first seen first.
    pub streams: Vec<Compared>,
    /// Frames that others than the guest sent.
    pub foreign: u64,
    /// Frames of the guest that passed at once.
    pub bypassed: Tally,
    /// Frames of the guest that were to be held.
    pub held: Tally,
    /// Those of them that had no room.
    pub overflow: Tally,
    /// The most that was held at a time.
    pub most_held: Tally,
    /// How long held frames waited, in milliseconds: mean and longest.
    pub waited_ms: (f64, f64),
    /// The frames as they left, in that order.
    pub output: Vec<Record>,
}

/// A gate that captures can be sent through.
#[derive(Debug)]
pub struct Replay<'policy> {
    policy: &'policy Policy,
    options: Options,
    keep: bool,
}

impl<'policy> Replay<'policy> {
    /// A replay through the gate of `policy`; with `keep` it tells in the end which frames left
    /// when.
    #[must_use]
    pub fn new(policy: &'policy Policy, options: Options, keep: bool) -> Self {
        Self {
            policy,
            options,
            keep,
        }
    }

    /// Replays a capture whose frames are in the order of their times, up to where it is damaged;
    /// nothing if they are not.
    ///
    /// # Errors
    ///
    /// If the source can't be read.
    pub fn in_order<R: Read + Send>(
        &self,
        source: R,
    ) -> io::Result<Option<(Replayed, ReadThrough)>> {
        let through = Through::new(&self.options);
        let (through, read) = self.batches(source, through, Through::batch)?;
        Ok((!through.disorder()).then(|| (through.finish(), read)))
    }

    /// Replays a capture in the order of the times of its frames, up to where it is damaged.
    ///
    /// # Errors
    ///
    /// If the source can't be read.
    pub fn in_any_order<R: Read + Send>(&self, source: R) -> io::Result<(Replayed, ReadThrough)> {
        let keep = |batches: &mut Vec<Batch>, batch| {
            batches.push(batch);
            ControlFlow::Continue(())
        };
        let (batches, read) = self.batches(source, Vec::new(), keep)?;
        Ok((self.sorted(batches), read))
    }

    /// Gives what there is to say of the frames of a capture to `taker`, in the order of the file.
    fn batches<R: Read + Send, T: Send>(
        &self,
        source: R,
        taker: T,
        take: impl Fn(&mut T, Batch) -> ControlFlow<()> + Sync,
    ) -> io::Result<(T, ReadThrough)> {
        let table = Table::new(self.policy);
        let mut takers: Vec<Taker<'_>> = (0..crew::size())
            .map(|number| Taker::new(&table, self, number))
            .collect();
        let turns = Turns::new(taker);
        let read = crew::look_through(Stream::new(source), &mut takers, |taker, piece| {
            turns.bring(piece.number(), || taker.take(piece.frames()), &take)
        })?;
        let taker = turns.into_taker();
        let taker = taker.ok_or_else(|| io::Error::other("a thread has not come back"))?;
        Ok((taker, read))
    }

    fn sorted(&self, batches: impl IntoIterator<Item = Batch>) -> Replayed {
        let mut through = Through::new(&self.options);
        // They are in order, so it takes them all.
        let _ = through.batch(Batch::sorted(batches));
        through.finish()
    }
}

/// Replays frames through the gate of `policy`.
#[must_use]
pub fn replay(policy: &Policy, options: &Options, records: &[Record]) -> Replayed {
    let replay = Replay::new(policy, options.clone(), true);
    let table = Table::new(policy);
    let frames = records.iter().map(|record| Frame {
        number: record.number,
        time: record.time,
        bytes: &record.frame,
        original_len: record.original_len,
    });
    let batch = Taker::new(&table, &replay, 0).take(frames);
    replay.sorted([batch])
}

#[cfg(test)]
mod tests;

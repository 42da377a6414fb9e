//! Frames in order through the gate, and what they come to on the way: counts, streams, and the frames
//! themselves if they are wanted.

use std::ops::ControlFlow;
use std::time::Duration;

use policy_lang::Verdict;
use qdisc_model::schedule::{Entry, Left, Passage};

use super::streams::Streams;
use super::take::{Batch, Sent};
use super::{Options, Replayed};
use crate::capture::Record;
use crate::rtp::{Header, RtpPacket};

/// A replay that is under way.
#[derive(Debug)]
pub(super) struct Through {
    passage: Passage<Passing>,
    behind: Behind,
    /// By whoever took frames down: the parties that its keys belong to.
    parties: Vec<Vec<u32>>,
    /// When the first frame was sent, and the newest one.
    times: Option<(u64, u64)>,
    count: u64,
    disorder: bool,
}

/// What is known of the frames that have left.
#[derive(Debug)]
struct Behind {
    streams: Streams,
    replayed: Replayed,
    /// When the first frame left.
    start: Option<u64>,
    /// Frames that waited, and how long in all, in milliseconds.
    waited: (f64, f64),
}

/// A frame on its way.
#[derive(Debug)]
struct Passing {
    at: u64,
    /// Whether it waits for a commit.
    waits: bool,
    /// Its party, and what that hears.
    heard: Option<(u32, RtpPacket)>,
    record: Option<Box<Record>>,
}

impl Through {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            passage: Passage::new(options.schedule, options.limit),
            behind: Behind {
                streams: Streams::new(options.assumptions),
                replayed: Replayed::default(),
                start: None,
                waited: (0.0, 0.0),
            },
            parties: Vec::new(),
            times: None,
            count: 0,
            disorder: false,
        }
    }

    /// Takes the frames of a batch, up to one that was sent before another that came earlier.
    pub(super) fn batch(&mut self, batch: Batch) -> ControlFlow<()> {
        let Batch {
            by,
            sent,
            packets,
            descriptions,
            keys,
            records,
        } = batch;
        if self.parties.len() <= by {
            self.parties.resize(by + 1, Vec::new());
        }
        if let Some(parties) = self.parties.get_mut(by) {
            parties.extend(keys.into_iter().map(|key| self.behind.streams.party(key)));
        }
        let (mut packets, mut descriptions) = (packets.as_slice(), descriptions.as_slice());
        let mut records = records.into_iter();
        for (index, sent) in (0..).zip(sent) {
            if self.times.is_some_and(|(_, newest)| sent.at < newest) {
                self.disorder = true;
                return ControlFlow::Break(());
            }
            let start = self.times.map_or(sent.at, |(start, _)| start);
            self.times = Some((start, sent.at));
            if let Some(((at, text), later)) = descriptions.split_first()
                && *at == index
            {
                self.behind.streams.learn(text);
                descriptions = later;
            }
            let mut heard = None;
            if let Some(((at, key, header), later)) = packets.split_first()
                && *at == index
            {
                heard = self.packet(by, *key, *header, sent);
                packets = later;
            }
            self.frame(sent, heard, records.next().map(Box::new));
        }
        ControlFlow::Continue(())
    }

    /// Whether a frame was sent before another that came earlier.
    pub(super) fn disorder(&self) -> bool {
        self.disorder
    }

    fn packet(
        &mut self,
        by: usize,
        key: u32,
        header: Header,
        sent: Sent,
    ) -> Option<(u32, RtpPacket)> {
        let parties = self.parties.get(by)?;
        let party = *parties.get(usize::try_from(key).ok()?)?;
        let (start, _) = self.times?;
        // From the first frame of the capture, as Wireshark counts: then even what the numbers lose
        // in a capture of ten years is the same.
        let at_ms = milliseconds(sent.at - start);
        let held = sent.of_guest && sent.verdict == Verdict::Buffer;
        let packet = self.behind.streams.sent(party, header, at_ms, held)?;
        Some((party, packet))
    }

    #[inline]
    fn frame(&mut self, sent: Sent, heard: Option<(u32, RtpPacket)>, record: Option<Box<Record>>) {
        let Self {
            passage, behind, ..
        } = self;
        let passing = Passing {
            at: sent.at,
            waits: sent.of_guest && sent.verdict == Verdict::Buffer,
            heard,
            record,
        };
        let packet = sent.packet(self.count);
        self.count += 1;
        if !sent.of_guest {
            behind.replayed.foreign += 1;
            passage.stranger(sent.at, passing, |left| behind.left(left));
            return;
        }
        match passage.packet(sent.at, packet, passing, |left| behind.left(left)) {
            Entry::Passes => behind.replayed.bypassed.add(&packet),
            Entry::Waits => behind.replayed.held.add(&packet),
            Entry::Overflow => {
                behind.replayed.held.add(&packet);
                behind.replayed.overflow.add(&packet);
            }
        }
    }

    /// What became of all frames.
    pub(super) fn finish(mut self) -> Replayed {
        self.passage.finish(|left| self.behind.left(left));
        let Behind {
            streams,
            mut replayed,
            waited: (count, waited),
            ..
        } = self.behind;
        replayed.most_held = self.passage.most_held();
        if count > 0.0 {
            replayed.waited_ms.0 = waited / count;
        }
        replayed.streams = streams.finish();
        replayed
    }
}

impl Behind {
    #[inline]
    fn left(&mut self, left: Left<Passing>) {
        let Left { item, at } = left;
        let start = *self.start.get_or_insert(at);
        if item.waits {
            let wait = at.saturating_sub(item.at) as f64 / 1e6;
            self.waited.0 += 1.0;
            self.waited.1 += wait;
            self.replayed.waited_ms.1 = self.replayed.waited_ms.1.max(wait);
        }
        if let Some((party, packet)) = item.heard {
            let arrival = packet.arrival(milliseconds(at - start));
            self.streams.behind(party, arrival);
        }
        if let Some(mut record) = item.record {
            record.time = Duration::from_nanos(at);
            self.replayed.output.push(*record);
        }
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    seconds as f64 * 1e3 + rest as f64 / 1e6
}

//! A capture through a gate: when each frame would have left, and what that does to the RTP
//! streams in it.
//!
//! The capture is taken for what the guest sent and when. A frame with verdict `bypass` leaves
//! when it was sent, one with `buffer` when its epoch is committed, in its order and without time
//! on the wire. A pause of the guest delays what was sent in it to its end.

mod figures;
mod gate;

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use policy_lang::{Headers, Policy, Table, Verdict};
use qdisc_model::metrics::receiver::{Assumptions, Receiver};
use qdisc_model::packet::{Packet, Tally};
use qdisc_model::schedule::{Fate, Schedule};

use crate::capture::{Frame, Record};
use crate::flow::{Ends, FlowKey};
use crate::rtp::{Finder, RtpStream};

pub use figures::{Behind, Figures};
use gate::{Gate, Gated};

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

/// What became of a capture.
#[derive(Clone, Debug)]
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

/// A capture that is being read for a replay.
#[derive(Debug)]
pub struct Replay<'policy> {
    table: Table<'policy>,
    options: Options,
    gate: Gate,
    finder: Finder,
    /// Frames so far.
    count: usize,
    /// The frames themselves, if they are wanted behind the gate.
    kept: Option<Vec<Record>>,
}

impl<'policy> Replay<'policy> {
    /// A replay through the gate of `policy`; with `keep` it tells in the end which frames left
    /// when.
    #[must_use]
    pub fn new(policy: &'policy Policy, options: Options, keep: bool) -> Self {
        Self {
            table: Table::new(policy),
            gate: Gate::new(&options),
            options,
            finder: Finder::default(),
            count: 0,
            kept: keep.then(Vec::new),
        }
    }

    /// Takes the next frame of the capture.
    pub fn add(&mut self, frame: Frame<'_>) {
        let headers = Headers::of(frame.bytes);
        let guest = &self.options.guest;
        self.gate.add(Sent {
            at: nanoseconds(frame.time),
            bytes: frame.original_len,
            verdict: match &headers {
                Some(headers) => self.table.decide(headers).verdict,
                None => self.table.classify(frame.bytes).verdict,
            },
            of_guest: guest.is_empty()
                || source(headers.as_ref()).is_some_and(|source| guest.contains(&source)),
        });
        if let Some(headers) = &headers {
            self.finder.add_with(self.count, headers);
        }
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            kept.push(frame.to_record());
        }
    }

    /// Sends what was read through the gate.
    #[must_use]
    pub fn finish(mut self) -> Replayed {
        let gated = self.gate.finish(&self.options);
        if let Some(places) = &gated.places {
            self.finder
                .reorder(|index| places.get(index).copied().unwrap_or(index));
            if let Some(kept) = &mut self.kept {
                kept.sort_by_key(|record| nanoseconds(record.time));
            }
        }
        let Gated {
            sent,
            fates,
            most_held,
            ..
        } = gated;
        let mut result = Replayed {
            streams: Vec::new(),
            foreign: 0,
            bypassed: Tally::default(),
            held: Tally::default(),
            overflow: Tally::default(),
            most_held,
            waited_ms: (0.0, 0.0),
            output: Vec::new(),
        };
        result.count(&sent, &fates);
        result.streams = compare(self.finder.finish(), &self.options, &sent, &fates);
        result.output = self.kept.map_or_else(Vec::new, |kept| output(kept, &fates));
        result
    }
}

/// Replays frames through the gate of `policy`.
#[must_use]
pub fn replay(policy: &Policy, options: &Options, records: &[Record]) -> Replayed {
    let mut replay = Replay::new(policy, options.clone(), true);
    for record in records {
        replay.add(Frame {
            number: record.number,
            time: record.time,
            bytes: &record.frame,
            original_len: record.original_len,
        });
    }
    replay.finish()
}

/// The streams as they were sent and behind the gate.
fn compare(
    streams: Vec<RtpStream>,
    options: &Options,
    sent: &[Sent],
    fates: &[Fate],
) -> Vec<Compared> {
    let sent_at = |frame: usize| sent.get(frame).map(|sent| sent.at);
    let left_at = |frame: usize| fates.get(frame).copied().and_then(left);
    let before = || all_figures(&streams, options, sent_at, sent.first().map(|sent| sent.at));
    let first_left = fates.iter().copied().filter_map(left).min();
    let after = || all_figures(&streams, options, left_at, first_left);
    let (before, after) = thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, before);
        let after = after();
        // Without a second thread it only takes longer.
        let joined = worker.ok().and_then(|worker| worker.join().ok());
        (joined, after)
    });
    let before = before.unwrap_or_else(|| {
        all_figures(&streams, options, sent_at, sent.first().map(|sent| sent.at))
    });
    let pairs = streams.into_iter().zip(before.into_iter().zip(after));
    let compared = pairs.map(|(stream, (before, after))| Compared {
        held: count(stream.packets.iter().filter(|packet| {
            sent.get(packet.frame)
                .is_some_and(|sent| sent.of_guest && sent.verdict == Verdict::Buffer)
        })),
        before,
        after,
        stream,
    });
    compared.collect()
}

fn left(fate: Fate) -> Option<u64> {
    match fate {
        Fate::Left(at) => Some(at),
        Fate::Overflow => None,
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    items.fold(0, |count, _| count + 1)
}

/// A frame and what the policy says of it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: u64,
    bytes: u32,
    verdict: Verdict,
    of_guest: bool,
}

impl Sent {
    fn packet(&self, id: u64) -> Packet {
        match self.verdict {
            Verdict::Buffer => Packet::held(id, self.bytes),
            Verdict::Bypass => Packet::passing(id, self.bytes),
        }
    }
}

/// The IP source, if there is an IP header.
fn source(headers: Option<&Headers<'_>>) -> Option<IpAddr> {
    match FlowKey::with(headers?).ends {
        Ends::Ip { src, .. } => Some(src),
        Ends::Ethernet(_) | Ends::Short => None,
    }
}

impl Replayed {
    fn count(&mut self, sent: &[Sent], fates: &[Fate]) {
        let (mut waited, mut count) = (0.0, 0.0);
        for (id, (sent, fate)) in (0..).zip(sent.iter().zip(fates)) {
            if !sent.of_guest {
                self.foreign += 1;
                continue;
            }
            let packet = sent.packet(id);
            match sent.verdict {
                Verdict::Bypass => self.bypassed.add(&packet),
                Verdict::Buffer => self.held.add(&packet),
            }
            match left(*fate) {
                None => self.overflow.add(&packet),
                Some(left) if sent.verdict == Verdict::Buffer => {
                    let wait = left.saturating_sub(sent.at) as f64 / 1e6;
                    waited += wait;
                    count += 1.0;
                    self.waited_ms.1 = self.waited_ms.1.max(wait);
                }
                Some(_) => {}
            }
        }
        if count > 0.0 {
            self.waited_ms.0 = waited / count;
        }
    }
}

/// What a receiver makes of each stream whose frames arrive when `at` says; none is lost.
fn all_figures(
    streams: &[RtpStream],
    options: &Options,
    at: impl Fn(usize) -> Option<u64>,
    start: Option<u64>,
) -> Vec<Figures> {
    // From the first frame of the capture, as Wireshark counts: then even what the numbers lose in
    // a capture of ten years is the same.
    let start = start.unwrap_or_default();
    let mut arrivals: Vec<(u64, usize)> = Vec::new();
    let figures = |stream: &RtpStream| {
        arrivals.clear();
        arrivals.extend(
            (0..)
                .zip(&stream.packets)
                .filter_map(|(place, packet)| Some((at(packet.frame)?, place))),
        );
        arrivals.sort_unstable();
        let assumptions = Assumptions {
            codec: stream.codec(),
            ..options.assumptions
        };
        let mut receiver = Receiver::new(assumptions);
        for (at, place) in &arrivals {
            if let Some(packet) = stream.packets.get(*place) {
                receiver.arrive(packet.arrival(milliseconds(at - start)));
            }
        }
        receiver.finish();
        Figures::of(&receiver)
    };
    streams.iter().map(figures).collect()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn milliseconds(nanoseconds: u64) -> f64 {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    seconds as f64 * 1e3 + rest as f64 / 1e6
}

/// The frames that left, in order, with the times at which they did.
fn output(records: Vec<Record>, fates: &[Fate]) -> Vec<Record> {
    let mut output: Vec<Record> = records
        .into_iter()
        .zip(fates)
        .filter_map(|(mut record, fate)| {
            record.time = Duration::from_nanos(left(*fate)?);
            Some(record)
        })
        .collect();
    output.sort_by_key(|record| record.time);
    output
}

#[cfg(test)]
mod tests;

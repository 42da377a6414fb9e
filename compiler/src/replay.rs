//! A capture through a gate: when each frame would have left, and what that does to the RTP
//! streams in it.
//!
//! The capture is taken for what the guest sent and when. A frame with verdict `bypass` leaves
//! when it was sent, one with `buffer` when its epoch is committed, in its order and without time
//! on the wire. A pause of the guest delays what was sent in it to its end.

mod figures;

use std::net::IpAddr;
use std::time::Duration;

use policy_lang::packet::Packet as Frame;
use policy_lang::{Policy, Verdict, classify};
use qdisc_model::metrics::receiver::{Assumptions, Receiver};
use qdisc_model::packet::{Packet, Tally};
use qdisc_model::schedule::{Fate, Outcome, Schedule, through_gate};

use crate::capture::Record;
use crate::flow::{Ends, FlowKey};
use crate::rtp::{Finder, RtpStream};

pub use figures::{Behind, Figures};

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

/// Replays frames through the gate of `policy`.
#[must_use]
pub fn replay(policy: &Policy, options: &Options, mut records: Vec<Record>) -> Replayed {
    // Captures of several interfaces can have frames out of order; the guest sends in order.
    records.sort_by_key(|record| record.time);
    let mut finder = Finder::default();
    for (index, record) in records.iter().enumerate() {
        finder.add(index, &record.frame);
    }
    let sent: Vec<Sent> = records
        .iter()
        .map(|r| Sent::new(policy, options, r))
        .collect();
    let of_guest: Vec<(u64, Packet)> = (0..)
        .zip(&sent)
        .filter(|(_, sent)| sent.of_guest)
        .map(|(id, sent)| (sent.at, sent.packet(id)))
        .collect();
    let Outcome { fates, most_held } = through_gate(options.schedule, options.limit, &of_guest);
    let mut fates = fates.into_iter();
    let left: Vec<Option<u64>> = sent
        .iter()
        .map(|sent| match sent.of_guest {
            false => Some(sent.at),
            true => fates.next().and_then(|fate| match fate {
                Fate::Left(at) => Some(at),
                Fate::Overflow => None,
            }),
        })
        .collect();
    let before: Vec<Option<u64>> = sent.iter().map(|sent| Some(sent.at)).collect();
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
    result.count(&sent, &left);
    result.streams = finder
        .finish()
        .into_iter()
        .map(|stream| Compared {
            held: count(stream.packets.iter().filter(|packet| {
                sent.get(packet.frame)
                    .is_some_and(|sent| sent.of_guest && sent.verdict == Verdict::Buffer)
            })),
            before: figures(&stream, &before, options),
            after: figures(&stream, &left, options),
            stream,
        })
        .collect();
    result.output = output(records, &left);
    result
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    items.fold(0, |count, _| count + 1)
}

/// A frame and what the policy says of it.
struct Sent {
    at: u64,
    bytes: u32,
    verdict: Verdict,
    of_guest: bool,
}

impl Sent {
    fn new(policy: &Policy, options: &Options, record: &Record) -> Self {
        Self {
            at: u64::try_from(record.time.as_nanos()).unwrap_or(u64::MAX),
            bytes: record.original_len,
            verdict: classify(policy, &record.frame).verdict,
            of_guest: options.guest.is_empty()
                || source(&record.frame).is_some_and(|source| options.guest.contains(&source)),
        }
    }

    fn packet(&self, id: u64) -> Packet {
        match self.verdict {
            Verdict::Buffer => Packet::held(id, self.bytes),
            Verdict::Bypass => Packet::passing(id, self.bytes),
        }
    }
}

/// The IP source, if there is an IP header.
fn source(frame: &[u8]) -> Option<IpAddr> {
    Frame::new(frame).family()?;
    match FlowKey::of(frame).ends {
        Ends::Ip { src, .. } => Some(src),
        Ends::Ethernet(_) | Ends::Short => None,
    }
}

impl Replayed {
    fn count(&mut self, sent: &[Sent], left: &[Option<u64>]) {
        let (mut waited, mut count) = (0.0, 0.0);
        for (id, (sent, left)) in (0..).zip(sent.iter().zip(left)) {
            if !sent.of_guest {
                self.foreign += 1;
                continue;
            }
            let packet = sent.packet(id);
            match sent.verdict {
                Verdict::Bypass => self.bypassed.add(&packet),
                Verdict::Buffer => self.held.add(&packet),
            }
            match left {
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

/// What a receiver makes of a stream whose frames arrive at these times; none is lost.
fn figures(stream: &RtpStream, times: &[Option<u64>], options: &Options) -> Figures {
    let mut arrivals: Vec<(u64, usize)> = (0..)
        .zip(&stream.packets)
        .filter_map(|(place, packet)| Some((times.get(packet.frame).copied()??, place)))
        .collect();
    arrivals.sort_unstable();
    let assumptions = Assumptions {
        codec: stream.codec(),
        ..options.assumptions
    };
    let mut receiver = Receiver::new(assumptions);
    // From the first frame of the capture, as Wireshark counts: then even what the numbers lose in
    // a capture of ten years is the same.
    let start = times.iter().flatten().min().copied().unwrap_or_default();
    for (at, place) in arrivals {
        if let Some(packet) = stream.packets.get(place) {
            receiver.arrive(packet.arrival(milliseconds(at - start)));
        }
    }
    receiver.finish();
    Figures::of(&receiver)
}

fn milliseconds(nanoseconds: u64) -> f64 {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    seconds as f64 * 1e3 + rest as f64 / 1e6
}

/// The frames that left, in order, with the times at which they did.
fn output(records: Vec<Record>, left: &[Option<u64>]) -> Vec<Record> {
    let mut output: Vec<Record> = records
        .into_iter()
        .zip(left)
        .filter_map(|(mut record, left)| {
            record.time = Duration::from_nanos((*left)?);
            Some(record)
        })
        .collect();
    output.sort_by_key(|record| record.time);
    output
}

#[cfg(test)]
mod tests;

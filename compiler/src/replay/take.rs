//! What a replay takes down of frames, in any thread: little of most of them.

use std::net::IpAddr;
use std::time::Duration;

use policy_lang::{Headers, Table, Verdict};
use qdisc_model::packet::Packet;

use super::Replay;
use crate::capture::{Frame, Record};
use crate::flow::{Ends, FlowKey};
use crate::rtp::{Header, Spotted, Spotter, StreamKey};

/// A frame and what the policy says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: u64,
    pub(super) bytes: u32,
    pub(super) verdict: Verdict,
    pub(super) of_guest: bool,
}

impl Sent {
    pub(super) fn packet(&self, id: u64) -> Packet {
        match self.verdict {
            Verdict::Buffer => Packet::held(id, self.bytes),
            Verdict::Bypass => Packet::passing(id, self.bytes),
        }
    }
}

/// Frames that follow one another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Who took them down.
    pub(super) by: usize,
    pub(super) sent: Vec<Sent>,
    /// Which of them may be packets of streams: its index, and the number of the key.
    pub(super) packets: Vec<(u32, u32, Header)>,
    /// Which of them describe a session.
    pub(super) descriptions: Vec<(u32, Vec<u8>)>,
    /// The keys that are new to whoever took the frames down, in the order of their numbers.
    pub(super) keys: Vec<StreamKey>,
    /// The frames themselves, if they are wanted behind the gate.
    pub(super) records: Vec<Record>,
}

/// Takes frames down.
#[derive(Debug)]
pub(super) struct Taker<'replay> {
    table: &'replay Table<'replay>,
    replay: &'replay Replay<'replay>,
    number: usize,
    spotter: Spotter,
    /// How many of its keys are in batches.
    told: usize,
}

impl<'replay> Taker<'replay> {
    pub(super) fn new(
        table: &'replay Table<'replay>,
        replay: &'replay Replay<'replay>,
        number: usize,
    ) -> Self {
        Self {
            table,
            replay,
            number,
            spotter: Spotter::default(),
            told: 0,
        }
    }

    pub(super) fn take<'frame>(
        &mut self,
        frames: impl ExactSizeIterator<Item = Frame<'frame>>,
    ) -> Batch {
        let mut batch = Batch {
            by: self.number,
            sent: Vec::with_capacity(frames.len()),
            ..Batch::default()
        };
        for (index, frame) in (0..).zip(frames) {
            self.add(&mut batch, index, frame);
        }
        let new = self.spotter.keys().get(self.told..).unwrap_or_default();
        batch.keys.extend(new);
        self.told = self.spotter.keys().len();
        batch
    }

    #[inline]
    fn add(&mut self, batch: &mut Batch, index: u32, frame: Frame<'_>) {
        let headers = Headers::of(frame.bytes);
        let guest = &self.replay.options.guest;
        batch.sent.push(Sent {
            at: nanoseconds(frame.time),
            bytes: frame.original_len,
            verdict: match &headers {
                Some(headers) => self.table.decide(headers).verdict,
                None => self.table.classify(frame.bytes).verdict,
            },
            of_guest: guest.is_empty()
                || source(headers.as_ref()).is_some_and(|source| guest.contains(&source)),
        });
        match headers.and_then(|headers| self.spotter.look(&headers)) {
            Some(Spotted::Packet(key, header)) => batch.packets.push((index, key, header)),
            Some(Spotted::Description(text)) => batch.descriptions.push((index, text.to_vec())),
            None => {}
        }
        if self.replay.keep {
            batch.records.push(frame.to_record());
        }
    }
}

impl Batch {
    /// All frames of batches that follow one another, in the order of their times.
    pub(super) fn sorted(batches: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        // By whoever took them down: what their keys are here.
        let mut numbers: Vec<Vec<u32>> = Vec::new();
        for batch in batches {
            let before = all.sent.len();
            if numbers.len() <= batch.by {
                numbers.resize(batch.by + 1, Vec::new());
            }
            if let Some(numbers) = numbers.get_mut(batch.by) {
                numbers.extend((all.keys.len()..).filter_map(narrow).take(batch.keys.len()));
                let packets = batch
                    .packets
                    .into_iter()
                    .filter_map(|(index, key, header)| {
                        let key = numbers.get(usize::try_from(key).ok()?)?;
                        Some((narrow(before + usize::try_from(index).ok()?)?, *key, header))
                    });
                all.packets.extend(packets);
            }
            let descriptions = batch.descriptions.into_iter().filter_map(|(index, text)| {
                Some((narrow(before + usize::try_from(index).ok()?)?, text))
            });
            all.descriptions.extend(descriptions);
            all.keys.extend(batch.keys);
            all.sent.extend(batch.sent);
            all.records.extend(batch.records);
        }
        all.sort();
        all
    }

    fn sort(&mut self) {
        if self.sent.is_sorted_by_key(|sent| sent.at) {
            return;
        }
        let mut order: Vec<usize> = (0..self.sent.len()).collect();
        order.sort_by_key(|&index| self.sent.get(index).map(|sent| sent.at));
        let mut places = vec![0; order.len()];
        for (place, &index) in (0..).zip(&order) {
            if let Some(entry) = places.get_mut(index) {
                *entry = place;
            }
        }
        let place_of = |index: u32| {
            let place = usize::try_from(index).ok().and_then(|i| places.get(i));
            place.copied().unwrap_or(index)
        };
        for (index, ..) in &mut self.packets {
            *index = place_of(*index);
        }
        for (index, _) in &mut self.descriptions {
            *index = place_of(*index);
        }
        self.packets.sort_by_key(|(index, ..)| *index);
        self.descriptions.sort_by_key(|(index, _)| *index);
        self.sent.sort_by_key(|sent| sent.at);
        self.records.sort_by_key(|record| nanoseconds(record.time));
    }
}

fn narrow(number: usize) -> Option<u32> {
    u32::try_from(number).ok()
}

/// The IP source, if there is an IP header.
fn source(headers: Option<&Headers<'_>>) -> Option<IpAddr> {
    match FlowKey::with(headers?).ends {
        Ends::Ip { src, .. } => Some(src),
        Ends::Ethernet(_) | Ends::Short => None,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

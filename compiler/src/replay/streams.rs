//! Two receivers for each stream, one before the gate and one behind it, that hear its packets while
//! the capture is read: no packet is kept.

use std::collections::HashMap;

use qdisc_model::metrics::Arrival;
use qdisc_model::metrics::receiver::{Assumptions, Receiver};

use super::{Compared, Figures};
use crate::rtp::{Announced, Candidate, Header, RtpPacket, RtpStream, StreamKey};

/// Where a packet is heard.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Before,
    Behind,
}

/// All that may be streams.
#[derive(Debug)]
pub(super) struct Streams {
    assumptions: Assumptions,
    announced: Announced,
    /// Looked up, never gone through: its order is no one's.
    numbers: HashMap<StreamKey, u32>,
    parties: Vec<Party>,
    /// The parties that have packets, in the order of the first of them.
    order: Vec<u32>,
}

#[derive(Debug)]
struct Party {
    candidate: Candidate,
    /// Its packets that were held.
    held: u64,
    ears: Ears,
}

/// What looks like RTP once or twice is often something else, and there may be millions of that: it
/// gets no receivers yet.
#[derive(Debug)]
enum Ears {
    Early(Vec<(Side, Arrival)>),
    Both(Box<Receivers>),
}

#[derive(Debug)]
struct Receivers {
    before: Receiver,
    behind: Receiver,
}

impl Receivers {
    fn hear(&mut self, side: Side, arrival: Arrival) {
        match side {
            Side::Before => self.before.arrive(arrival),
            Side::Behind => self.behind.arrive(arrival),
        }
    }
}

impl Streams {
    pub(super) fn new(assumptions: Assumptions) -> Self {
        Self {
            assumptions,
            announced: Announced::default(),
            numbers: HashMap::new(),
            parties: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Takes in the description of a session.
    pub(super) fn learn(&mut self, text: &[u8]) {
        self.announced.learn(text);
    }

    /// The number of the party with this key. There are no more than numbers for them.
    pub(super) fn party(&mut self, key: StreamKey) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            let number = u32::try_from(self.parties.len()).unwrap_or(u32::MAX);
            self.parties.push(Party {
                candidate: Candidate::new(key),
                held: 0,
                ears: Ears::Early(Vec::new()),
            });
            number
        })
    }

    /// A packet is sent; gives it as it is to be heard behind the gate, if it may be of a stream.
    pub(super) fn sent(
        &mut self,
        number: u32,
        header: Header,
        at_ms: f64,
        held: bool,
    ) -> Option<RtpPacket> {
        let party = self.parties.get_mut(index(number))?;
        let packet = party.candidate.take(&self.announced, header)?;
        if party.candidate.packets() == 1 {
            self.order.push(number);
        }
        party.held += u64::from(held);
        if party.candidate.is_enough()
            && let Ears::Early(early) = &mut party.ears
        {
            let mut both = Box::new(Receivers {
                before: Receiver::new(self.assumptions),
                behind: Receiver::new(self.assumptions),
            });
            for (side, arrival) in early.drain(..) {
                both.hear(side, arrival);
            }
            party.ears = Ears::Both(both);
        }
        party.hear(Side::Before, packet.arrival(at_ms));
        Some(packet)
    }

    /// A packet that was sent is behind the gate.
    pub(super) fn behind(&mut self, number: u32, arrival: Arrival) {
        if let Some(party) = self.parties.get_mut(index(number)) {
            party.hear(Side::Behind, arrival);
        }
    }

    /// The streams, first seen first.
    pub(super) fn finish(self) -> Vec<Compared> {
        let Self { parties, order, .. } = self;
        let mut parties: Vec<Option<Party>> = parties.into_iter().map(Some).collect();
        let in_order = order.into_iter().filter_map(|number| {
            let party = parties.get_mut(index(number))?.take()?;
            party.compared()
        });
        in_order.collect()
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Party {
    #[inline]
    fn hear(&mut self, side: Side, arrival: Arrival) {
        match &mut self.ears {
            Ears::Early(early) => early.push((side, arrival)),
            Ears::Both(both) => both.hear(side, arrival),
        }
    }

    /// Its figures, if it is a stream.
    fn compared(self) -> Option<Compared> {
        let Self {
            candidate,
            held,
            ears,
            ..
        } = self;
        let Ears::Both(mut both) = ears else {
            return None;
        };
        let figures = |receiver: &mut Receiver| {
            receiver.set_codec(candidate.codec());
            receiver.finish();
            Figures::of(receiver)
        };
        candidate.is_stream().then(|| Compared {
            stream: RtpStream {
                key: candidate.key(),
                announced: candidate.announced(),
            },
            held,
            before: figures(&mut both.before),
            after: figures(&mut both.behind),
        })
    }
}

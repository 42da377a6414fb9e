//! The events, in order of their times; those of the same time in the order in which they were
//! made.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::random::{Random, whole};
use super::result::{CallFigures, Class, FailoverFigures, HeldAmounts, Outcome, Point};
use super::source::{Sent, Source, packet_bytes};
use super::{Checkpoints, Config};
use crate::epoch::{Arrival as Entry, Gate, OnLate, OnOverflow, Settings};
use crate::metrics::Arrival;
use crate::metrics::receiver::{Assumptions, Receiver};
use crate::packet::{Packet, Verdict};

/// Bytes of a SIP message's frame, an INVITE with SDP.
const SIP_BYTES: u32 = 900;

/// Payload and frame of a full TCP segment.
const SEGMENT: (u32, u32) = (1448, 1514);

/// After this long a TCP sender takes a segment for lost (the least of RFC 6298 as Linux has it).
const RETRANSMIT: u64 = 200_000_000;

/// What Ethernet adds to a frame on the wire: preamble, check sequence, gap.
const WIRE_OVERHEAD: u32 = 24;

/// The guest is not stopped.
const RUNNING: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The timer of a call's sender fires.
    Call(usize),
    /// A SIP message that was due at this time is sent.
    Signalling(u64),
    /// A TCP segment that was due at this time is sent.
    Segment(u64),
    /// The guest is suspended.
    Suspend,
    /// The checkpoint is safe.
    Commit,
    /// The primary dies.
    Fail,
    /// The backup's guest runs.
    Recover,
}

/// What a packet is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Call(usize, Sent),
    Signalling,
    Segment,
}

/// A packet in the gate.
#[derive(Clone, Copy, Debug)]
struct Held {
    kind: Kind,
    due: u64,
    bytes: u32,
}

struct Simulation {
    config: Config,
    random: Random,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    made: u64,
    gate: Gate,
    waiting: VecDeque<Held>,
    sources: Vec<Source>,
    receivers: Vec<Receiver>,
    /// When the last packet of each call came, and the least time that any took from its due time.
    arrived: Vec<(u64, u64)>,
    media_bytes: u32,
    classes: [Class; 3],
    link_free: u64,
    /// When the guest goes on; [`RUNNING`] if it runs.
    stopped_until: u64,
    suspended_at: u64,
    went_on_at: u64,
    primary: bool,
    delivered: u64,
    periods: (u64, u64),
    pauses: f64,
    transfers: f64,
    held: HeldAmounts,
    /// The sources as the open and as the last committed checkpoint have them, and its time.
    snapshots: Snapshots,
    heard: u64,
    down: bool,
    outcome: Outcome,
}

#[derive(Default)]
struct Snapshots {
    open: (u64, Vec<Source>),
    committed: (u64, Vec<Source>),
}

/// Runs a simulation. `progress` is told now and then how much of the time is over: nanoseconds
/// done and of all.
#[must_use]
pub fn run(config: &Config, mut progress: impl FnMut(u64, u64)) -> Outcome {
    let mut simulation = Simulation::new(*config);
    let mut handled = 0_u64;
    while let Some(Reverse((now, _, event))) = simulation.events.pop() {
        if now >= config.duration {
            break;
        }
        simulation.handle(now, event);
        handled += 1;
        if handled.is_multiple_of(1 << 20) {
            progress(now, config.duration);
        }
    }
    simulation.finish()
}

impl Simulation {
    fn new(config: Config) -> Self {
        let mut random = Random::new(config.seed);
        let calls = usize::try_from(config.calls.count).unwrap_or(usize::MAX);
        let sources: Vec<Source> = (0..calls)
            .map(|_| Source::new(config.calls, &mut random))
            .collect();
        let assumptions = Assumptions {
            codec: config.calls.codec.impairment(),
            ..config.assumptions
        };
        let mut simulation = Self {
            config,
            random,
            events: BinaryHeap::new(),
            made: 0,
            gate: Gate::new(Settings {
                limit: config.limit,
                in_flight: 1,
                on_overflow: OnOverflow::DropNewest,
                on_late: OnLate::Hold,
            }),
            waiting: VecDeque::new(),
            receivers: vec![Receiver::new(assumptions); calls],
            arrived: vec![(0, u64::MAX); calls],
            media_bytes: packet_bytes(config.calls),
            classes: Default::default(),
            link_free: 0,
            stopped_until: RUNNING,
            suspended_at: 0,
            went_on_at: 0,
            primary: true,
            delivered: 0,
            periods: (0, 0),
            pauses: 0.0,
            transfers: 0.0,
            held: HeldAmounts::default(),
            snapshots: Snapshots {
                open: (0, Vec::new()),
                committed: (0, sources.clone()),
            },
            heard: 0,
            down: false,
            outcome: Outcome::default(),
            sources,
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        for call in 0..self.sources.len() {
            self.schedule_call(call, 0);
        }
        if self.config.signalling_rate > 0.0 {
            self.schedule_signalling(0);
        }
        self.open_bulk(0);
        if let Some(checkpoints) = self.config.checkpoints {
            self.at(checkpoints.interval, Event::Suspend);
        }
        if let Some(failover) = self.config.failover {
            self.at(failover.at, Event::Fail);
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.events.push(Reverse((time, self.made, event)));
        self.made += 1;
    }

    fn schedule_call(&mut self, call: usize, now: u64) {
        let noise = self.random.delay(self.config.calls.timer_noise);
        if let Some(due) = self.sources.get(call).map(|source| source.due) {
            self.at((due + noise).max(now), Event::Call(call));
        }
    }

    fn schedule_signalling(&mut self, now: u64) {
        let wait = whole(self.random.exponential(1e9 / self.config.signalling_rate));
        let due = now.saturating_add(wait);
        self.at(due, Event::Signalling(due));
    }

    /// A window's worth of segments, a microsecond apart.
    fn open_bulk(&mut self, now: u64) {
        if let Some(bulk) = self.config.bulk {
            for segment in 0..u64::from(bulk.window / SEGMENT.0).max(1) {
                self.segment_at(now + segment * 1_000);
            }
        }
    }

    fn segment_at(&mut self, due: u64) {
        self.at(due, Event::Segment(due));
    }

    fn handle(&mut self, now: u64, event: Event) {
        match event {
            Event::Call(_) | Event::Signalling(_) | Event::Segment(_) if self.down => {}
            Event::Call(_) | Event::Signalling(_) | Event::Segment(_)
                if now < self.stopped_until =>
            {
                // A stopped guest does at its going on what was due.
                self.at(self.stopped_until, event);
            }
            Event::Call(call) => self.call(call, now),
            Event::Signalling(due) => {
                self.enter(now, due, Kind::Signalling, SIP_BYTES);
                self.schedule_signalling(now);
            }
            Event::Segment(due) => self.enter(now, due, Kind::Segment, SEGMENT.1),
            Event::Suspend => self.suspend(now),
            Event::Commit => self.commit(now),
            Event::Fail => self.fail(now),
            Event::Recover => self.recover(now),
        }
    }

    fn call(&mut self, call: usize, now: u64) {
        let calls = self.config.calls;
        let Some(source) = self.sources.get_mut(call) else {
            return;
        };
        let due = source.due;
        let sent = source.send(calls, &mut self.random);
        self.enter(now, due, Kind::Call(call, sent), self.media_bytes);
        self.schedule_call(call, now);
    }

    fn class(&mut self, kind: Kind) -> &mut Class {
        let [media, signalling, bulk] = &mut self.classes;
        match kind {
            Kind::Call(..) => media,
            Kind::Signalling => signalling,
            Kind::Segment => bulk,
        }
    }

    /// A packet that was due at `due` comes to the gate.
    fn enter(&mut self, now: u64, due: u64, kind: Kind, bytes: u32) {
        let verdicts = self.config.verdicts;
        let verdict = match kind {
            Kind::Call(..) => verdicts.media,
            Kind::Signalling => verdicts.signalling,
            Kind::Segment => verdicts.bulk,
        };
        self.outcome.packets += 1;
        let packet = match verdict {
            Verdict::Buffer => Packet::held(self.outcome.packets, bytes),
            Verdict::Bypass => Packet::passing(self.outcome.packets, bytes),
        };
        self.class(kind).sent.add(&packet);
        let held = Held { kind, due, bytes };
        let gated = self.config.checkpoints.is_some() && self.primary;
        if !gated {
            self.leave(now, held);
            return;
        }
        match self.gate.arrive(packet) {
            Entry::Passed => self.leave(now, held),
            Entry::Held { .. } => {
                self.waiting.push_back(held);
                let (now_held, most) = (self.gate.held(), &mut self.outcome.most_held);
                most.packets = most.packets.max(now_held.packets);
                most.bytes = most.bytes.max(now_held.bytes);
            }
            Entry::Dropped { .. } => self.lose(now, kind),
        }
    }

    /// A packet that will never arrive; TCP sends it again.
    fn lose(&mut self, now: u64, kind: Kind) {
        self.class(kind).dropped += 1;
        if let Kind::Segment = kind {
            self.segment_at(now + RETRANSMIT);
        }
    }

    /// A packet leaves the gate, goes over the link and the network and arrives, or not.
    fn leave(&mut self, now: u64, packet: Held) {
        let network = self.config.network;
        self.class(packet.kind)
            .delays
            .add(now.saturating_sub(packet.due));
        let bits = f64::from(packet.bytes + WIRE_OVERHEAD) * 8.0;
        // A link that is too slow by far would end after the time that 64 bits can say.
        self.link_free = (self.link_free.max(now)).saturating_add(whole(bits * 1e9 / network.rate));
        let noise = self.random.delay(network.noise);
        let arrival = self
            .link_free
            .saturating_add(network.delay)
            .saturating_add(noise);
        let lost = network.loss > 0.0 && self.random.unit() < network.loss;
        match packet.kind {
            Kind::Call(..) | Kind::Signalling if lost => {}
            Kind::Call(call, sent) => self.receive(call, sent, packet.due, arrival),
            Kind::Signalling => {}
            Kind::Segment if lost => self.segment_at(now + RETRANSMIT),
            Kind::Segment => {
                self.delivered += u64::from(SEGMENT.0);
                self.segment_at(arrival.saturating_add(network.delay));
            }
        }
    }

    fn receive(&mut self, call: usize, sent: Sent, due: u64, arrival: u64) {
        let codec = self.config.calls.codec;
        let (Some(receiver), Some((last, least))) =
            (self.receivers.get_mut(call), self.arrived.get_mut(call))
        else {
            return;
        };
        let before = std::mem::replace(last, arrival.max(*last));
        let arrival = *last;
        *least = arrival.saturating_sub(due).min(*least);
        if let (0, Some(failover), Some(figures)) =
            (call, self.config.failover, &mut self.outcome.failover)
            && arrival >= failover.at
        {
            figures.gap_ms = figures.gap_ms.max((arrival - before) as f64 / 1e6);
        }
        let arrival = Arrival {
            at_ms: arrival as f64 / 1e6,
            sequence: sent.sequence,
            timestamp: sent.timestamp,
            payload_type: codec.payload_type(),
            marker: sent.marker,
            clock_rate: Some(codec.clock_rate()),
        };
        receiver.arrive(arrival);
        if self.config.record && call == 0 {
            let jitter_ms = receiver.stream().jitter_now;
            self.outcome.points.push(Point { arrival, jitter_ms });
        }
    }

    fn suspend(&mut self, now: u64) {
        let Some(checkpoints) = self
            .config
            .checkpoints
            .filter(|_| self.primary && !self.down)
        else {
            return;
        };
        if self.gate.begin(self.gate.open().saturating_add(1)).is_err() {
            self.outcome.refused += 1;
        }
        if self.suspended_at > 0 {
            self.periods.0 += now - self.suspended_at;
            self.periods.1 += 1;
        }
        let (pause, transfer) = cost(checkpoints, now - self.went_on_at);
        self.pauses += pause as f64;
        self.transfers += transfer as f64;
        self.suspended_at = now;
        self.stopped_until = now.saturating_add(pause);
        self.went_on_at = self.stopped_until;
        if self.config.failover.is_some() {
            self.snapshots.open = (now, self.sources.clone());
        }
        self.at(
            now.saturating_add(pause).saturating_add(transfer),
            Event::Commit,
        );
    }

    fn commit(&mut self, now: u64) {
        let Some(checkpoints) = self
            .config
            .checkpoints
            .filter(|_| self.primary && !self.down)
        else {
            return;
        };
        // The gate is fullest right before a commit.
        self.held.add(self.gate.held());
        let epoch = self.gate.in_flight().front().copied();
        if epoch.is_none_or(|epoch| self.gate.commit(epoch).is_err()) {
            self.outcome.refused += 1;
        }
        while self.gate.leave().is_some() {
            if let Some(packet) = self.waiting.pop_front() {
                self.leave(now, packet);
            }
        }
        self.outcome.commits += 1;
        self.heard = now;
        if self.config.failover.is_some() {
            self.snapshots.committed = std::mem::take(&mut self.snapshots.open);
        }
        let next = checkpoints
            .timer
            .next(self.suspended_at, now, checkpoints.interval);
        self.at(next, Event::Suspend);
    }

    fn fail(&mut self, now: u64) {
        let Some(failover) = self.config.failover else {
            return;
        };
        self.down = true;
        // A checkpoint on its way to the backup is heard until the end.
        if !self.gate.in_flight().is_empty() {
            self.heard = now;
        }
        let mut figures = FailoverFigures {
            rolled_back_ms: now.saturating_sub(self.snapshots.committed.0) as f64 / 1e6,
            ..FailoverFigures::default()
        };
        for packet in std::mem::take(&mut self.waiting) {
            self.class(packet.kind).dropped += 1;
            figures.held_lost += 1;
        }
        self.outcome.failover = Some(figures);
        let noticed = (self.heard + failover.detection).max(now);
        self.at(noticed + failover.announcement, Event::Recover);
    }

    /// The guest goes on from the committed checkpoint; what was on its way belongs to the past.
    fn recover(&mut self, now: u64) {
        self.down = false;
        self.primary = false;
        self.stopped_until = RUNNING;
        if let Some(figures) = &mut self.outcome.failover {
            figures.recovered_ms = now as f64 / 1e6;
        }
        let (then, sources) = std::mem::take(&mut self.snapshots.committed);
        self.sources = sources;
        self.events.clear();
        for call in 0..self.sources.len() {
            if let Some(source) = self.sources.get_mut(call) {
                source.shift(now - then);
            }
            self.schedule_call(call, now);
        }
        if self.config.signalling_rate > 0.0 {
            self.schedule_signalling(now);
        }
        self.open_bulk(now);
    }

    fn finish(mut self) -> Outcome {
        for (receiver, (_, least)) in self.receivers.iter_mut().zip(&self.arrived) {
            if *least < u64::MAX {
                receiver.add_delay(*least as f64 / 1e6);
            }
            receiver.finish();
        }
        let mut outcome = self.outcome;
        outcome.calls = CallFigures::of(&self.receivers);
        let [media, signalling, bulk] = &self.classes;
        outcome.media = media.figures();
        outcome.signalling = signalling.figures();
        outcome.bulk = bulk.figures();
        outcome.goodput = self.delivered as f64 * 8.0 / (self.config.duration.max(1) as f64 / 1e9);
        let mean_ms = |sum: f64, count: u64| sum / count.max(1) as f64 / 1e6;
        outcome.period_ms = mean_ms(self.periods.0 as f64, self.periods.1);
        let suspends = self.periods.1 + u64::from(self.suspended_at > 0);
        outcome.pause_ms = mean_ms(self.pauses, suspends);
        outcome.transfer_ms = mean_ms(self.transfers, suspends);
        outcome.held = self.held.figures();
        outcome
    }
}

/// How long the guest stands still, and how long the transfer takes, after it ran for `ran`.
fn cost(checkpoints: Checkpoints, ran: u64) -> (u64, u64) {
    let dirty = (checkpoints.dirty_rate * ran as f64 / 1e9).min(checkpoints.working_set);
    let copy = whole(dirty * 1e9 / checkpoints.copy_rate);
    let wire = whole(dirty * 8e9 / checkpoints.link_rate);
    (
        checkpoints.pause.saturating_add(copy),
        wire.saturating_add(checkpoints.acknowledgement),
    )
}

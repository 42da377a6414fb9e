//! The relation between a plug under its controller and the gate as it should be.
//!
//! A [`Shadow`] is a gate of `qdisc_model::epoch` that is led along. Each thing that happens at the
//! plug is answered by steps of the gate, which must be taken and must do the same:
//!
//! | at the plug | at the gate |
//! | --- | --- |
//! | a packet comes in, or finds no room | `arrive`, with the limit that the plug has now, and the same outcome |
//! | a packet leaves | `leave`, which must give this very packet: its epoch is committed |
//! | packets are purged by a flap or with a plug that is replaced | `reset`, which must lose the same |
//! | the client is told that its epoch has ended, alone or joined to a later batch | `begin` of the next one |
//! | the client says that an epoch is committed, and is not refused | `commit` of each older epoch in flight and of this one |
//! | the client is told that what is held was dropped | `abort` of the oldest epoch in flight |
//! | the client is refused because an epoch has not ended, or was aborted | `commit` is refused as well |
//! | somebody else lets packets go, or opens the plug | `open_up`; `begin` of the open epoch once the plug is closed |
//! | anything else: looks, fences, BUFFER, RELEASE_ONE, limits, death and rebirth of the daemon | nothing |
//!
//! After each step the two hold the same packets in the same order, and a packet that came in now
//! would not leave at once, unless somebody else gave orders that the daemon has not heard of yet.
//!
//! Where a plug can't do better the relation asks for less than equality. A packet may leave *later*
//! than its commit: an epoch that joined a batch waits for the newest epoch in it, and strays stand
//! in front. The gate may let a committed packet go at any time, so that is a behaviour of the gate
//! too; how late is bounded by one more demand: when the controller says that a batch was released,
//! and there are no strays and the device is not busy, nothing of that batch is left. And of losses the
//! controller must not claim more than there were: what a purge took is known as "at least". Only a
//! packet that left between the look at a plug and its replacement may be claimed and not be lost.

use qdisc_model::epoch::{Arrival, Gate, OnLate, OnOverflow, Refusal, Settings};
use qdisc_model::packet::Packet;
use qdisc_model::plug::Plug;

/// What the gate would not have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deviation {
    /// A packet left whose epoch is not committed, or out of turn.
    Early(u64),
    /// A packet was let in that has no room, or dropped that has.
    Door(u64),
    /// The two do not hold the same.
    Held,
    /// What was purged is not what was held.
    Purged,
    /// The gate refuses what the client was told is so.
    Answer,
    /// What comes in would leave at once, and nobody else gave orders.
    Open,
    /// A batch was said to be released, and part of it is still there.
    Behind(u64),
    /// More losses are told than there were.
    Losses,
}

impl Deviation {
    /// In words, as the end of a story.
    pub(crate) fn tell(self) -> String {
        match self {
            Self::Early(id) => format!("the gate would not let packet {id} leave"),
            Self::Door(id) => {
                format!("the gate would have treated packet {id} otherwise at the door")
            }
            Self::Held => "the gate holds other packets".to_owned(),
            Self::Purged => "the gate has lost other packets".to_owned(),
            Self::Answer => "the gate would have answered otherwise".to_owned(),
            Self::Open => "what comes in now would leave at once".to_owned(),
            Self::Behind(id) => format!("packet {id} was said to be released"),
            Self::Losses => "more losses are told than there were".to_owned(),
        }
    }
}

type Judged = Result<(), Deviation>;

/// The gate that is led along.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shadow {
    gate: Gate,
    /// The newest epoch that was said to have ended alone: the newest one in the batch.
    batch: u64,
    /// Packets that left a plug after it was looked at to be replaced.
    slipped: u64,
}

impl Shadow {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            limit: 0,
            in_flight: usize::MAX,
            on_overflow: OnOverflow::DropNewest,
            on_late: OnLate::Hold,
        };
        Self {
            gate: Gate::new(settings),
            batch: 0,
            slipped: 0,
        }
    }

    /// The epoch that the guest is in.
    pub(crate) fn open(&self) -> u64 {
        self.gate.open()
    }

    /// The newest epoch that is committed.
    pub(crate) fn committed(&self) -> u64 {
        self.gate.committed()
    }

    /// The epochs that ended and are not committed, oldest first.
    pub(crate) fn in_flight(&self) -> Vec<u64> {
        self.gate.in_flight().iter().copied().collect()
    }

    /// Whether something that is committed has not left yet.
    pub(crate) fn owes(&self) -> bool {
        self.gate.peek().is_some()
    }

    pub(crate) fn arrived(&mut self, packet: Packet, limit: u32, dropped: bool) -> Judged {
        self.gate.set_limit(u64::from(limit));
        let arrival = self.gate.arrive(packet);
        let same = matches!(arrival, Arrival::Dropped { .. }) == dropped;
        same.then_some(()).ok_or(Deviation::Door(packet.id))
    }

    /// `doomed` tells that the plug was looked at and is about to be replaced.
    pub(crate) fn left(&mut self, packet: Packet, doomed: bool) -> Judged {
        self.slipped += u64::from(doomed);
        let left = self.gate.leave();
        (left == Some(packet))
            .then_some(())
            .ok_or(Deviation::Early(packet.id))
    }

    pub(crate) fn purged(&mut self, lost: &[Packet]) -> Judged {
        let gone = self.gate.reset();
        (gone == lost).then_some(()).ok_or(Deviation::Purged)
    }

    /// The client was told that the open epoch has ended.
    pub(crate) fn ended(&mut self, alone: bool) -> Judged {
        let epoch = self.gate.open();
        if alone {
            self.batch = epoch;
        }
        let begun = self.gate.begin(epoch + 1);
        begun.map_err(|_| Deviation::Answer)
    }

    /// The client said that `epoch` is committed, and was not refused.
    pub(crate) fn told(&mut self, epoch: u64) -> Judged {
        for older in self.in_flight() {
            if older <= epoch {
                self.gate.commit(older).map_err(|_| Deviation::Answer)?;
            }
        }
        Ok(())
    }

    /// The client was refused a commit because `epoch` has not ended.
    pub(crate) fn not_ended(&mut self, epoch: u64) -> Judged {
        match self.gate.commit(epoch) {
            Err(Refusal::StillOpen | Refusal::Unknown) => Ok(()),
            _ => Err(Deviation::Answer),
        }
    }

    /// The client was refused a commit because `epoch` was aborted.
    pub(crate) fn dead(&mut self, epoch: u64) -> Judged {
        match self.gate.commit(epoch) {
            Err(Refusal::Aborted) => Ok(()),
            _ => Err(Deviation::Answer),
        }
    }

    /// The client was told that what it held is dropped.
    pub(crate) fn aborted(&mut self) -> Judged {
        let oldest = self.gate.in_flight().front().copied();
        let lost = self.gate.abort(oldest.unwrap_or_else(|| self.gate.open()));
        match lost {
            // The plug was replaced before, with everything.
            Ok(lost) if lost.is_empty() => Ok(()),
            _ => Err(Deviation::Answer),
        }
    }

    /// Somebody else lets go what is held. Unless the plug stays open, [`Shadow::compare`] closes
    /// the gate again.
    pub(crate) fn let_go(&mut self) {
        self.gate.open_up();
    }

    /// The client was told that a batch is released. Whether any of it is left.
    pub(crate) fn released(&self) -> Judged {
        let behind = self.gate.waiting().find(|(epoch, _)| *epoch <= self.batch);
        match behind {
            Some((_, packet)) => Err(Deviation::Behind(packet.id)),
            None => Ok(()),
        }
    }

    /// What has to be so after each step.
    pub(crate) fn compare(
        &mut self,
        plug: &Plug,
        foreign: bool,
        drops: u64,
        purged: u64,
    ) -> Judged {
        if passes(plug) {
            if !foreign {
                return Err(Deviation::Open);
            }
            self.gate.open_up();
        } else if self.gate.is_open() {
            let open = self.gate.open();
            self.gate.begin(open).map_err(|_| Deviation::Open)?;
        }
        let held = self.gate.waiting().map(|(_, packet)| packet);
        if !held.eq(plug.held()) {
            return Err(Deviation::Held);
        }
        let counted = self.gate.counters();
        let honest =
            drops == counted.overflow.packets && purged <= counted.purged.packets + self.slipped;
        honest.then_some(()).ok_or(Deviation::Losses)
    }
}

/// Whether a packet that came in now would leave at once.
fn passes(plug: &Plug) -> bool {
    let probe = Packet::held(u64::MAX, 1);
    let mut plug = plug.clone();
    plug.enqueue(probe);
    plug.run().contains(&probe)
}

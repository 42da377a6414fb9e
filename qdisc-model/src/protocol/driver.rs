//! Ways to drive a gate: who says what to it at the end of an epoch and at a commit.
//!
//! [`Numbered`] drives [`crate::epoch`] by number. [`Libxl`] drives [`crate::plug`] as Xen's libxl
//! does (`libxl_netbuffer.c`): one BUFFER for each checkpoint, one RELEASE_ONE for each commit.

use std::fmt::Debug;
use std::hash::Hash;

use crate::epoch::{Arrival, Gate};
use crate::invariant::Account;
use crate::packet::{Packet, Verdict};
use crate::plug::{BUFFER, Enqueued, Plug, Qopt, RELEASE_INDEFINITE, RELEASE_ONE};

/// What became of a packet at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on at once.
    Passed,
    /// It waits.
    Held,
    /// It is lost.
    Dropped,
}

/// A gate together with whatever stands between it and the replicator.
pub trait Driver: Clone + Debug + Eq + Hash {
    /// A packet of the guest.
    fn arrive(&mut self, packet: Packet) -> Fate;

    /// The guest is paused at the end of an epoch, and `epoch` is to begin. False if it can't:
    /// then the guest stays in its epoch, and the gate is as it was.
    fn begin(&mut self, epoch: u64) -> bool;

    /// All epochs up to this one are committed, and the gate was told so of each before it, unless
    /// that got lost.
    fn commit(&mut self, epoch: u64);

    /// Protection is given up.
    fn open_up(&mut self);

    /// No commit came for too long. Returns what that dropped.
    fn bark(&mut self) -> Vec<Packet>;

    /// The device goes down and up. Returns what that dropped.
    fn flap(&mut self) -> Vec<Packet>;

    /// Whoever drives the gate dies and starts again, knowing nothing.
    fn restart(&mut self);

    /// The queue is run: what may leave leaves.
    fn run(&mut self) -> Vec<Packet>;

    /// What the gate says of itself.
    fn account(&self) -> Account;

    /// Whether protection is given up.
    fn is_open(&self) -> bool;
}

/// The gate as it should be. There is no state between it and the replicator: numbers say it all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numbered(pub Gate);

impl Driver for Numbered {
    fn arrive(&mut self, packet: Packet) -> Fate {
        match self.0.arrive(packet) {
            Arrival::Passed => Fate::Passed,
            Arrival::Held { .. } => Fate::Held,
            Arrival::Dropped { .. } => Fate::Dropped,
        }
    }

    fn begin(&mut self, epoch: u64) -> bool {
        // After an abort by the watchdog the gate is ahead: what arrives is then marked with a
        // later epoch than its own and waits longer, never shorter.
        let epoch = epoch.max(self.0.open());
        let mut gate = self.0.clone();
        let begun = gate.begin(epoch).is_ok();
        if begun {
            self.0 = gate;
        }
        begun
    }

    fn commit(&mut self, epoch: u64) {
        // Commits before this one may have got lost on the way. The gate knows which.
        let late: Vec<u64> = self.0.in_flight().iter().copied().collect();
        for epoch in late.into_iter().take_while(|ended| *ended <= epoch) {
            // In flight and oldest: nothing to refuse.
            let _ = self.0.commit(epoch);
        }
    }

    fn open_up(&mut self) {
        self.0.open_up();
    }

    fn bark(&mut self) -> Vec<Packet> {
        self.0.bark()
    }

    fn flap(&mut self) -> Vec<Packet> {
        self.0.reset()
    }

    fn restart(&mut self) {}

    fn run(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.0.leave()).collect()
    }

    fn account(&self) -> Account {
        let counters = self.0.counters();
        let lost = counters
            .overflow
            .plus(counters.aborted)
            .plus(counters.purged);
        Account {
            held: self.0.held().packets,
            lost: lost.packets,
        }
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }
}

/// The kernel's plug, driven without thought. Packets that may pass never come near it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Libxl(pub Plug);

impl Libxl {
    fn send(&mut self, action: i32) {
        // The three actions are known, so none is refused.
        let _ = self.0.change(Qopt { action, limit: 0 });
    }
}

impl Driver for Libxl {
    fn arrive(&mut self, packet: Packet) -> Fate {
        if packet.verdict == Verdict::Bypass {
            return Fate::Passed;
        }
        match self.0.enqueue(packet) {
            Enqueued::Queued => Fate::Held,
            Enqueued::Dropped => Fate::Dropped,
        }
    }

    fn begin(&mut self, _epoch: u64) -> bool {
        self.send(BUFFER);
        true
    }

    fn commit(&mut self, _epoch: u64) {
        self.send(RELEASE_ONE);
    }

    fn open_up(&mut self) {
        self.send(RELEASE_INDEFINITE);
    }

    fn bark(&mut self) -> Vec<Packet> {
        Vec::new()
    }

    fn flap(&mut self) -> Vec<Packet> {
        self.0.reset()
    }

    fn restart(&mut self) {}

    fn run(&mut self) -> Vec<Packet> {
        self.0.run()
    }

    fn account(&self) -> Account {
        Account {
            held: self.0.held().len() as u64,
            lost: u64::from(self.0.drops()),
        }
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }
}

//! The gate as it should be: every held packet knows its epoch, and only a commit of that very
//! epoch lets it go.
//!
//! The rules are the project's own (the law in [`crate::invariant`]); they cure what
//! [`crate::plug`] gets wrong. An epoch is a number, never a count: commands carry the number, so a
//! command that is repeated, lost or late can't release what it doesn't mean. Sizes are
//! [`Packet::bytes`], at the door and in the backlog alike.

use std::collections::VecDeque;

use crate::packet::{Packet, Tally, Verdict};

/// What to do when a packet to be held has no room. Dropped it is in any case, and counted: the
/// choice is what else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnOverflow {
    /// Nothing else.
    DropNewest,
    /// No new epoch begins until something has left, so a controller keeps its guest paused.
    /// An epoch may still begin when no other is in flight: its commit is what makes room.
    RefuseEpoch,
    /// The controller is asked, once in each epoch, to take a checkpoint early.
    AskCheckpoint {
        /// Bytes held from which on it is asked; best well below the limit.
        at: u64,
    },
}

/// What the watchdog does when no commit came for the time that was set. The time itself is the
/// caller's: it calls [`Gate::bark`] when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnLate {
    /// Hold on and say so.
    #[default]
    Hold,
    /// Drop what waits, as an abort of the oldest epoch does, and go on holding.
    Abort,
    /// Give up holding, as [`Gate::open_up`] does. Lawful only if the backup can't take over any
    /// more, which no gate can know.
    Open,
}

/// What a gate is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Most bytes held, released ones that have not left yet included.
    pub limit: u64,
    /// Most epochs that have ended and await their commit. Zero would mean that none can ever
    /// end, so it counts as one.
    pub in_flight: usize,
    /// What happens beyond the limit.
    pub on_overflow: OnOverflow,
    /// What happens when no commit comes.
    pub on_late: OnLate,
}

/// What became of a packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// It goes on at once and never enters the queue.
    Passed,
    /// It waits for the commit of this epoch.
    Held {
        /// The open epoch; 0 when the gate is open and the packet leaves as soon as those before
        /// it have left.
        epoch: u64,
        /// The controller should take a checkpoint now.
        ask: bool,
    },
    /// There was no room.
    Dropped {
        /// The controller should take a checkpoint now.
        ask: bool,
    },
}

/// Why a command was refused. A refused command changes nothing but the count of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// `begin` with a number that is neither the open epoch nor the next one.
    #[error("the open epoch is {open}")]
    NotNext {
        /// The open epoch.
        open: u64,
    },
    /// `begin` while as many epochs are in flight as may be.
    #[error("too many epochs in flight")]
    TooMany,
    /// `begin` while the gate is full ([`OnOverflow::RefuseEpoch`]).
    #[error("the gate is full")]
    Full,
    /// `commit` of the epoch that is still open.
    #[error("the epoch has not ended")]
    StillOpen,
    /// `commit` or `abort` of an epoch that never began.
    #[error("no such epoch")]
    Unknown,
    /// `commit` of an epoch while an older one is in flight.
    #[error("epoch {oldest} is older and not committed")]
    OutOfOrder {
        /// The one to commit first.
        oldest: u64,
    },
    /// `commit` of an epoch that was aborted.
    #[error("the epoch was aborted")]
    Aborted,
    /// `abort` of an epoch that is committed, or older than one that is.
    #[error("the epoch is settled")]
    Settled,
}

/// Everything that ever happened to packets here. Each packet is in exactly one of them or held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// All that arrived.
    pub arrived: Tally,
    /// Passed at once.
    pub passed: Tally,
    /// Held, committed and gone on.
    pub left: Tally,
    /// Gone on without a commit, because the gate was opened.
    pub unprotected: Tally,
    /// Dropped at the door for want of room.
    pub overflow: Tally,
    /// Dropped with an aborted epoch.
    pub aborted: Tally,
    /// Dropped when the device went down.
    pub purged: Tally,
    /// Commands that were refused.
    pub refused: u64,
    /// Times that the watchdog found something late.
    pub late: u64,
}

/// The mark of a packet that waits for no commit: it arrived, or was there, when the gate was
/// opened. Epochs begin at 1, so it counts as committed.
const UNPROTECTED: u64 = 0;

/// One gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    settings: Settings,
    open: u64,
    ended: VecDeque<u64>,
    committed: u64,
    queue: VecDeque<(u64, Packet)>,
    held: Tally,
    wide_open: bool,
    overflowed: bool,
    asked: bool,
    late: bool,
    counters: Counters,
}

impl Gate {
    /// A gate that holds: epoch 1 is open, nothing is committed.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            open: 1,
            ended: VecDeque::new(),
            committed: 0,
            queue: VecDeque::new(),
            held: Tally::default(),
            wide_open: false,
            overflowed: false,
            asked: false,
            late: false,
            counters: Counters::default(),
        }
    }

    /// A packet of the guest arrives, in the open epoch.
    #[inline]
    pub fn arrive(&mut self, packet: Packet) -> Arrival {
        self.counters.arrived.add(&packet);
        if packet.verdict == Verdict::Bypass {
            self.counters.passed.add(&packet);
            return Arrival::Passed;
        }
        let fits = self.held.bytes.saturating_add(u64::from(packet.bytes)) <= self.settings.limit;
        if fits {
            let epoch = if self.wide_open {
                UNPROTECTED
            } else {
                self.open
            };
            self.queue.push_back((epoch, packet));
            self.held.add(&packet);
            Arrival::Held {
                epoch,
                ask: self.ask(false),
            }
        } else {
            self.counters.overflow.add(&packet);
            self.overflowed = true;
            Arrival::Dropped {
                ask: self.ask(true),
            }
        }
    }

    /// Whether to ask for a checkpoint now; true at most once in an epoch.
    fn ask(&mut self, dropped: bool) -> bool {
        let OnOverflow::AskCheckpoint { at } = self.settings.on_overflow else {
            return false;
        };
        let ask = !self.asked && (dropped || self.held.bytes >= at);
        self.asked |= ask;
        ask
    }

    /// Ends the open epoch and begins `epoch`. Beginning the open one again changes nothing, so a
    /// repeated command loses no epoch. Either closes a gate that was opened, so that in doubt a
    /// packet is held: what arrives from here on waits for its commit.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotNext`], [`Refusal::TooMany`], [`Refusal::Full`].
    pub fn begin(&mut self, epoch: u64) -> Result<(), Refusal> {
        if epoch == self.open {
            self.wide_open = false;
            return Ok(());
        }
        if self.open.checked_add(1) != Some(epoch) {
            return self.refuse(Refusal::NotNext { open: self.open });
        }
        if self.ended.len() >= self.settings.in_flight.max(1) {
            return self.refuse(Refusal::TooMany);
        }
        let full = self.overflowed && self.settings.on_overflow == OnOverflow::RefuseEpoch;
        if full && !self.ended.is_empty() {
            return self.refuse(Refusal::Full);
        }
        self.ended.push_back(self.open);
        self.open = epoch;
        self.wide_open = false;
        self.asked = false;
        Ok(())
    }

    /// The backup has `epoch`: its packets may leave. Returns those that now may. Committing what
    /// is settled changes nothing, so a repeated command releases nothing twice.
    ///
    /// # Errors
    ///
    /// [`Refusal::StillOpen`], [`Refusal::Unknown`], [`Refusal::OutOfOrder`],
    /// [`Refusal::Aborted`] (known until a later epoch is committed; after that the number counts
    /// as settled).
    pub fn commit(&mut self, epoch: u64) -> Result<Tally, Refusal> {
        if epoch <= self.committed {
            return Ok(Tally::default());
        }
        match self.ended.front() {
            Some(&oldest) if oldest == epoch => {
                self.ended.pop_front();
                self.committed = epoch;
                self.late = false;
                let released = self.queue.iter().filter(|(of, _)| *of == epoch);
                Ok(released.map(|(_, packet)| packet).collect())
            }
            Some(&oldest) if self.ended.contains(&epoch) => {
                self.refuse(Refusal::OutOfOrder { oldest })
            }
            _ if epoch == self.open => self.refuse(Refusal::StillOpen),
            _ if epoch > self.open => self.refuse(Refusal::Unknown),
            _ => self.refuse(Refusal::Aborted),
        }
    }

    /// The guest went back to the checkpoint before `epoch`: what it sent in that epoch and in all
    /// later ones never happened. Those packets are dropped, counted and returned, and a fresh
    /// epoch is opened, for numbers are never used again. Aborting what is aborted changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal::Settled`], [`Refusal::Unknown`].
    pub fn abort(&mut self, epoch: u64) -> Result<Vec<Packet>, Refusal> {
        if epoch <= self.committed {
            return self.refuse(Refusal::Settled);
        }
        if epoch > self.open {
            return self.refuse(Refusal::Unknown);
        }
        if epoch != self.open && !self.ended.contains(&epoch) {
            return Ok(Vec::new());
        }
        self.ended.retain(|ended| *ended < epoch);
        self.open = self.open.saturating_add(1);
        self.asked = false;
        self.late = false;
        let kept = self.queue.partition_point(|(of, _)| *of < epoch);
        let lost: Vec<Packet> = self.queue.drain(kept..).map(|(_, packet)| packet).collect();
        let gone = lost.iter().collect();
        self.make_room(gone);
        self.counters.aborted = self.counters.aborted.plus(gone);
        Ok(lost)
    }

    /// Protection is given up: everything in the queue may leave, and what arrives passes behind
    /// it, until the next [`Gate::begin`]. Epochs go on being numbered and committed. Returns what
    /// now may leave without a commit. This is for the time before the first checkpoint and for
    /// the loss of the backup; it is never part of the work of an epoch.
    pub fn open_up(&mut self) -> Tally {
        self.wide_open = true;
        let mut given_up = Tally::default();
        for (epoch, packet) in &mut self.queue {
            if *epoch > self.committed {
                *epoch = UNPROTECTED;
                given_up.add(packet);
            }
        }
        given_up
    }

    /// The watchdog's time is over. If nothing waits for a commit, nothing happens. Otherwise the
    /// gate says that it is late, until the next commit or abort, and does what was set. Returns
    /// the packets that this dropped.
    pub fn bark(&mut self) -> Vec<Packet> {
        let waits = self
            .queue
            .back()
            .is_some_and(|(of, _)| *of > self.committed);
        if !waits && self.ended.is_empty() {
            return Vec::new();
        }
        self.late = true;
        self.counters.late += 1;
        match self.settings.on_late {
            OnLate::Hold => Vec::new(),
            OnLate::Abort => {
                let oldest = self.ended.front().copied().unwrap_or(self.open);
                let lost = self.abort(oldest).unwrap_or_default();
                self.late = true;
                lost
            }
            OnLate::Open => {
                self.open_up();
                Vec::new()
            }
        }
    }

    /// What was taken out of the queue no longer counts, and ends the state of being full.
    fn make_room(&mut self, gone: Tally) {
        self.held = self.held.minus(gone);
        self.overflowed &= gone.packets == 0;
    }

    fn refuse<T>(&mut self, refusal: Refusal) -> Result<T, Refusal> {
        self.counters.refused += 1;
        Err(refusal)
    }

    /// The packet that [`Gate::leave`] would give, which stays where it is.
    #[must_use]
    pub fn peek(&self) -> Option<&Packet> {
        self.queue
            .front()
            .filter(|(epoch, _)| *epoch <= self.committed)
            .map(|(_, packet)| packet)
    }

    /// The oldest packet leaves, if its epoch is committed.
    #[inline]
    pub fn leave(&mut self) -> Option<Packet> {
        self.peek()?;
        let (epoch, packet) = self.queue.pop_front()?;
        if epoch == UNPROTECTED {
            self.counters.unprotected.add(&packet);
        } else {
            self.counters.left.add(&packet);
        }
        self.make_room(Tally::from_iter([&packet]));
        Some(packet)
    }

    /// The device went down: every packet in the queue is lost, counted and returned. The epochs
    /// stay in flight under their numbers and a gate that holds goes on holding: a later commit
    /// releases what arrived in its own epoch since, and nothing else.
    pub fn reset(&mut self) -> Vec<Packet> {
        let lost: Vec<Packet> = self.queue.drain(..).map(|(_, packet)| packet).collect();
        let gone = lost.iter().collect();
        self.make_room(gone);
        self.counters.purged = self.counters.purged.plus(gone);
        lost
    }

    /// Sets the limit in bytes. What is held stays held.
    pub fn set_limit(&mut self, limit: u64) {
        self.settings.limit = limit;
    }

    /// Packets and bytes in the queue, released ones included.
    #[must_use]
    pub fn held(&self) -> Tally {
        self.held
    }

    /// The packets in the queue, oldest first, each with the epoch it waits for; 0 if it waits for
    /// none.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, &Packet)> {
        self.queue.iter().map(|(epoch, packet)| (*epoch, packet))
    }

    /// The epoch that packets arrive in.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open
    }

    /// The newest committed epoch, 0 before the first.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Whether protection is given up ([`Gate::open_up`]).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.wide_open
    }

    /// Whether the watchdog found something late, with no commit or abort since.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// The epochs that have ended and await their commit, oldest first.
    #[must_use]
    pub fn in_flight(&self) -> &VecDeque<u64> {
        &self.ended
    }

    /// What ever happened here.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

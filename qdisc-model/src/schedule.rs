//! When a replicator takes checkpoints, and what a gate driven by it does to packets with times.
//!
//! The order within a checkpoint is that of Xen's Remus (`tools/libs/guest/xg_sr_save.c`): the
//! guest is suspended and the epoch ends, dirty memory is copied, the guest goes on, the checkpoint
//! reaches the backup, the epoch is committed. Times are in nanoseconds from any fixed moment.

use std::collections::VecDeque;

use crate::epoch::{Arrival, Gate, OnLate, OnOverflow, Settings};
use crate::packet::{Packet, Tally};

/// From when the interval counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timer {
    /// From the commit: the period is interval, pause and transfer together. So does libxl
    /// (`libxl_remus.c` arms its timer when the checkpoint has been written).
    #[default]
    AfterCommit,
    /// From the suspend: the period is the interval, or the checkpoint's own time if that is
    /// longer. So did the `remus` program of Xen up to 4.4 (`tools/remus/remus`).
    FromSuspend,
}

impl Timer {
    /// When the next checkpoint begins, after one that began at `suspend` and was committed at
    /// `commit`.
    #[must_use]
    pub fn next(self, suspend: u64, commit: u64, interval: u64) -> u64 {
        match self {
            Self::AfterCommit => commit.saturating_add(interval),
            Self::FromSuspend => suspend.saturating_add(interval).max(commit),
        }
    }
}

/// Checkpoints that all take the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The configured interval; 0 counts as 1.
    pub interval: u64,
    /// From when it counts.
    pub timer: Timer,
    /// How long the guest stands still.
    pub pause: u64,
    /// From the guest's going on to the commit.
    pub transfer: u64,
}

impl Schedule {
    fn checkpoint(self, suspend: u64) -> Checkpoint {
        let resume = suspend.saturating_add(self.pause);
        Checkpoint {
            suspend,
            resume,
            commit: resume.saturating_add(self.transfer),
        }
    }

    /// From one suspend to the next.
    #[must_use]
    pub fn period(self) -> u64 {
        let commit = self.pause.saturating_add(self.transfer);
        self.timer.next(0, commit, self.interval).max(1)
    }
}

/// What becomes of a packet at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It leaves without a commit.
    Passes,
    /// It waits for a commit.
    Waits,
    /// There was no room.
    Overflow,
}

/// Something that left, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left<T> {
    /// What came with the packet.
    pub item: T,
    /// When it left.
    pub at: u64,
}

/// A gate, driven by a schedule, that packets with times pass through; `T` is what comes and goes with
/// each of them. It holds no more than the gate does.
///
/// Packets come in the order of the times they would be sent at, and leave in the order of those at
/// which they do, and those of the same moment in the order in which they came. The first epoch begins
/// with the first packet of the guest. What a pause delays leaves the guest when the pause ends.
#[derive(Debug)]
pub struct Passage<T> {
    schedule: Schedule,
    gate: Gate,
    most_held: Tally,
    held: VecDeque<(u64, T)>,
    /// What leaves without a commit, but not before a pause has ended.
    delayed: VecDeque<(u64, Left<T>)>,
    /// The next checkpoint, once there was a packet of the guest.
    next: Option<Checkpoint>,
    count: u64,
}

/// The times of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checkpoint {
    suspend: u64,
    resume: u64,
    commit: u64,
}

impl<T> Passage<T> {
    /// A gate to which nothing has come.
    #[must_use]
    pub fn new(schedule: Schedule, limit: u64) -> Self {
        Self {
            schedule: Schedule {
                interval: schedule.interval.max(1),
                ..schedule
            },
            gate: Gate::new(Settings {
                limit,
                in_flight: 1,
                on_overflow: OnOverflow::DropNewest,
                on_late: OnLate::Hold,
            }),
            most_held: Tally::default(),
            held: VecDeque::new(),
            delayed: VecDeque::new(),
            next: None,
            count: 0,
        }
    }

    /// The most that was held at a time: packets and bytes, each on its own.
    #[must_use]
    pub fn most_held(&self) -> Tally {
        self.most_held
    }

    /// The next packet of the guest. `leave` is told what leaves before or with it.
    pub fn packet(
        &mut self,
        at: u64,
        packet: Packet,
        item: T,
        mut leave: impl FnMut(Left<T>),
    ) -> Entry {
        self.advance(at, &mut leave);
        let schedule = self.schedule;
        let first = || schedule.checkpoint(at.saturating_add(schedule.interval));
        let next = *self.next.get_or_insert_with(first);
        // A packet of the moment of a suspend is sent in the next epoch. Between suspend and
        // commit it is in the next epoch too, and the commit doesn't touch it.
        let suspended = at >= next.suspend;
        if suspended && self.gate.in_flight().is_empty() {
            // The open epoch is always the last one begun, so the next number is right.
            let _ = self.gate.begin(self.gate.open().saturating_add(1));
        }
        let entry = match self.gate.arrive(packet) {
            Arrival::Passed => {
                let left = if suspended { at.max(next.resume) } else { at };
                self.pass(at, Left { item, at: left }, &mut leave);
                Entry::Passes
            }
            Arrival::Held { .. } => {
                self.held.push_back((self.count, item));
                let (held, most) = (self.gate.held(), &mut self.most_held);
                most.packets = most.packets.max(held.packets);
                most.bytes = most.bytes.max(held.bytes);
                Entry::Waits
            }
            Arrival::Dropped { .. } => Entry::Overflow,
        };
        self.count += 1;
        entry
    }

    /// The next packet is of somebody else: it meets neither gate nor pause.
    pub fn stranger(&mut self, at: u64, item: T, mut leave: impl FnMut(Left<T>)) {
        self.advance(at, &mut leave);
        self.pass(at, Left { item, at }, &mut leave);
        self.count += 1;
    }

    /// After the last packet checkpoints go on until everything held has left.
    pub fn finish(&mut self, mut leave: impl FnMut(Left<T>)) {
        while let (Some(next), false) = (self.next, self.held.is_empty()) {
            self.checkpoint(next, &mut leave);
        }
        self.delayed.drain(..).for_each(|(_, left)| leave(left));
    }

    /// Something that came `at` this time leaves without a commit.
    #[inline]
    fn pass(&mut self, at: u64, left: Left<T>, leave: &mut impl FnMut(Left<T>)) {
        // What is held leaves later than anything comes now; only a pause can change the order.
        let at_once = match self.delayed.front() {
            Some((_, delayed)) => left.at < delayed.at,
            None => left.at == at,
        };
        if at_once {
            leave(left);
        } else {
            self.delayed.push_back((self.count, left));
        }
    }

    /// Takes the checkpoints that are committed by then.
    #[inline]
    fn advance(&mut self, at: u64, leave: &mut impl FnMut(Left<T>)) {
        while let Some(next) = self.next.filter(|next| at >= next.commit) {
            self.checkpoint(self.after_idle(next, at), leave);
            if self.next == Some(next) {
                // The clock has no later time.
                break;
            }
        }
    }

    /// Passes over checkpoints, up to the last one that is committed by then, if they would find
    /// nothing to end and nothing to commit.
    fn after_idle(&self, next: Checkpoint, at: u64) -> Checkpoint {
        if !self.held.is_empty() || !self.gate.in_flight().is_empty() {
            return next;
        }
        let period = self.schedule.period();
        let periods = at.saturating_sub(next.commit) / period;
        let skipped = periods.saturating_mul(period);
        self.schedule
            .checkpoint(next.suspend.saturating_add(skipped))
    }

    /// Ends the epoch, commits it, lets its packets go.
    fn checkpoint(&mut self, now: Checkpoint, leave: &mut impl FnMut(Left<T>)) {
        let Checkpoint {
            suspend, commit, ..
        } = now;
        if self.gate.in_flight().is_empty() {
            let _ = self.gate.begin(self.gate.open().saturating_add(1));
        }
        if let Some(&epoch) = self.gate.in_flight().front() {
            let _ = self.gate.commit(epoch);
        }
        while self.gate.leave().is_some() {
            let Some((number, item)) = self.held.pop_front() else {
                break;
            };
            while let Some((_, left)) = self
                .delayed
                .pop_front_if(|(other, left)| (left.at, *other) < (commit, number))
            {
                leave(left);
            }
            leave(Left { item, at: commit });
        }
        self.delayed.drain(..).for_each(|(_, left)| leave(left));
        let Schedule {
            timer, interval, ..
        } = self.schedule;
        let next = timer.next(suspend, commit, interval);
        self.next = Some(self.schedule.checkpoint(next));
    }
}

#[cfg(test)]
mod tests;

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
    /// From one suspend to the next.
    #[must_use]
    pub fn period(self) -> u64 {
        let commit = self.pause.saturating_add(self.transfer);
        self.timer.next(0, commit, self.interval).max(1)
    }
}

/// What a gate did to packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What became of each packet, in the order in which they came.
    pub fates: Vec<Fate>,
    /// The most that was held at a time: packets and bytes, each on its own.
    pub most_held: Tally,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It left at this time.
    Left(u64),
    /// There was no room.
    Overflow,
}

/// Runs packets, in order of the time they would be sent at, through a gate and says what became
/// of each, in the same order. The first epoch begins with the first packet. After the last packet
/// checkpoints go on until everything held has left. What a pause delays leaves the guest when the
/// pause ends.
#[must_use]
pub fn through_gate(
    schedule: Schedule,
    limit: u64,
    packets: impl IntoIterator<Item = (u64, Packet)>,
) -> Outcome {
    let mut run = Run {
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
        outcome: Outcome::default(),
        held: VecDeque::new(),
        suspend: 0,
    };
    for (index, (at, packet)) in packets.into_iter().enumerate() {
        if index == 0 {
            run.suspend = at.saturating_add(run.schedule.interval);
        }
        run.packet(index, at, packet);
    }
    while !run.held.is_empty() {
        run.checkpoint();
    }
    run.outcome
}

struct Run {
    schedule: Schedule,
    gate: Gate,
    outcome: Outcome,
    held: VecDeque<usize>,
    suspend: u64,
}

impl Run {
    fn resume(&self) -> u64 {
        self.suspend.saturating_add(self.schedule.pause)
    }

    fn commit_time(&self) -> u64 {
        self.resume().saturating_add(self.schedule.transfer)
    }

    /// Passes over checkpoints that would find nothing to end and nothing to commit.
    fn skip_idle(&mut self, at: u64) {
        if self.held.is_empty() && self.gate.in_flight().is_empty() {
            let period = self.schedule.period();
            let periods = at.saturating_sub(self.commit_time()) / period;
            self.suspend = self.suspend.saturating_add(periods.saturating_mul(period));
        }
    }

    fn packet(&mut self, index: usize, at: u64, packet: Packet) {
        self.skip_idle(at);
        // A packet of the moment of a suspend is sent in the next epoch. Between suspend and
        // commit it is in the next epoch too, and the commit doesn't touch it.
        while at >= self.commit_time() {
            self.checkpoint();
            self.skip_idle(at);
        }
        let suspended = at >= self.suspend;
        if suspended && self.gate.in_flight().is_empty() {
            // The open epoch is always the last one begun, so the next number is right.
            let _ = self.gate.begin(self.gate.open().saturating_add(1));
        }
        let sent = if suspended { at.max(self.resume()) } else { at };
        let fate = match self.gate.arrive(packet) {
            Arrival::Passed => Fate::Left(sent),
            Arrival::Held { .. } => {
                self.held.push_back(index);
                Fate::Overflow
            }
            Arrival::Dropped { .. } => Fate::Overflow,
        };
        self.outcome.fates.push(fate);
        let (held, most) = (self.gate.held(), &mut self.outcome.most_held);
        most.packets = most.packets.max(held.packets);
        most.bytes = most.bytes.max(held.bytes);
    }

    /// Ends the epoch, commits it, lets its packets go.
    fn checkpoint(&mut self) {
        let commit = self.commit_time();
        if self.gate.in_flight().is_empty() {
            let _ = self.gate.begin(self.gate.open().saturating_add(1));
        }
        if let Some(&epoch) = self.gate.in_flight().front() {
            let _ = self.gate.commit(epoch);
        }
        while self.gate.leave().is_some() {
            let index = self.held.pop_front();
            if let Some(fate) = index.and_then(|index| self.outcome.fates.get_mut(index)) {
                *fate = Fate::Left(commit);
            }
        }
        self.suspend = self
            .schedule
            .timer
            .next(self.suspend, commit, self.schedule.interval);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fate, Outcome, Schedule, Timer, through_gate};
    use crate::packet::Packet;

    const SCHEDULE: Schedule = Schedule {
        interval: 100,
        timer: Timer::FromSuspend,
        pause: 0,
        transfer: 0,
    };

    fn held(times: &[u64]) -> Vec<(u64, Packet)> {
        times
            .iter()
            .zip(0..)
            .map(|(&at, id)| (at, Packet::held(id, 10)))
            .collect()
    }

    #[test]
    fn a_packet_waits_for_the_commit_of_its_epoch() {
        let Outcome { fates, .. } = through_gate(SCHEDULE, 1000, held(&[0, 99, 100, 150, 450]));
        assert_eq!(fates, [100, 100, 200, 200, 500].map(Fate::Left));
    }

    #[test]
    fn the_two_timers_differ_by_the_checkpoint() {
        let slow = Schedule {
            pause: 20,
            transfer: 30,
            ..SCHEDULE
        };
        let times = held(&[0, 200, 400]);
        // Suspends at 100, 200, 300, 400 and commits 50 later.
        assert_eq!(
            through_gate(slow, 1000, times.clone()).fates,
            [150, 350, 550].map(Fate::Left)
        );
        // Suspends at 100, 250, 400.
        let after = Schedule {
            timer: Timer::AfterCommit,
            ..slow
        };
        assert_eq!(
            through_gate(after, 1000, times.clone()).fates,
            [150, 300, 600].map(Fate::Left)
        );
        // A checkpoint longer than the interval delays the next one.
        let longer = Schedule {
            transfer: 180,
            ..slow
        };
        assert_eq!(
            through_gate(longer, 1000, times.clone()).fates,
            [300, 500, 700].map(Fate::Left)
        );
    }

    #[test]
    fn long_silence_costs_nothing() {
        let year = 31_557_600_000_000_000;
        let Outcome { fates, most_held } = through_gate(SCHEDULE, 1000, held(&[0, year + 1]));
        assert_eq!(fates, [100, year + 100].map(Fate::Left));
        assert_eq!((most_held.packets, most_held.bytes), (1, 10));
    }

    #[test]
    fn a_pause_delays_what_passes_and_room_runs_out() {
        let slow = Schedule {
            pause: 20,
            transfer: 30,
            ..SCHEDULE
        };
        let passing = [
            (0, Packet::passing(0, 10)),
            (110, Packet::passing(1, 10)),
            (120, Packet::passing(2, 10)),
        ];
        assert_eq!(
            through_gate(slow, 1000, passing).fates,
            [0, 120, 120].map(Fate::Left)
        );
        let Outcome { fates, .. } = through_gate(SCHEDULE, 25, held(&[0, 1, 2, 100]));
        assert_eq!(
            fates,
            [
                Fate::Left(100),
                Fate::Left(100),
                Fate::Overflow,
                Fate::Left(200)
            ]
        );
    }

    proptest! {
        /// Whatever the times: nothing leaves early, order is kept within each verdict, what is
        /// held leaves at a commit after the end of its epoch, and nothing but the limit loses.
        #[test]
        fn the_law_holds(
            steps in prop::collection::vec((0..80_u64, any::<bool>()), 1..200),
            interval in 1..200_u64, pause in 0..50_u64, transfer in 0..300_u64, after: bool,
        ) {
            let timer = if after { Timer::AfterCommit } else { Timer::FromSuspend };
            let schedule = Schedule { interval, timer, pause, transfer };
            let mut at = 0;
            let packets: Vec<(u64, Packet)> = steps.iter().zip(0..).map(|((step, hold), id)| {
                at += step;
                (at, if *hold { Packet::held(id, 10) } else { Packet::passing(id, 10) })
            }).collect();
            let Outcome { fates, .. } = through_gate(schedule, u64::MAX, packets.clone());
            prop_assert_eq!(fates.len(), packets.len());
            let first = packets[0].0;
            let mut newest = [0; 2];
            for ((sent, packet), fate) in packets.iter().zip(&fates) {
                let Fate::Left(left) = fate else { panic!("nothing is lost") };
                let held = packet == &Packet::held(packet.id, 10);
                prop_assert!(left >= sent);
                prop_assert!(*left >= newest[usize::from(held)]);
                newest[usize::from(held)] = *left;
                if held {
                    prop_assert!(*left >= first + interval + pause + transfer);
                    prop_assert!(left - sent <= interval + 2 * (pause + transfer).max(interval) + pause + transfer);
                } else {
                    prop_assert!(left - sent <= pause);
                }
            }
        }
    }
}

//! Packets with times through gates.

use proptest::prelude::*;

use super::{Entry, Left, Passage, Schedule, Timer};
use crate::packet::{Packet, Tally};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Left(u64),
    Overflow,
}

struct Outcome {
    fates: Vec<Fate>,
    most_held: Tally,
}

/// All packets through a gate, and what became of each.
fn through_gate(
    schedule: Schedule,
    limit: u64,
    packets: impl IntoIterator<Item = (u64, Packet)>,
) -> Outcome {
    let packets = packets.into_iter().map(|(at, packet)| (at, Some(packet)));
    let (outcome, left) = with_strangers(schedule, limit, packets);
    assert!(left.is_sorted_by_key(|left| (left.at, left.item)));
    outcome
}

/// The same where some packets are strangers', and in which order all of them left.
fn with_strangers(
    schedule: Schedule,
    limit: u64,
    packets: impl IntoIterator<Item = (u64, Option<Packet>)>,
) -> (Outcome, Vec<Left<usize>>) {
    let mut passage = Passage::new(schedule, limit);
    let (mut left, mut entries) = (Vec::new(), Vec::new());
    for (index, (at, packet)) in packets.into_iter().enumerate() {
        entries.push(match packet {
            Some(packet) => passage.packet(at, packet, index, |gone| left.push(gone)),
            None => {
                passage.stranger(at, index, |gone| left.push(gone));
                Entry::Passes
            }
        });
    }
    passage.finish(|gone| left.push(gone));
    let mut fates = vec![Fate::Overflow; entries.len()];
    for gone in &left {
        assert_ne!(entries[gone.item], Entry::Overflow);
        assert_eq!(fates[gone.item], Fate::Overflow, "it leaves once");
        fates[gone.item] = Fate::Left(gone.at);
    }
    let overflow = entries.iter().filter(|e| **e == Entry::Overflow).count();
    assert_eq!(left.len() + overflow, entries.len());
    let most_held = passage.most_held();
    (Outcome { fates, most_held }, left)
}

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

#[test]
fn the_end_of_time_is_no_end_of_work() {
    for transfer in [0, 30] {
        let schedule = Schedule {
            transfer,
            ..SCHEDULE
        };
        let packets = held(&[0, u64::MAX - 1, u64::MAX, u64::MAX]);
        let Outcome { fates, .. } = through_gate(schedule, 1000, packets);
        assert_eq!(fates[1..], [Fate::Left(u64::MAX); 3]);
    }
}

proptest! {
    /// Strangers change nothing for the guest and leave when they come; and whoever leaves, the
    /// order is that of the times, and at one time that of coming.
    #[test]
    fn all_leave_in_order(
        steps in prop::collection::vec((0..80_u64, 0..3_u8), 1..200),
        interval in 1..200_u64, pause in 0..50_u64, transfer in 0..3_u64, limit in 0..300_u64,
    ) {
        let schedule = Schedule { interval, timer: Timer::AfterCommit, pause, transfer: transfer * 20 };
        let mut at = 0;
        let packets: Vec<(u64, Option<Packet>)> = steps.iter().zip(0..).map(|((step, kind), id)| {
            at += step;
            let packet = match kind {
                0 => None,
                1 => Some(Packet::held(id, 10)),
                _ => Some(Packet::passing(id, 10)),
            };
            (at, packet)
        }).collect();
        let (all, left) = with_strangers(schedule, limit, packets.clone());
        prop_assert!(left.is_sorted_by_key(|left| (left.at, left.item)));
        let of_guest = packets.iter().filter_map(|(at, packet)| Some((*at, (*packet)?)));
        let mut alone = through_gate(schedule, limit, of_guest).fates.into_iter();
        for ((at, packet), fate) in packets.iter().zip(all.fates) {
            let wanted = if packet.is_some() { alone.next() } else { Some(Fate::Left(*at)) };
            prop_assert_eq!(Some(fate), wanted);
        }
    }

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

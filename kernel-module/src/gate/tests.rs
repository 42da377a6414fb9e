// SPDX-License-Identifier: GPL-2.0

//! What a gate does in the cases that it was made for. Lockstep with the model is in `tests/model`.
//!
//! C headers: none

use super::{Config, Error, Gate, Late, Overflow, Xmit};
use crate::bindings::{sk_buff, testing};
use crate::skbuff::SkBuff;
use alloc::vec::Vec;

fn gate(limit: u64, max_in_flight: usize, late: Late) -> Gate {
    Gate::new(Config {
        limit,
        max_in_flight,
        overflow: Overflow::DropNewest,
        late,
    })
}

/// More than any test queues.
const ENOUGH: u64 = 1 << 20;

/// A packet of 60 bytes.
fn packet(id: u64) -> SkBuff {
    testing::packet(sk_buff {
        id,
        len: 60,
        ..sk_buff::default()
    })
}

fn id(skb: &SkBuff) -> u64 {
    testing::look(skb).id
}

#[test]
fn a_packet_without_room_comes_back_and_is_counted() {
    let mut gate = gate(119, 1, Late::Hold);
    assert!(matches!(gate.enqueue(packet(1), 1), Xmit::Queued { .. }));
    let Xmit::Drop { skb, ask: false } = gate.enqueue(packet(2), 1) else {
        panic!("there is no room for two");
    };
    assert_eq!(id(&skb), 2);
    assert_eq!(
        (gate.stats().overflow.packets, gate.stats().overflow.bytes),
        (1, 60)
    );
    assert_eq!((gate.qlen(), gate.backlog()), (1, 60));
}

#[test]
fn a_marker_stays_true_over_a_flap() {
    let mut gate = gate(ENOUGH, 2, Late::Hold);
    for number in 0..3 {
        gate.enqueue(packet(number), 1);
    }
    assert_eq!(gate.begin(2), Ok(()));
    gate.reset(drop);
    for number in 3..8 {
        gate.enqueue(packet(number), 1);
    }
    assert_eq!(gate.commit(1), Ok(0));
    assert_eq!(gate.dequeue().as_ref().map(id), None);
    assert_eq!(gate.begin(3), Ok(()));
    assert_eq!(gate.commit(2), Ok(5));
    assert_eq!(gate.dequeue().as_ref().map(id), Some(3));
}

#[test]
fn a_repeated_begin_loses_no_epoch() {
    let mut gate = gate(ENOUGH, 2, Late::Hold);
    gate.enqueue(packet(0), 1);
    assert_eq!(gate.begin(2), Ok(()));
    assert_eq!(gate.begin(2), Ok(()));
    assert_eq!(gate.begin(4), Err(Error::NotNext));
    assert_eq!(gate.commit(1), Ok(1));
    assert_eq!(gate.dequeue().as_ref().map(id), Some(0));
}

#[test]
fn the_oldest_that_waits_is_known_by_its_time() {
    let mut gate = gate(ENOUGH, 4, Late::Hold);
    assert_eq!(gate.waiting_since(), None);
    gate.enqueue(packet(0), 10);
    gate.enqueue(packet(1), 11);
    assert_eq!(gate.waiting_since(), Some(10));
    assert_eq!(gate.begin(2), Ok(()));
    gate.enqueue(packet(2), 12);
    assert_eq!(gate.waiting_since(), Some(10));
    assert_eq!(gate.commit(1), Ok(2));
    assert_eq!(gate.waiting_since(), Some(12));
    gate.reset(drop);
    assert_eq!(gate.waiting_since(), None);
    gate.enqueue(packet(3), 13);
    assert_eq!(gate.waiting_since(), Some(13));
    gate.open_up();
    assert_eq!(gate.waiting_since(), None);
}

#[test]
fn a_late_gate_does_what_was_set() {
    for late in [Late::Hold, Late::Abort, Late::Open] {
        let mut gate = gate(ENOUGH, 4, late);
        let mut freed = Vec::new();
        assert!(!gate.bark(drop), "nothing waits");
        gate.enqueue(packet(0), 1);
        assert!(gate.bark(|packet| freed.push(packet)));
        assert!(gate.is_late());
        assert_eq!(gate.stats().late, 1);
        assert_eq!(freed.len(), usize::from(late == Late::Abort));
        assert_eq!(gate.is_open(), late == Late::Open);
        assert_eq!(
            gate.dequeue().as_ref().map(id),
            (late == Late::Open).then_some(0)
        );
    }
}

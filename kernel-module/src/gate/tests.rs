// SPDX-License-Identifier: GPL-2.0

//! What a gate does in the cases that it was made for. Lockstep with the model is in `tests/model`.
//!
//! C headers: none

use super::{Config, Error, Gate, Late, Overflow, Xmit};
use alloc::vec::Vec;

fn gate(max_packets: usize, max_in_flight: usize, late: Late) -> Gate<u32> {
    Gate::new(Config {
        limit: 1 << 20,
        max_packets,
        max_in_flight,
        overflow: Overflow::DropNewest,
        late,
    })
}

#[test]
fn a_packet_without_a_slot_comes_back_and_is_counted() {
    let mut gate = gate(1, 1, Late::Hold);
    assert!(matches!(gate.enqueue(1, 60, 1), Xmit::Queued { .. }));
    assert!(matches!(
        gate.enqueue(2, 60, 1),
        Xmit::Drop {
            packet: 2,
            ask: false
        }
    ));
    assert_eq!(
        (gate.stats().overflow.packets, gate.stats().overflow.bytes),
        (1, 60)
    );
    assert_eq!((gate.qlen(), gate.backlog()), (1, 60));
}

#[test]
fn a_marker_stays_true_over_a_flap() {
    let mut gate = gate(64, 2, Late::Hold);
    for packet in 0..3 {
        gate.enqueue(packet, 60, 1);
    }
    assert_eq!(gate.begin(2), Ok(()));
    gate.reset(drop);
    for packet in 3..8 {
        gate.enqueue(packet, 60, 1);
    }
    assert_eq!(gate.commit(1), Ok(0));
    assert_eq!(gate.dequeue(), None);
    assert_eq!(gate.begin(3), Ok(()));
    assert_eq!(gate.commit(2), Ok(5));
    assert_eq!(gate.dequeue(), Some(3));
}

#[test]
fn a_repeated_begin_loses_no_epoch() {
    let mut gate = gate(64, 2, Late::Hold);
    gate.enqueue(0, 60, 1);
    assert_eq!(gate.begin(2), Ok(()));
    assert_eq!(gate.begin(2), Ok(()));
    assert_eq!(gate.begin(4), Err(Error::NotNext));
    assert_eq!(gate.commit(1), Ok(1));
    assert_eq!(gate.dequeue(), Some(0));
}

#[test]
fn the_oldest_that_waits_is_known_by_its_time() {
    let mut gate = gate(64, 4, Late::Hold);
    assert_eq!(gate.waiting_since(), None);
    gate.enqueue(0, 60, 10);
    gate.enqueue(1, 60, 11);
    assert_eq!(gate.waiting_since(), Some(10));
    assert_eq!(gate.begin(2), Ok(()));
    gate.enqueue(2, 60, 12);
    assert_eq!(gate.waiting_since(), Some(10));
    assert_eq!(gate.commit(1), Ok(2));
    assert_eq!(gate.waiting_since(), Some(12));
    gate.reset(drop);
    assert_eq!(gate.waiting_since(), None);
    gate.enqueue(3, 60, 13);
    assert_eq!(gate.waiting_since(), Some(13));
    gate.open_up();
    assert_eq!(gate.waiting_since(), None);
}

#[test]
fn a_late_gate_does_what_was_set() {
    for late in [Late::Hold, Late::Abort, Late::Open] {
        let mut gate = gate(64, 4, late);
        let mut freed = Vec::new();
        assert!(!gate.bark(drop), "nothing waits");
        gate.enqueue(0, 60, 1);
        assert!(gate.bark(|packet| freed.push(packet)));
        assert!(gate.is_late());
        assert_eq!(gate.stats().late, 1);
        assert_eq!(freed.len(), usize::from(late == Late::Abort));
        assert_eq!(gate.is_open(), late == Late::Open);
        assert_eq!(gate.dequeue(), (late == Late::Open).then_some(0));
    }
}

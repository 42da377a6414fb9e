//! Named cases: what each rule is for.

use qdisc_model::controller::{Answer, Refusal};
use qdisc_model::epoch::{OnLate, OnOverflow, Settings};
use qdisc_model::invariant::nothing_leaves_early;

use crate::world::{Mishap, ROOMY, World};

/// Five in flight, each let go by itself.
#[test]
fn each_epoch_leaves_with_its_own_commit() {
    let mut world = World::new(ROOMY);
    for number in 0..5 {
        world.send(1);
        assert_eq!(world.checkpoint(), Answer::Ended(3 * number));
    }
    world.send(1);
    for number in 0..5 {
        let epoch = world.backup_has(1).unwrap();
        assert_eq!(world.commit(epoch, 0), Some(Answer::Released(3 * number)));
        assert_eq!(world.left().len() as u64, number + 1);
    }
    assert_eq!(world.held(), [6]);
}

/// The backup has the third, and so the two before it.
#[test]
fn a_commit_covers_all_earlier_epochs() {
    let mut world = World::new(ROOMY);
    for _ in 0..4 {
        world.send(1);
        world.checkpoint();
    }
    let third = world.backup_has(3).unwrap();
    // A number that no epoch has, between the third and the fourth.
    assert_eq!(world.commit(third, 2), Some(Answer::Released(8)));
    assert_eq!((world.left(), world.held()), (vec![1, 2, 3], vec![4]));
    assert_eq!(world.commit(third, 0), Some(Answer::Repeated(6)));
}

#[test]
fn a_restart_keeps_what_is_in_flight_until_a_later_commit() {
    let mut world = World::new(ROOMY);
    for _ in 0..3 {
        world.send(1);
        world.checkpoint();
    }
    world.start();
    world.new_client();
    let old = world.backup_has(2).unwrap();
    assert_eq!(world.commit(old, 0), None);
    assert_eq!(world.left(), []);
    world.send(1);
    assert_eq!(world.checkpoint(), Answer::Ended(0));
    let new = world.backup_has(2).unwrap();
    assert_eq!(world.commit(new, 0), Some(Answer::Released(0)));
    assert_eq!(world.left(), [1, 2, 3, 4]);
}

/// The epochs keep their commits; that something is lost is said once.
#[test]
fn a_flap_loses_packets_and_no_epoch() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.happen(Mishap::Flap);
    world.send(1);
    world.checkpoint();
    world.send(1);
    let first = world.backup_has(1).unwrap();
    assert_eq!(world.commit(first, 0), Some(Answer::Purged(0)));
    assert_eq!(world.left(), []);
    let second = world.backup_has(1).unwrap();
    assert_eq!(world.commit(second, 0), Some(Answer::Released(3)));
    assert_eq!((world.left(), world.held()), (vec![2], vec![3]));
}

/// BEGIN of what the watchdog has begun meanwhile ends nothing, and would not be noticed.
#[test]
fn an_epoch_ends_although_the_watchdog_has_aborted() {
    let mut world = World::new(Settings {
        on_late: OnLate::Abort,
        ..ROOMY
    });
    world.send(1);
    world.checkpoint();
    world.happen(Mishap::Bark);
    world.send(1);
    assert_eq!(world.checkpoint(), Answer::Ended(3));
    world.send(1);
    let second = world.backup_has(2).unwrap();
    assert_eq!(world.commit(second, 0), Some(Answer::Purged(3)));
    assert_eq!((world.left(), world.held()), (vec![2], vec![3]));
}

/// The new gate counts from 1 again, and somebody has ended an epoch on it: its number is that of an
/// epoch which the client has committed.
#[test]
fn numbers_of_a_gate_that_was_replaced_mean_nothing() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.happen(Mishap::ForeignGate);
    world.send(1);
    world.happen(Mishap::ForeignBegin);
    let first = world.backup_has(1).unwrap();
    assert_eq!(world.commit(first, 0), Some(Answer::Waiting(0)));
    assert_eq!(nothing_leaves_early(&world.trace), Ok(()));
    assert_eq!((world.left(), world.held()), (vec![], vec![2]));
}

/// Nobody has told that it was replaced, but its numbers are smaller than they were.
#[test]
fn a_gate_that_was_replaced_is_known_by_its_numbers() {
    let mut world = World::new(ROOMY);
    for _ in 0..3 {
        world.send(1);
        world.checkpoint();
    }
    world.happen(Mishap::ForeignGate);
    world.news = false;
    world.send(1);
    assert_eq!(world.checkpoint(), Answer::Ended(9));
    let third = world.backup_has(3).unwrap();
    assert_eq!(world.commit(third, 0), Some(Answer::Waiting(6)));
    assert_eq!((world.left(), world.held()), (vec![], vec![4]));
}

/// The next client leaves out what would have been the number of an epoch of the one before.
#[test]
fn numbers_of_a_client_that_has_gone_mean_nothing() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.new_client();
    world.base -= 1;
    assert_eq!(world.checkpoint(), Answer::Ended(3));
    assert_eq!(world.commit(1, 1), Some(Answer::Waiting(1)));
    assert_eq!((world.left(), world.held()), (vec![], vec![1]));
}

#[test]
fn an_abort_drops_all_that_is_in_flight() {
    let mut world = World::new(ROOMY);
    for _ in 0..3 {
        world.send(1);
        world.checkpoint();
    }
    world.send(2);
    let first = world.backup_has(1).unwrap();
    world.commit(first, 0);
    world.abort();
    assert_eq!((world.left(), world.held()), (vec![1], vec![]));
    assert_eq!(
        world.commit(2, 0),
        Some(Answer::Refused(Refusal::Aborted(3)))
    );
    world.send(1);
    world.checkpoint();
    let next = world.backup_has(1).unwrap();
    assert_eq!(world.commit(next, 0), Some(Answer::Released(12)));
    assert_eq!(world.left(), [1, 6]);
}

/// ABORT of what the watchdog has aborted drops nothing, and packets came since.
#[test]
fn an_abort_drops_what_came_after_the_watchdogs() {
    for at in 0..4 {
        let mut world = World::new(Settings {
            on_late: OnLate::Abort,
            ..ROOMY
        });
        world.send(1);
        world.checkpoint();
        world.send(1);
        world.between = vec![Mishap::Nothing; at].into();
        world.between.push_back(Mishap::Bark);
        world.abort();
        assert_eq!((world.left(), world.held()), (vec![], vec![]), "at {at}");
    }
}

#[test]
fn an_end_beyond_what_may_be_in_flight_is_refused_and_taken_later() {
    let mut world = World::new(Settings {
        in_flight: 2,
        ..ROOMY
    });
    world.checkpoint();
    world.checkpoint();
    world.send(1);
    let refusal = Refusal::TooMany {
        epoch: 6,
        in_flight: 2,
    };
    assert_eq!(world.checkpoint(), Answer::Refused(refusal));
    let first = world.backup_has(1).unwrap();
    assert_eq!(world.commit(first, 0), Some(Answer::Released(0)));
    assert_eq!(world.checkpoint(), Answer::Ended(6));
    let third = world.backup_has(2).unwrap();
    assert_eq!(world.commit(third, 0), Some(Answer::Released(6)));
    assert_eq!(world.left(), [1]);
}

#[test]
fn an_end_of_a_gate_that_is_full_is_refused_if_so_set() {
    let mut world = World::new(Settings {
        limit: 100,
        on_overflow: OnOverflow::RefuseEpoch,
        ..ROOMY
    });
    world.send(1);
    world.checkpoint();
    world.send(1);
    assert_eq!(world.checkpoint(), Answer::Refused(Refusal::Full(3)));
    let first = world.backup_has(1).unwrap();
    assert_eq!(world.commit(first, 0), Some(Answer::Released(0)));
    assert_eq!(world.checkpoint(), Answer::Ended(3));
}

/// Whether it was carried out or not: the next end finds out which number is the next.
#[test]
fn an_end_that_failed_may_be_said_again() {
    for carried_out in [false, true] {
        let mut world = World::new(ROOMY);
        world.send(1);
        world.between = [Mishap::Fail { carried_out }].into();
        assert_eq!(world.checkpoint(), Answer::Ended(0));
        world.send(1);
        let epoch = world.backup_has(1).unwrap();
        assert_eq!(world.commit(epoch, 0), Some(Answer::Released(0)));
        assert_eq!((world.left(), world.held()), (vec![1], vec![2]));
    }
}

/// A commit that failed is no commit for the line: said again, it is done.
#[test]
fn a_commit_that_failed_waits_for_the_next_epoch() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    let epoch = world.backup_has(1).unwrap();
    world.between = [Mishap::Fail { carried_out: false }].into();
    let lost = Some(Answer::Refused(Refusal::Lost));
    assert_eq!(world.commit(epoch, 0), lost);
    assert_eq!(world.commit(epoch, 0), Some(Answer::Waiting(0)));
    world.checkpoint();
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch, 0), Some(Answer::Released(3)));
    assert_eq!(world.left(), [1]);
}

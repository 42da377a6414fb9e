//! Named cases: what each rule is for, and the one race that is left.

use qdisc_model::controller::{Answer, Command, LATE_RELEASES, Refusal};
use qdisc_model::invariant::{Violation, nothing_leaves_early};

use crate::world::{Between, ROOMY, World};

/// One epoch after another, as Remus does.
#[test]
fn a_commit_releases_its_epoch_and_no_more() {
    let mut world = World::new(ROOMY);
    world.send(2);
    assert_eq!(world.checkpoint(), Answer::Ended(0));
    world.send(1);
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Released(0)));
    assert_eq!((world.left(), world.held()), (vec![1, 2], vec![3]));
}

/// Two in flight: the second has no batch of its own, so it waits for the third.
#[test]
fn an_epoch_that_ends_before_the_older_one_is_committed_joins_the_next() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.send(1);
    assert_eq!(world.checkpoint(), Answer::Joined(1));
    world.send(1);
    let first = world.backup_has(1).unwrap();
    assert_eq!(world.commit(first), Some(Answer::Released(0)));
    assert_eq!(world.checkpoint(), Answer::Ended(2));
    let second = world.backup_has(1).unwrap();
    assert_eq!(world.commit(second), Some(Answer::Waiting(1)));
    assert_eq!(world.left(), [1]);
    let third = world.backup_has(1).unwrap();
    assert_eq!(world.commit(third), Some(Answer::Released(2)));
    assert_eq!(world.left(), [1, 2, 3]);
}

/// The plug would let packet 2 go, which is not committed.
#[test]
fn a_flap_between_the_end_and_the_commit_releases_nothing() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.flap();
    world.send(1);
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Purged(0)));
    world.send(1);
    assert_eq!((world.left(), world.held()), (vec![], vec![3]));
    // Packet 2, which the new plug replaced; how many the link lost can't be told.
    assert_eq!(world.controller.totals().purged, 1);
}

/// Counters that went backwards tell of a flap that nobody reported.
#[test]
fn a_purge_without_notice_is_seen_in_the_counters() {
    let mut world = World::new(ROOMY);
    world.send(3);
    world.checkpoint();
    let gone = world.plug.reset();
    assert_eq!(gone.len(), 3);
    world.send(1);
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Purged(0)));
    assert_eq!(world.left(), []);
}

/// No request to the kernel can be made to depend on what happened a moment before. But the very
/// answer to the release shows that the counters went backwards, and the plug is replaced at once:
/// only what arrives within these two requests can leak, and no more than the batch.
#[test]
fn a_flap_in_the_gap_between_look_and_release_leaks_what_arrives_until_the_answer() {
    let mut world = World::new(ROOMY);
    world.flap_in_the_gap = true;
    world.send(3);
    world.checkpoint();
    let epoch = world.backup_has(1).unwrap();
    // Look, the flap, RELEASE_ONE, a packet, look, replacement.
    world.between = [Between::Nothing, Between::Flap, Between::Packets(1)].into();
    assert_eq!(world.commit(epoch), Some(Answer::Purged(0)));
    world.send(5);
    let leak = nothing_leaves_early(&world.trace);
    assert_eq!(leak, Err(Violation::LeftEarly { id: 4, epoch: 2 }));
    assert_eq!(world.left(), [4]);

    let mut world = World::new(ROOMY);
    world.flap_in_the_gap = true;
    world.send(3);
    world.checkpoint();
    let epoch = world.backup_has(1).unwrap();
    world.between = [Between::Nothing, Between::Flap].into();
    world.commit(epoch);
    world.send(5);
    assert_eq!(world.left(), [], "nothing arrived in between");
}

/// The counters alone can't tell two packets that were purged and two that came after from two that
/// never moved. Only the notice of the kernel can, so it is heard again once nothing can come in.
#[test]
fn a_flap_right_before_a_flush_is_heard_even_if_as_many_packets_came_after_it() {
    let mut world = World::asleep(ROOMY);
    world.send(2);
    world.start();
    world.checkpoint();
    assert_eq!(world.controller.strays(), 2);
    let epoch = world.backup_has(1).unwrap();
    // Look, the flap and two packets of the next epoch, LIMIT 0, the fence.
    world.between = [Between::Nothing, Between::FlapThen(2)].into();
    assert_eq!(world.commit(epoch), Some(Answer::Purged(0)));
    assert_eq!(nothing_leaves_early(&world.trace), Ok(()));
    assert_eq!(world.left(), []);
}

/// A plug that was told to release five packets and lost them before they left.
fn stale_release() -> World {
    let mut world = World::asleep(ROOMY);
    world.stall(true);
    world.send(5);
    world.execute(Command::Block);
    world.execute(Command::ReleaseOne);
    world.lose_all();
    world.stall(false);
    world
}

/// BUFFER is not enough after a flap that hit a release which had not run out: what is still to
/// be released stays, however often the plug is told. A new plug forgets it.
#[test]
fn only_a_new_plug_forgets_what_is_still_to_be_released() {
    let mut world = stale_release();
    world.execute(Command::Block);
    world.execute(Command::Block);
    world.send(1);
    assert_eq!(world.left(), [6], "it leaks");
    world.execute(Command::Renew);
    world.send(2);
    assert_eq!(world.left(), [6]);
}

/// A start over an empty plug trusts nothing that it may count.
#[test]
fn a_start_replaces_an_empty_plug() {
    let mut world = stale_release();
    world.start();
    world.send(2);
    assert_eq!(world.left(), []);
    assert_eq!(world.controller.totals().renewals, 1);
}

/// A command that failed leaves a batch that nobody knows: the next commit must not spend it.
#[test]
fn a_failed_command_ends_the_batch() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.send(3);
    let epoch = world.backup_has(1).unwrap();
    world.between = [Between::Fail { carried_out: false }].into();
    let lost = Some(Answer::Refused(Refusal::Lost));
    assert_eq!(world.commit(epoch), lost);
    world.notice();
    assert_eq!(world.commit(epoch), Some(Answer::Repeated(0)));
    world.checkpoint();
    assert_eq!(world.left(), []);
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Released(1)));
    assert_eq!(world.left(), [1, 2, 3, 4]);
}

/// A restart keeps what is held. It is let go whole at the first quiet commit.
#[test]
fn a_restart_keeps_what_is_held_and_flushes_it_when_quiet() {
    let mut world = World::new(ROOMY);
    world.send(2);
    world.start();
    world.new_client();
    assert_eq!(world.held(), [1, 2]);
    assert_eq!(world.controller.strays(), 2);
    world.send(1);
    world.checkpoint();
    // Not quiet: as many go as the batch has, which are older ones.
    world.send(1);
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Released(0)));
    assert_eq!((world.left(), world.held()), (vec![1], vec![2, 3, 4]));
    // Quiet.
    world.checkpoint();
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Released(1)));
    assert_eq!((world.left(), world.held()), (vec![1, 2, 3, 4], vec![]));
    assert_eq!(world.controller.strays(), 0);
    world.send(1);
    assert_eq!(world.held(), [5]);
}

/// A guest that is never quiet: after some late releases one loss ends the delay.
#[test]
fn strays_of_a_busy_guest_are_given_up_in_the_end() {
    let mut world = World::new(ROOMY);
    world.send(4);
    world.start();
    world.new_client();
    let round = |world: &mut World| {
        world.send(3);
        world.checkpoint();
        world.send(1);
        let epoch = world.backup_has(1).unwrap();
        world.commit(epoch)
    };
    for number in 0..u64::from(LATE_RELEASES) {
        assert_eq!(round(&mut world), Some(Answer::Released(number)));
        assert_eq!(world.controller.strays(), 4);
    }
    round(&mut world);
    assert_eq!(world.controller.strays(), 0);
    // What the strays stood in front of: three packets and the one before them.
    assert_eq!(world.controller.totals().purged, 4 + 4);
    round(&mut world);
    assert_eq!(world.held().len(), 1, "only the open epoch");
    assert_eq!(nothing_leaves_early(&world.trace), Ok(()));
}

/// A packet that comes in the middle of a flush is never let through by it.
#[test]
fn a_flush_is_given_up_when_something_arrives() {
    for at in 0..12 {
        for kill in [false, true] {
            let mut world = World::new(ROOMY);
            world.send(2);
            world.start();
            world.new_client();
            world.checkpoint();
            let epoch = world.backup_has(1).unwrap();
            world.between = vec![Between::Nothing; at].into();
            world.between.push_back(Between::Packets(1));
            if kill {
                world.between.push_back(Between::Kill);
            }
            world.commit(epoch);
            world.send(2);
            assert_eq!(nothing_leaves_early(&world.trace), Ok(()), "at {at}");
        }
    }
}

/// Whoever dies in the middle of a flush leaves the plug open with a limit of 0; if the device is
/// slow, not empty. The next one closes it before it sets a limit.
#[test]
fn a_start_after_a_flush_that_was_cut_off_closes_before_it_widens() {
    let mut world = World::new(ROOMY);
    world.send(2);
    world.start();
    world.new_client();
    world.checkpoint();
    world.stall(true);
    let epoch = world.backup_has(1).unwrap();
    // Look, LIMIT 0, fence, RELEASE_INDEFINITE, and dead. The new one: look, BUFFER or LIMIT.
    world.between = vec![Between::Nothing; 4].into();
    world.between.push_back(Between::Kill);
    world.between.extend([Between::Nothing; 2]);
    world.between.extend([Between::Packets(1); 3]);
    world.commit(epoch);
    world.stall(false);
    world.send(1);
    assert_eq!(nothing_leaves_early(&world.trace), Ok(()));
}

/// What a client that has gone left in flight goes with the first commit of the next one, whose
/// numbers may be smaller.
#[test]
fn the_batch_of_a_gone_client_waits_for_the_next() {
    let mut world = World::new(ROOMY);
    for _ in 0..3 {
        world.checkpoint();
        let epoch = world.backup_has(1).unwrap();
        world.commit(epoch);
    }
    world.send(1);
    world.checkpoint();
    world.new_client();
    let old = world.backup_has(1).unwrap();
    assert_eq!(world.commit(old), None);
    assert_eq!(world.left(), []);
    world.send(1);
    assert_eq!(world.checkpoint(), Answer::Joined(0));
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Released(0)));
    assert_eq!((world.left(), world.held()), (vec![1], vec![2]));
}

#[test]
fn a_commit_of_what_has_not_ended_is_refused() {
    let mut world = World::new(ROOMY);
    world.send(1);
    let refused = |number| Some(Answer::Refused(Refusal::NotEnded(number)));
    assert_eq!(world.lie(0), refused(0));
    world.checkpoint();
    assert_eq!(world.lie(0), refused(1));
    assert_eq!(world.lie(7), refused(8));
    assert_eq!(world.held(), [1]);
}

#[test]
fn an_abort_drops_what_is_held_and_its_epochs_stay_dead() {
    let mut world = World::new(ROOMY);
    world.send(1);
    world.checkpoint();
    world.send(1);
    world.abort();
    assert_eq!(world.held(), []);
    assert_eq!(world.commit(1), Some(Answer::Refused(Refusal::Aborted(0))));
    world.send(1);
    world.checkpoint();
    let epoch = world.backup_has(1).unwrap();
    assert_eq!(world.commit(epoch), Some(Answer::Released(2)));
    assert_eq!(world.left(), [3]);
}

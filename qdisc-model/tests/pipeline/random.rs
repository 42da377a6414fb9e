//! Random interleavings under the law.
//!
//! Taken out once and seen to fail, here or in `cases.rs`:
//! - that an end must have ended one epoch; that a commit stops at its own epoch and begins at the
//!   oldest; that an abort begins there, and is remembered;
//! - that flights lose their numbers with a client, a failure, a disturbance, numbers that fell;
//! - that a failed commit is none; that a loss is said once.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use qdisc_model::controller::Answer;
use qdisc_model::epoch::{OnLate, OnOverflow, Settings};
use qdisc_model::invariant::{commit_releases, nothing_leaves_early, order_is_kept};

use crate::world::{Mishap, ROOMY, World};

#[derive(Clone, Copy, Debug)]
enum Move {
    Send(u8),
    Checkpoint,
    /// The backup gets some epochs, and the daemon hears of it; the number may be one that no epoch
    /// has.
    Commit(u8, u8),
    /// The backup gets some epochs, and the news of it is lost.
    LostCommit(u8),
    /// The last news again.
    RepeatCommit,
    Lie(u8),
    Abort,
    Happen(Mishap),
    NewClient,
    Restart,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        2 => Just(Mishap::Flap),
        2 => any::<bool>().prop_map(Mishap::Stall),
        2 => Just(Mishap::Bark),
        1 => Just(Mishap::ForeignBegin),
        1 => Just(Mishap::ForeignGate),
    ]
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0..4u8).prop_map(Move::Send),
        8 => Just(Move::Checkpoint),
        6 => (1..4u8, 0..3u8).prop_map(|(count, between)| Move::Commit(count, between)),
        1 => (1..3u8).prop_map(Move::LostCommit),
        1 => Just(Move::RepeatCommit),
        1 => (0..3u8).prop_map(Move::Lie),
        1 => Just(Move::Abort),
        3 => mishap().prop_map(Move::Happen),
        1 => Just(Move::NewClient),
        1 => Just(Move::Restart),
    ]
}

fn between() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        10 => Just(Mishap::Nothing),
        5 => (1..3u8).prop_map(Mishap::Packets),
        3 => mishap(),
        1 => Just(Mishap::Kill),
        1 => any::<bool>().prop_map(|carried_out| Mishap::Fail { carried_out }),
    ]
}

/// Narrow ones too: full, and with few epochs in flight. One that opens when a commit is late breaks
/// the law by order of its owner, and is not among them.
fn settings() -> impl Strategy<Value = Settings> {
    let overflow = prop_oneof![Just(OnOverflow::DropNewest), Just(OnOverflow::RefuseEpoch)];
    let late = prop_oneof![Just(OnLate::Hold), Just(OnLate::Abort)];
    let limit = prop_oneof![Just(ROOMY.limit), Just(350)];
    (limit, 1..6_usize, overflow, late).prop_map(|(limit, in_flight, on_overflow, on_late)| {
        Settings {
            limit,
            in_flight,
            on_overflow,
            on_late,
        }
    })
}

fn play(world: &mut World, moves: &[Move]) {
    let mut latest = None;
    for step in moves {
        match *step {
            Move::Send(count) => world.send(count),
            Move::Checkpoint => {
                world.checkpoint();
            }
            Move::Commit(count, between) => {
                if let Some(epoch) = world.backup_has(usize::from(count)) {
                    latest = Some(epoch);
                    world.commit(epoch, between.into());
                }
            }
            Move::LostCommit(count) => {
                world.backup_has(usize::from(count));
            }
            Move::RepeatCommit => {
                if let Some(epoch) = latest {
                    world.commit(epoch, 0);
                }
            }
            Move::Lie(ahead) => {
                world.lie(ahead.into());
            }
            Move::Abort => world.abort(),
            Move::Happen(mishap) => {
                world.happen(mishap);
            }
            Move::NewClient => world.new_client(),
            Move::Restart => {
                world.start();
                world.new_client();
            }
        }
    }
}

fn config() -> Config {
    Config {
        cases: 4096,
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

/// Whatever comes between: no packet leaves before the commit of its epoch, and none overtakes.
#[test]
fn nothing_leaves_before_its_commit() {
    let moves = proptest::collection::vec(step(), 0..50);
    let between = proptest::collection::vec(between(), 0..80);
    let outcome =
        TestRunner::new(config()).run(&(moves, between, settings()), |(moves, between, set)| {
            let mut world = World::new(set);
            world.between = between.into();
            play(&mut world, &moves);
            nothing_leaves_early(&world.trace)?;
            order_is_kept(&world.trace)?;
            Ok(())
        });
    outcome.unwrap();
}

/// When all is in order each commit lets go all that it covers, and at once, however many epochs are
/// in flight.
#[test]
fn nothing_stays_behind_its_commit() {
    let moves = proptest::collection::vec(
        prop_oneof![
            4 => (0..4u8).prop_map(Move::Send),
            4 => Just(Move::Checkpoint),
            2 => (1..4u8, 0..3u8).prop_map(|(count, between)| Move::Commit(count, between)),
            1 => Just(Move::RepeatCommit),
            1 => (0..3u8).prop_map(Move::Lie),
            1 => Just(Move::Abort),
        ],
        0..60,
    );
    let outcome = TestRunner::new(config()).run(&moves, |moves| {
        let mut world = World::new(ROOMY);
        for step in moves {
            play(&mut world, &[step]);
            commit_releases(&world.trace)?;
        }
        nothing_leaves_early(&world.trace)?;
        Ok(())
    });
    outcome.unwrap();
}

/// Whatever was in flight when a daemon or a client went leaves with the first epoch of the next, and
/// so does what nobody knows the number of after a disturbance.
#[test]
fn what_was_left_in_flight_leaves_with_the_next_commit() {
    let moves = proptest::collection::vec(step(), 0..50);
    let between = proptest::collection::vec(between(), 0..80);
    let outcome = TestRunner::new(config()).run(&(moves, between), |(moves, between)| {
        let mut world = World::new(ROOMY);
        world.between = between.into();
        play(&mut world, &moves);
        world.between.clear();
        world.happen(Mishap::Stall(false));
        world.checkpoint();
        world.send(1);
        let epoch = world.backup_has(usize::MAX).unwrap();
        let answer = world.commit(epoch, 0);
        let is_settled = matches!(answer, Some(Answer::Released(_) | Answer::Purged(_)));
        assert!(is_settled, "{answer:?}");
        commit_releases(&world.trace)?;
        nothing_leaves_early(&world.trace)?;
        assert_eq!(world.held().len(), 1, "only the open epoch");
        Ok(())
    });
    outcome.unwrap();
}

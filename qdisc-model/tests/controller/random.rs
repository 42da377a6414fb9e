//! Random interleavings under the law.
//!
//! Taken out once and seen to fail here:
//! - the look before a release (`Checking`), the flag of a disturbance, the replacement after it;
//! - BUFFER only while no batch waits; a batch's newest epoch; its reset for a new client;
//! - the refusal of epochs that have not ended or were aborted;
//! - BUFFER before LIMIT at a start; LIMIT 0 before a flush; the second look at its quiet.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use qdisc_model::invariant::{commit_releases, nothing_leaves_early, order_is_kept};

use crate::world::{Between, ROOMY, World};

#[derive(Clone, Copy, Debug)]
enum Move {
    Send(u8),
    Checkpoint,
    /// The backup gets some epochs, and the daemon hears of it.
    Commit(u8),
    /// The backup gets some epochs, and the news of it is lost.
    LostCommit(u8),
    /// The last news again.
    RepeatCommit,
    Lie(u8),
    Abort,
    Flap,
    Stall(bool),
    Notice,
    NewClient,
    Restart,
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0..4u8).prop_map(Move::Send),
        6 => Just(Move::Checkpoint),
        6 => (1..3u8).prop_map(Move::Commit),
        1 => (1..3u8).prop_map(Move::LostCommit),
        1 => Just(Move::RepeatCommit),
        1 => (0..3u8).prop_map(Move::Lie),
        1 => Just(Move::Abort),
        1 => Just(Move::Flap),
        1 => any::<bool>().prop_map(Move::Stall),
        1 => Just(Move::Notice),
        1 => Just(Move::NewClient),
        1 => Just(Move::Restart),
    ]
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        8 => Just(Between::Nothing),
        4 => (1..3u8).prop_map(Between::Packets),
        1 => Just(Between::Flap),
        1 => any::<bool>().prop_map(Between::Stall),
        1 => Just(Between::Kill),
        1 => any::<bool>().prop_map(|carried_out| Between::Fail { carried_out }),
    ]
}

fn play(world: &mut World, moves: &[Move]) {
    let mut latest = None;
    for step in moves {
        match *step {
            Move::Send(count) => world.send(count),
            Move::Checkpoint => {
                world.checkpoint();
            }
            Move::Commit(count) => {
                if let Some(epoch) = world.backup_has(usize::from(count)) {
                    latest = Some(epoch);
                    world.commit(epoch);
                }
            }
            Move::LostCommit(count) => {
                world.backup_has(usize::from(count));
            }
            Move::RepeatCommit => {
                if let Some(epoch) = latest {
                    world.commit(epoch);
                }
            }
            Move::Lie(ahead) => {
                world.lie(u64::from(ahead));
            }
            Move::Abort => world.abort(),
            Move::Flap => world.flap(),
            Move::Stall(stalled) => world.stall(stalled),
            Move::Notice => world.notice(),
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
        cases: 2048,
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

/// Whatever comes between: no packet leaves before the commit of its epoch, and none overtakes.
#[test]
fn nothing_leaves_before_its_commit() {
    let moves = proptest::collection::vec(step(), 0..40);
    let between = proptest::collection::vec(between(), 0..80);
    let limit = prop_oneof![Just(ROOMY), Just(350)];
    let outcome =
        TestRunner::new(config()).run(&(moves, between, limit), |(moves, between, limit)| {
            let mut world = World::new(limit);
            world.between = between.into();
            play(&mut world, &moves);
            nothing_leaves_early(&world.trace)?;
            order_is_kept(&world.trace)?;
            Ok(())
        });
    outcome.unwrap();
}

/// Undisturbed and with one epoch in flight a commit releases all that it covers, and at once.
#[test]
fn one_epoch_in_flight_never_lags() {
    let bursts = proptest::collection::vec((0..4u8, 0..4u8), 1..20);
    let outcome = TestRunner::new(config()).run(&bursts, |bursts| {
        let mut world = World::new(ROOMY);
        for (before, during) in bursts {
            world.send(before);
            world.checkpoint();
            world.send(during);
            let epoch = world.backup_has(1).unwrap();
            world.commit(epoch);
            commit_releases(&world.trace)?;
        }
        nothing_leaves_early(&world.trace)?;
        Ok(())
    });
    outcome.unwrap();
}

/// With several epochs in flight nothing is left behind for good: once the pipeline is empty, two
/// more rounds let out everything.
#[test]
fn a_pipeline_catches_up() {
    let moves = proptest::collection::vec(
        prop_oneof![
            (0..4u8).prop_map(Move::Send),
            Just(Move::Checkpoint),
            (1..3u8).prop_map(Move::Commit),
        ],
        0..40,
    );
    let outcome = TestRunner::new(config()).run(&moves, |moves| {
        let mut world = World::new(ROOMY);
        play(&mut world, &moves);
        for _ in 0..2 {
            world.checkpoint();
            if let Some(epoch) = world.backup_has(usize::MAX) {
                world.commit(epoch);
            }
        }
        nothing_leaves_early(&world.trace)?;
        commit_releases(&world.trace)?;
        Ok(())
    });
    outcome.unwrap();
}

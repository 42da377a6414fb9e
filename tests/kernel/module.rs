//! The kernel module, loaded into the running kernel: in guests, where the test `lab` puts it.
//! Elsewhere it is never loaded, and all of this is skipped aloud.

mod beside;
mod calls;
mod chain;
mod deploy;
mod life;
mod plug;

use std::num::NonZero;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use compiler::device::Device;
use compiler::gate::module::{Mark, Order as Numbered, Overflow, Setting, Settings};
use compiler::gate::plug::{Gate, Order, PlugError};
use kernel_module::netlink::{attribute, state};
use libtest_mimic::{Failed, Trial};
use tests::kmod::drive::{Driver, Dump, Failure, longs, open, words};
use tests::kmod::load::Module;
use tests::kmod::rig::{IFB, MARK, Rig, batch};
use tests::kmod::{IN_GUEST, WHY_NOT, lockstep};
use tests::netlab::Lab;

use crate::{Here, number, unless};

/// Sequences of the lockstep test in a guest.
const SEQUENCES: usize = 1_000;
const KIND: &str = "epochgate";

pub(crate) fn trials(_: &Here) -> Vec<Trial> {
    let missing = (!Path::new(IN_GUEST).is_file()).then(|| {
        std::env::var(WHY_NOT)
            .unwrap_or_else(|_| String::from("the module is loaded only in guests of the lab"))
    });
    let mut trials = Vec::new();
    let mut add = |name: &str, run: fn() -> Result<(), Failed>| {
        let name = format!("module::{name}");
        let own_name = name.clone();
        trials.push(unless(missing.clone(), &name, move || {
            // At once: a run that is cut off tells its failures only so.
            run().inspect_err(|failed| eprintln!("{own_name}: {failed:?}"))
        }));
    };
    add("holds_and_releases_epochs", holds_and_releases_epochs);
    add("tc_makes_it_and_shows_it", tc_makes_it_and_shows_it);
    add("what_passes_by_never_waits", what_passes_by_never_waits);
    add(
        "the_watchdog_does_what_was_set",
        the_watchdog_does_what_was_set,
    );
    add(
        "what_is_to_be_cut_is_counted_once",
        beside::what_is_to_be_cut_is_counted_once,
    );
    add(
        "a_dump_shows_limit_and_state",
        beside::a_dump_shows_limit_and_state,
    );
    add(
        "an_overflow_is_seen_and_chosen",
        beside::an_overflow_is_seen_and_chosen,
    );
    add("below_other_qdiscs", below_other_qdiscs);
    add("the_gate_command_drives_it", the_gate_command_drives_it);
    add("epochs_go_by_their_numbers", epochs_go_by_their_numbers);
    add("the_gate_command_sets_it", the_gate_command_sets_it);
    add("random_sequences", random_sequences);
    add("unloaded_only_when_unused", life::unloaded_only_when_unused);
    add("epochs_go_under_flood", life::epochs_go_under_flood);
    add("a_device_goes_under_flood", life::a_device_goes_under_flood);
    add(
        "a_namespace_goes_under_flood",
        life::a_namespace_goes_under_flood,
    );
    add(
        "made_and_removed_many_times",
        life::made_and_removed_many_times,
    );
    add("chain_each_epoch_with_its_commit_nft", chain::nft);
    add("chain_each_epoch_with_its_commit_u32", chain::u32);
    add("chain_killed_at_each_point", chain::killed);
    add("chain_flaps_and_aborts", chain::flaps_and_aborts);
    add("chain_refusals_teach", chain::refusals_teach);
    add("calls_are_as_behind_plug", calls::as_behind_plug);
    add("deployed_watched_swapped_audited", deploy::whole_life);
    add("deployed_without_the_module", deploy::without_the_module);
    add("deployed_without_the_program", deploy::without_the_program);
    add("cures_in_the_place_of_plug", plug::cures);
    add("scenarios_in_the_place_of_plug", plug::scenarios);
    trials
}

/// Does something with the module loaded under its own name, in a laboratory of its own; then it must
/// be possible to unload it.
fn with_module(work: impl FnOnce(&mut Rig) -> Result<(), String> + Send) -> Result<(), Failed> {
    let module = Module::load(Path::new(IN_GUEST), KIND)?;
    let lab = Lab::new()?;
    lab.enter(|| work(&mut Rig::new()?))??;
    drop(lab);
    Ok(module.unload()?)
}

/// Whenever a qdisc goes, the kernel waits for a grace period of RCU, which is over at once on one
/// processor; with two each round takes twice as long.
fn fewer_with_rcu(rounds: usize) -> usize {
    match thread::available_parallelism().map_or(1, NonZero::get) {
        1 => rounds,
        _ => rounds / 10,
    }
}

fn dump(rig: &mut Rig) -> Result<Dump, String> {
    Ok(rig.driver.dump()?.ok_or("the qdisc is gone")?)
}

fn begin(epoch: u64) -> Vec<u8> {
    longs(&[(attribute::BEGIN, epoch)])
}

fn commit(epoch: u64) -> Vec<u8> {
    longs(&[(attribute::COMMIT, epoch)])
}

fn holds_and_releases_epochs() -> Result<(), Failed> {
    with_module(|rig| {
        rig.driver.add(KIND, None)?;
        for number in 1..=5 {
            rig.send(number, 100)?;
            if number == 3 {
                rig.driver.change(KIND, &begin(2))?;
            }
        }
        assert!(rig.out(0)?.is_empty());
        let refused = rig.driver.change(KIND, &commit(2));
        assert_eq!(refused, Err(Failure::Refused(-16)));
        rig.driver.change(KIND, &commit(1))?;
        assert_eq!(rig.out(3)?, [1, 2, 3]);
        rig.driver.change(KIND, &open())?;
        assert_eq!(rig.out(2)?, [4, 5]);
        let dump = dump(rig)?;
        assert_eq!(dump.get(attribute::STATE), u64::from(state::OPEN));
        assert_eq!(dump.get(attribute::UNPROTECTED), 2);
        let wrong = rig.driver.change(KIND, &words(&[(attribute::LATE, 7)]));
        assert_eq!(wrong, Err(Failure::Refused(-34)));
        let garbage = rig.driver.change(KIND, &[9, 0, 1, 0, 5, 6, 7, 8, 9, 10]);
        assert_eq!(garbage, Err(Failure::Refused(-22)));
        Ok(())
    })
}

fn tc_makes_it_and_shows_it() -> Result<(), Failed> {
    with_module(|rig| {
        batch("tc", "qdisc add dev ifb1 root handle 5: epochgate\n")?;
        rig.send(1, 100)?;
        let shown = std::process::Command::new("tc")
            .args(["-s", "qdisc", "show", "dev", IFB])
            .output()
            .map_err(|e| e.to_string())?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        eprintln!("{shown}");
        let right = shown.contains("qdisc epochgate 5: root") && shown.contains("backlog 100b 1p");
        right.then_some(()).ok_or(shown)?;
        let dump = dump(rig)?;
        assert_eq!(dump.get(attribute::LIMIT), 64 << 20);
        assert_eq!(dump.get(attribute::HELD_BYTES), 100);
        batch("tc", "qdisc del dev ifb1 root\n")
    })
}

fn what_passes_by_never_waits() -> Result<(), Failed> {
    with_module(|rig| {
        let mark = words(&[(attribute::MARK, MARK), (attribute::MASK, 0xff)]);
        rig.driver.add(KIND, Some(&mark))?;
        rig.send(1, 100)?;
        rig.send_marked(2, 100)?;
        rig.send(3, 100)?;
        assert_eq!(rig.out(1)?, [2]);
        assert_eq!(dump(rig)?.get(attribute::PASSED), 1);
        rig.driver.delete()?;
        // The same by a filter that is attached to the qdisc.
        batch("tc", "qdisc add dev ifb1 root handle 5: epochgate\n")?;
        batch(
            "tc",
            "filter add dev ifb1 parent 5: protocol 0x88b6 pref 1 matchall classid 5:1\n",
        )?;
        rig.send(4, 100)?;
        rig.send_marked(5, 100)?;
        assert_eq!(rig.out(1)?, [5]);
        rig.driver.change(KIND, &begin(2))?;
        rig.driver.change(KIND, &commit(1))?;
        assert_eq!(rig.out(1)?, [4]);
        Ok(())
    })
}

fn the_watchdog_does_what_was_set() -> Result<(), Failed> {
    with_module(|rig| {
        for (late, out, drops) in [(0, vec![], 0), (1, vec![], 1), (2, vec![1], 0)] {
            let set = words(&[(attribute::WATCHDOG, 40), (attribute::LATE, late)]);
            rig.driver.add(KIND, Some(&set))?;
            rig.send(1, 100)?;
            assert!(rig.out(0)?.is_empty(), "it is not yet time");
            thread::sleep(Duration::from_millis(100));
            assert_eq!(rig.out(out.len())?, out, "late is {late}");
            let dump = dump(rig)?;
            assert_eq!(
                dump.get(attribute::STATE) & u64::from(state::LATE),
                u64::from(state::LATE)
            );
            assert!(dump.get(attribute::BARKS) >= 1);
            assert_eq!(dump.drops, drops);
            rig.driver.delete()?;
        }
        Ok(())
    })
}

fn below_other_qdiscs() -> Result<(), Failed> {
    // One that peeks, and one that does not.
    const PARENTS: [&str; 2] = [
        "tbf rate 100mbit burst 100k limit 1m",
        "prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
    ];
    with_module(|rig| {
        for parent in PARENTS {
            batch(
                "tc",
                &format!("qdisc add dev ifb1 root handle 1: {parent}\n"),
            )?;
            batch("tc", "qdisc add dev ifb1 parent 1:1 handle 5: epochgate\n")?;
            let mut child = Driver::new(IFB)?.below(0x0001_0001);
            for number in 1..=3 {
                rig.send(number, 100)?;
            }
            assert!(rig.out(0)?.is_empty(), "{parent}");
            child.change(KIND, &begin(2))?;
            rig.send(4, 100)?;
            child.change(KIND, &commit(1))?;
            assert_eq!(rig.out(3)?, [1, 2, 3], "{parent}");
            // What is dropped inside is known to the parent.
            child.change(KIND, &longs(&[(attribute::ABORT, 2)]))?;
            let whole = dump(rig)?;
            assert_eq!(
                (whole.packets, whole.backlog),
                (0, 0),
                "{parent}: {whole:?}"
            );
            rig.driver.delete()?;
        }
        Ok(())
    })
}

fn the_gate_command_drives_it() -> Result<(), Failed> {
    fn drive(rig: &mut Rig) -> Result<(), Box<dyn std::error::Error>> {
        rig.driver.add(KIND, None).map_err(String::from)?;
        let mut gate = Gate::open(&Device::new(IFB)?)?;
        let handle = gate.plug()?.handle;
        rig.send(1, 100)?;
        gate.order(handle, Order::Block)?;
        rig.send(2, 100)?;
        gate.order(handle, Order::ReleaseOne)?;
        assert_eq!(rig.out(1)?, [1]);
        let state = gate.root()?.state.ok_or("it tells nothing")?;
        assert_eq!((state.epoch, state.committed, state.in_flight), (2, 1, 0));
        assert_eq!(state.limit, 64 << 20);
        let root = gate.renew(handle, 1000)?;
        assert_eq!((root.kind.as_str(), root.packets), (KIND, 0));
        assert_eq!(root.state.map(|state| state.limit), Some(1000));
        Ok(())
    }
    with_module(|rig| drive(rig).map_err(|e| e.to_string()))
}

/// Several in flight, told as `epochgate gate begin`, `commit` and `abort` tell it.
fn epochs_go_by_their_numbers() -> Result<(), Failed> {
    fn drive(rig: &mut Rig) -> Result<(), Box<dyn std::error::Error>> {
        rig.driver.add(KIND, None).map_err(String::from)?;
        let mut gate = Gate::open(&Device::new(IFB)?)?;
        let handle = gate.plug()?.handle;
        for epoch in 1..=4 {
            gate.epoch(handle, Numbered::Begin(epoch))?;
            rig.send(u32::try_from(epoch)?, 100)?;
        }
        // A retry changes nothing, and none of these does.
        gate.epoch(handle, Numbered::Begin(4))?;
        for (order, why) in [
            (Numbered::Begin(6), "neither the open epoch nor the next"),
            (Numbered::Commit(4), "still open"),
            (Numbered::Commit(5), "not begun"),
            (Numbered::Commit(2), "an older one comes first"),
            (Numbered::Abort(9), "not begun"),
        ] {
            let said = gate.epoch(handle, order).map(drop).unwrap_err().to_string();
            assert!(said.contains(why), "{order}: {said}");
        }
        assert!(rig.out(0)?.is_empty());
        gate.epoch(handle, Numbered::Commit(1))?;
        assert_eq!(rig.out(1)?, [1]);
        let root = gate.epoch(handle, Numbered::Abort(3))?;
        assert_eq!(root.packets, 1);
        for (order, why) in [
            (Numbered::Commit(3), "aborted"),
            (Numbered::Abort(1), "committed already"),
        ] {
            let said = gate.epoch(handle, order).map(drop).unwrap_err().to_string();
            assert!(said.contains(why), "{order}: {said}");
        }
        gate.epoch(handle, Numbered::Commit(2))?;
        assert_eq!(rig.out(1)?, [2]);
        // Another handle is another gate: nothing is told to it.
        let said = gate.epoch(handle ^ 0x0001_0000, Numbered::Commit(9));
        assert!(matches!(said, Err(PlugError::Replaced(_))), "{said:?}");
        Ok(())
    }
    with_module(|rig| drive(rig).map_err(|e| e.to_string()))
}

/// All of it is set or nothing; what passes by then does so.
fn the_gate_command_sets_it() -> Result<(), Failed> {
    fn drive(rig: &mut Rig) -> Result<(), Box<dyn std::error::Error>> {
        rig.driver.add(KIND, None).map_err(String::from)?;
        let mut gate = Gate::open(&Device::new(IFB)?)?;
        let handle = gate.plug()?.handle;
        let before = gate.root()?.state.ok_or("it tells nothing")?.settings;
        let mark = Mark {
            value: MARK,
            mask: MARK,
        };
        let wrong = [Setting::Mark(mark), Setting::InFlight(0)];
        assert!(gate.set(handle, &wrong).is_err());
        let unchanged = gate.root()?.state.map(|state| state.settings);
        assert_eq!(unchanged, Some(before));
        let root = gate.set(
            handle,
            &[
                Setting::Overflow(Overflow::AskAt(150)),
                Setting::Watchdog(50),
                Setting::Mark(mark),
            ],
        )?;
        let settings = root.state.ok_or("it tells nothing")?.settings;
        let wanted = Settings {
            overflow: Overflow::AskAt(150),
            watchdog: 50,
            mark,
            ..before
        };
        assert_eq!(settings, wanted);
        rig.send(1, 100)?;
        rig.send(2, 100)?;
        thread::sleep(Duration::from_millis(500));
        let state = gate.root()?.state.ok_or("it tells nothing")?;
        assert!(
            state.is_asking && state.is_late && !state.is_open,
            "{state:?}"
        );
        assert!(rig.out(0)?.is_empty());
        Ok(())
    }
    with_module(|rig| drive(rig).map_err(|e| e.to_string()))
}

fn random_sequences() -> Result<(), Failed> {
    with_module(|rig| {
        let begin = Instant::now();
        let wanted = u32::try_from(number("EPOCHGATE_SEQUENCES", fewer_with_rcu(SEQUENCES)))
            .unwrap_or(u32::MAX);
        let report = lockstep::run(rig, wanted)?;
        eprintln!(
            "measured: {} sequences, {} steps in {:.1} s, no difference",
            report.sequences,
            report.steps,
            begin.elapsed().as_secs_f64(),
        );
        Ok(())
    })
}

//! The whole chain: vif, generated rules, IFB, our module, bridge; a guest that floods, and the daemon
//! with several epochs in flight.

use std::fs;
use std::path::Path;

use compiler::backend::Kind;
use libtest_mimic::Failed;
use tests::examples::{Example, checked};
use tests::kmod::IN_GUEST;
use tests::kmod::load::Module;
use tests::netlab::VIF;

use super::KIND;
use crate::gate::world::{IFB, World};
use crate::gate::{POINTS, expect, up_to};

/// Epochs in flight.
const FLYING: u64 = 4;

pub(super) const POLICY: &str = "bypass udp dport 16384-32767;\ndefault buffer;\n";

/// Does something with the module behind generated rules; then it must be possible to unload it.
fn with_chain(
    backend: Kind,
    work: impl FnOnce(&mut World) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let module = Module::load(Path::new(IN_GUEST), KIND)?;
    let example = Example {
        name: String::from("chain"),
        text: String::from(POLICY),
        policy: checked("chain", POLICY),
    };
    let rules = example.compile(backend, VIF, IFB)?.rules;
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), rules)?;
    let path = file.path().display();
    let load = match backend {
        Kind::Nft => format!("nft -f {path}"),
        _ => format!("tc qdisc add dev {VIF} clsact; tc -batch {path}"),
    };
    let gate = format!(
        "ip link add {IFB} type ifb
         ip link set {IFB} up
         tc qdisc add dev {IFB} root handle 5: {KIND}
         {load}"
    );
    let mut world = World::behind(&gate, true, 0)?;
    work(&mut world)?;
    // What is held keeps its socket, and that its namespace.
    world
        .lab
        .shell(&format!("tc qdisc del dev {IFB} root || true"))?;
    drop(world);
    Ok(module.unload()?)
}

/// One epoch after another ends, and as many as may be are in flight.
pub(super) fn fill(world: &mut World) -> Result<Vec<u64>, Failed> {
    let mut flying = Vec::new();
    for _ in 0..FLYING {
        world.flood(5)?;
        let (epoch, answer) = world.end()?;
        expect(&answer, &format!("ok ended {epoch}"))?;
        flying.push(epoch);
    }
    world.flood(5)?;
    Ok(flying)
}

/// So many epochs, each of which leaves with its own commit while others are in flight.
pub(super) fn rounds(world: &mut World, count: u64) -> Result<(), Failed> {
    let mut flying = fill(world)?;
    for _ in 0..count {
        let oldest = flying.remove(0);
        let answer = world.commit(oldest)?;
        expect(&answer, &format!("ok released {oldest}"))?;
        world.comes_out(oldest)?;
        world.flood(5)?;
        let (epoch, answer) = world.end()?;
        expect(&answer, &format!("ok ended {epoch}"))?;
        flying.push(epoch);
    }
    for oldest in flying {
        let answer = world.commit(oldest)?;
        expect(&answer, &format!("ok released {oldest}"))?;
        world.comes_out(oldest)?;
    }
    Ok(())
}

pub(super) fn ready(world: &mut World, words: &[&str]) -> Result<(), Failed> {
    world.start(words)?;
    world.connect()
}

pub(super) fn contains(found: &str, wanted: &str) -> Result<(), Failed> {
    match found.contains(wanted) {
        true => Ok(()),
        false => Err(format!("`{wanted}` is not in `{found}`").into()),
    }
}

fn pipelined(backend: Kind) -> Result<(), Failed> {
    with_chain(backend, |world| {
        let numbers = world.file("gate.prom");
        let path = numbers.to_str().ok_or("a path that is no text")?.to_owned();
        ready(world, &["--limit", "8MiB", "--metrics", &path])?;
        // What came before the first epoch began leaves with it.
        rounds(world, 25)?;
        let before = world.out();
        let flying = fill(world)?;
        let status = world.ask("status")?;
        contains(&status, "ok status gate=held ")?;
        contains(&status, &format!(" in-flight={FLYING} "))?;
        contains(&status, " late=no asking=no full=no ")?;
        world.flood(100)?;
        let media = world.media_passes()?;
        if world.out() > before {
            return Err("something came out without a commit".into());
        }
        // The newest covers all.
        let newest = flying[flying.len() - 1];
        let answer = world.commit(newest)?;
        expect(&answer, &format!("ok released {newest}"))?;
        world.comes_out(newest)?;
        eprintln!("{backend}: {media} frames of media passed by");
        world.wait("the metrics tell of epochs", |_| {
            let text = fs::read_to_string(&numbers).unwrap_or_default();
            text.contains("epochgate_limit_bytes{ifb=\"ifb0\"} 8388608\n")
                && text.contains("epochgate_epochs_in_flight{ifb=\"ifb0\"} ")
                && text.contains("epochgate_renewals_total{ifb=\"ifb0\"} 0\n")
        })?;
        world.judge("chain")
    })
}

pub(super) fn nft() -> Result<(), Failed> {
    pipelined(Kind::Nft)
}

pub(super) fn u32() -> Result<(), Failed> {
    pipelined(Kind::U32)
}

/// Daemon and client in turn, with epochs in flight: those leave with the first commit of the next, and
/// not before.
pub(super) fn killed() -> Result<(), Failed> {
    with_chain(Kind::Nft, |world| {
        ready(world, &[])?;
        for (number, point) in POINTS.into_iter().enumerate() {
            fill(world)?;
            up_to(world, point)?;
            // What a commit has let go is out before this counts.
            world.flood(20)?;
            let before = world.out();
            if number % 2 == 0 {
                world.kill()?;
                world.flood(10)?;
                world.start(&[])?;
            } else {
                world.disconnect();
            }
            world.connect()?;
            world.flood(10)?;
            if world.early() > 0 {
                return Err(format!("killed at {point:?}").into());
            }
            let late = world.out() - before;
            if late > 0 && !format!("{point:?}").starts_with("Commit") {
                return Err(format!("{late} came out after {point:?}").into());
            }
            let (epoch, _) = world.end()?;
            let answer = world.commit(epoch)?;
            expect(&answer, &format!("ok released {epoch}"))?;
            world.comes_out(epoch)?;
        }
        rounds(world, 3)?;
        world.judge("chain, killed")
    })
}

/// Packets that the module has lost to a reset so far.
fn purged(world: &World) -> Result<u64, Failed> {
    let output = world.gate(&["status"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = text
        .lines()
        .find_map(|line| line.strip_suffix(" purged")?.rsplit(' ').next());
    let count = count.ok_or_else(|| format!("nothing of what was purged in `{text}`"))?;
    Ok(count.parse()?)
}

/// Whether a change of the queue's length resets no qdisc (`dev_qdisc_change_tx_queue_len`): on 7.3, not on
/// 6.1 and 6.12.
fn keeps_queue_of_new_length() -> Result<bool, Failed> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(release.starts_with("7."))
}

/// The link goes down and up, or its queue's length changes, with epochs in flight: packets are lost where
/// the kernel resets the queue, no epoch is, and each that is whole leaves with its own commit.
pub(super) fn flaps_and_aborts() -> Result<(), Failed> {
    with_chain(Kind::Nft, |world| {
        ready(world, &[])?;
        for round in 0..4 {
            let flying = fill(world)?;
            let disturb = match round % 2 {
                0 => format!("ip link set {IFB} down; ip link set {IFB} up"),
                _ => format!("ip link set {IFB} txqueuelen {}", 100 + round),
            };
            let before = (purged(world)?, world.out());
            world.lab.shell(&disturb)?;
            let is_purged = purged(world)? > before.0;
            let resets = round % 2 == 0 || !keeps_queue_of_new_length()?;
            if is_purged != resets {
                return Err(format!("`{disturb}`, and packets lost: {is_purged}").into());
            }
            world.flood(10)?;
            if world.out() > before.1 {
                return Err(format!("something came out after `{disturb}`").into());
            }
            let (newest, answer) = world.end()?;
            expect(&answer, &format!("ok ended {newest}"))?;
            world.flood(5)?;
            for (number, epoch) in flying.into_iter().chain([newest]).enumerate() {
                let answer = world.commit(epoch)?;
                let wanted = match number == 0 && is_purged {
                    true => "purged",
                    false => "released",
                };
                expect(&answer, &format!("ok {wanted} {epoch}"))?;
                if number == 0 && !is_purged {
                    world.comes_out(epoch)?;
                }
            }
            world.comes_out(newest)?;
        }
        let flying = fill(world)?;
        let before = world.out();
        let answer = world.ask("abort")?;
        if !answer.starts_with("ok aborted ") || answer == "ok aborted 0" {
            return Err(answer.into());
        }
        let oldest = flying[0];
        let answer = world.ask(&format!("epoch {oldest} committed"))?;
        expect(&answer, &format!("error epoch {oldest} was aborted"))?;
        world.flood(20)?;
        if world.out() > before {
            return Err("something came out of an aborted epoch".into());
        }
        rounds(world, 3)?;
        world.judge("chain, disturbed")
    })
}

/// What the module refuses, and what it says of itself, in the words of the line.
pub(super) fn refusals_teach() -> Result<(), Failed> {
    with_chain(Kind::Nft, |world| {
        let set = |world: &World, words: &[&str]| -> Result<(), Failed> {
            let output = world.gate(&[&["set"], words].concat()).output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            output
                .status
                .success()
                .then_some(())
                .ok_or_else(|| said.into())
        };
        set(world, &["--in-flight", "2", "--watchdog", "300ms"])?;
        ready(world, &[])?;
        world.flood(5)?;
        let first = world.end()?.0;
        world.end()?;
        let refused = world
            .end()
            .unwrap_err()
            .message()
            .unwrap_or_default()
            .to_owned();
        contains(&refused, "2 await their commit and no more may")?;
        world.wait("the commit is late", |_| true)?;
        std::thread::sleep(std::time::Duration::from_millis(700));
        contains(&world.ask("status")?, " late=yes ")?;
        let answer = world.commit(first)?;
        expect(&answer, &format!("ok released {first}"))?;
        contains(&world.ask("status")?, " in-flight=1 ")?;
        world.judge("chain, late")?;

        // The watchdog aborts behind the daemon's back: the next epoch ends all the same.
        world.terminate()?;
        set(
            world,
            &[
                "--in-flight",
                "64",
                "--late",
                "abort",
                "--watchdog",
                "300ms",
            ],
        )?;
        ready(world, &[])?;
        world.flood(5)?;
        let lost = world.end()?.0;
        std::thread::sleep(std::time::Duration::from_millis(700));
        world.flood(5)?;
        let (epoch, answer) = world.end()?;
        expect(&answer, &format!("ok ended {epoch}"))?;
        let answer = world.commit(epoch)?;
        expect(&answer, &format!("ok purged {epoch}"))?;
        let answer = world.ask(&format!("epoch {lost} committed"))?;
        expect(&answer, &format!("ok repeated {lost}"))?;

        // No room, and set to refuse epochs then.
        world.terminate()?;
        set(world, &["--overflow", "refuse", "--watchdog", "off"])?;
        ready(world, &["--limit", "1000"])?;
        world.flood(5)?;
        let first = world.end()?.0;
        world.flood(50)?;
        let refused = world
            .end()
            .unwrap_err()
            .message()
            .unwrap_or_default()
            .to_owned();
        contains(&refused, "packets of it found no room")?;
        contains(&world.ask("status")?, " full=yes ")?;
        let answer = world.commit(first)?;
        expect(&answer, &format!("ok released {first}"))?;
        world.end()?;
        // And set to ask for a checkpoint.
        world.terminate()?;
        set(world, &["--overflow", "ask:200"])?;
        ready(world, &["--limit", "1MiB"])?;
        world.end()?;
        world.flood(20)?;
        contains(&world.ask("status")?, " asking=yes ")?;
        world.judge("chain, refused")
    })
}

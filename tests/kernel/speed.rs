//! How fast the module is, beside `sch_plug` and `pfifo`: packets into a qdisc on a dummy interface,
//! all of them held, and released at once. `cargo xtask kmod speed` runs it in guests whose clock counts
//! instructions, and prints a table.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kernel_module::netlink::attribute;
use libtest_mimic::{Failed, Trial};
use pnet_datalink::DataLinkSender;
use tests::kmod::drive::{Driver, longs, plug};
use tests::kmod::load::Module;
use tests::kmod::rig::{batch, sender};
use tests::kmod::{EXACT, IN_GUEST};
use tests::netlab::Lab;

use crate::{Here, unless};

const ROUNDS: usize = 3;
/// How fast it must be beside plug, in instructions; and by a clock on a busy machine, where one run in
/// two is a tenth off.
const LEAST: f64 = 0.95;
const LEAST_BY_CLOCK: f64 = 0.7;
const KINDS: [&str; 3] = ["pfifo", "plug", "epochgate"];

pub(crate) fn trials(_: &Here) -> Vec<Trial> {
    let missing = (!Path::new(IN_GUEST).is_file())
        .then(|| String::from("the module is loaded only in guests of the lab"));
    vec![unless(missing, "speed::beside_plug_and_pfifo", || {
        // A socket waits while so many bytes that it has sent are still about. Ours never does.
        fs::write("/proc/sys/net/core/wmem_default", "2000000000")?;
        let module = Module::load(Path::new(IN_GUEST), "epochgate")?;
        Lab::new()?.enter(measure)??;
        Ok::<(), Failed>(module.unload()?)
    })]
}

fn measure() -> Result<(), String> {
    batch(
        "ip",
        "link add dummy9 type dummy\nlink set dummy9 arp off up\n",
    )?;
    let mut sender = sender("dummy9")?;
    let mut driver = Driver::new("dummy9")?;
    let (unit, least) = match std::env::var_os(EXACT) {
        Some(_) => ("instructions", LEAST),
        None => ("ns", LEAST_BY_CLOCK),
    };
    // So that large ones fit into a guest.
    for (bytes, packets) in [(64, 100_000), (1500, 50_000)] {
        let mut best = KINDS.map(|_| [f64::MAX; 2]);
        for _ in 0..ROUNDS {
            // One after the other in each round, so that what else the machine does hits all alike.
            for (kind, best) in KINDS.iter().zip(&mut best) {
                let times = once(&mut driver, &mut *sender, kind, bytes, packets)?;
                for (best, time) in best.iter_mut().zip(times) {
                    *best = best.min(time);
                }
            }
        }
        for (kind, best) in KINDS.iter().zip(&best) {
            let [held, released] = best.map(|time| time * 1e9 / f64::from(packets));
            eprintln!(
                "measured: {kind} {bytes} bytes: {held:.0} {unit} to send, {released:.0} to release"
            );
        }
        let [_, plug, ours] = best.map(|[sent, released]| sent + released);
        eprintln!("measured: {bytes} bytes: {:.3} of sch_plug", plug / ours);
        assert!(plug / ours >= least, "{bytes} bytes: slower than sch_plug");
    }
    Ok(())
}

/// Packets that the interface has sent so far.
fn transmitted() -> Result<u64, String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").map_err(|e| e.to_string())?;
    // `dummy9:` and eight numbers on what came, then bytes and packets that went.
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("dummy9:"));
    let sent = line.and_then(|line| line.split_whitespace().nth(10));
    let sent = sent.and_then(|packets| packets.parse().ok());
    sent.ok_or_else(|| format!("no counts of dummy9 in {text}"))
}

/// Seconds to send all of them, and seconds from the release until all have left.
fn once(
    driver: &mut Driver,
    sender: &mut dyn DataLinkSender,
    kind: &str,
    bytes: usize,
    packets: u32,
) -> Result<[f64; 2], String> {
    let room = 1_u64 << 30;
    let (begin, end) = match kind {
        "plug" => (Some(plug(3, 1 << 30)), [plug(0, 0), plug(1, 0)]),
        "epochgate" => (
            Some(longs(&[(attribute::LIMIT, room)])),
            [
                longs(&[(attribute::BEGIN, 2)]),
                longs(&[(attribute::COMMIT, 1)]),
            ],
        ),
        _ => (None, [Vec::new(), Vec::new()]),
    };
    driver.add(kind, begin.as_deref())?;
    let before = transmitted()?;
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5];
    frame.resize(bytes, 0);
    let started = Instant::now();
    for _ in 0..packets {
        sender
            .send_to(&frame, None)
            .unwrap_or(Ok(()))
            .map_err(|e| e.to_string())?;
    }
    let sent = started.elapsed().as_secs_f64();
    let started = Instant::now();
    if kind != "pfifo" {
        for options in end {
            driver.change(kind, &options)?;
        }
    }
    // What the interface counts is asked for and not the qdisc, of which one tells more than another.
    while transmitted()? < before + u64::from(packets) {
        if started.elapsed() > Duration::from_secs(30) {
            return Err(format!("they do not leave: {:?}", driver.dump()?));
        }
        thread::sleep(Duration::from_micros(500));
    }
    let released = started.elapsed().as_secs_f64();
    driver.delete()?;
    Ok([sent, released])
}

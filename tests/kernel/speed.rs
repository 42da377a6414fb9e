//! How fast the module is, beside `sch_plug` and `pfifo`: packets into a qdisc on a dummy interface,
//! all of them held, and released at once. `cargo xtask kmod test speed::` runs it and prints a table.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kernel_module::netlink::attribute;
use libtest_mimic::{Failed, Trial};
use pnet_datalink::DataLinkSender;
use tests::kmod::IN_GUEST;
use tests::kmod::drive::{Driver, longs, plug};
use tests::kmod::load::Module;
use tests::kmod::rig::{batch, sender};
use tests::netlab::Lab;

use crate::{Here, unless};

const ROUNDS: usize = 3;

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
    // So that large ones fit into a guest.
    for (bytes, packets) in [(64, 100_000), (1500, 50_000)] {
        for kind in ["pfifo", "plug", "epochgate"] {
            // The best of several: what else the machine does only makes one slower.
            let mut best = [f64::MAX; 2];
            for _ in 0..ROUNDS {
                let times = once(&mut driver, &mut *sender, kind, bytes, packets)?;
                for (best, time) in best.iter_mut().zip(times) {
                    *best = best.min(time);
                }
            }
            let [held, released] = best.map(|time| time * 1e9 / f64::from(packets));
            eprintln!(
                "measured: {kind} {bytes} bytes: {held:.0} ns to send, {released:.0} ns to release"
            );
        }
    }
    Ok(())
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
    loop {
        let dump = driver.dump()?.ok_or("the qdisc is gone")?;
        if dump.sent == packets {
            break;
        }
        if started.elapsed() > Duration::from_secs(30) {
            return Err(format!("they do not leave: {dump:?}"));
        }
        thread::sleep(Duration::from_micros(100));
    }
    let released = started.elapsed().as_secs_f64();
    driver.delete()?;
    Ok([sent, released])
}

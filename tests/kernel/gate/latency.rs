//! How long a release takes: one request over netlink, as the daemon makes it, against one run of
//! `tc`, in turns on the same plug.

use std::process::Command;
use std::time::{Duration, Instant};

use compiler::device::Device;
use compiler::gate::plug::{Gate, Order};
use libtest_mimic::{Failed, Trial};
use tests::netlab::Lab;

use crate::Here;

/// What the project promises of the medians.
const LEAST_RATIO: f64 = 20.0;

const ROUNDS: usize = 100;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![here.trial_on_plug("gate::a_release_is_quicker_than_tc", quicker_than_tc)]
}

fn quicker_than_tc() -> Result<(), Failed> {
    let lab = Lab::new()?;
    lab.shell(
        "ip link add ifb0 type ifb
         ip link set ifb0 up
         tc qdisc add dev ifb0 root handle 5: plug limit 100000",
    )?;
    let (mut ours, mut theirs) = lab.enter(measure)??;
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    eprintln!(
        "gate: a release takes {:.1} us over netlink, {:.0} us by tc (medians of {ROUNDS}): {ratio:.0} times quicker",
        ours.as_secs_f64() * 1e6,
        theirs.as_secs_f64() * 1e6,
    );
    if ratio < LEAST_RATIO {
        return Err(format!("only {ratio:.1} times quicker").into());
    }
    Ok(())
}

/// In turns, so that whatever else the machine does meets both.
fn measure() -> Result<(Vec<Duration>, Vec<Duration>), Failed> {
    let device = Device::new("ifb0")?;
    let mut gate = Gate::open(&device)?;
    let handle = gate.plug()?.handle;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        gate.order(handle, Order::Block)?;
        let start = Instant::now();
        gate.order(handle, Order::ReleaseOne)?;
        ours.push(start.elapsed());
        gate.order(handle, Order::Block)?;
        let mut tc = Command::new("tc");
        tc.args("qdisc change dev ifb0 root handle 5: plug release".split(' '));
        let start = Instant::now();
        let status = tc.status()?;
        theirs.push(start.elapsed());
        if !status.success() {
            return Err("tc refused".into());
        }
    }
    Ok((ours, theirs))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

//! `qdisc_model::plug` and the kernel's own plug, step by step through random sequences.
//! EPOCHGATE_SEQUENCES is how many. Besides, the daemon's own driver on the same
//! interfaces, with packets as a hypervisor's tap brings them in.

use std::time::Instant;

use compiler::device::Device;
use compiler::gate::driver::Driver;
use libtest_mimic::{Failed, Trial};
use qdisc_model::command::Verb;
use qdisc_model::controller::{Answer, Request};
use tests::lockstep::kernel::{IFB, Rig};
use tests::lockstep::step::Step;
use tests::lockstep::{self, model::Kernel};
use tests::netlab::Lab;

use crate::Here;

/// As many as show each odd side of plug many times over.
const SEQUENCES: u32 = 2_000;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial_on_plug("lockstep::random_sequences", random_sequences),
        here.trial_on_plug("lockstep::packets_to_be_cut_disturb_nothing", || {
            Lab::new()?.enter(packets_to_be_cut)?
        }),
    ]
}

fn random_sequences() -> Result<(), Failed> {
    let sequences = std::env::var("EPOCHGATE_SEQUENCES").ok();
    let sequences = sequences.and_then(|n| n.parse().ok()).unwrap_or(SEQUENCES);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = Kernel::of(&release);
    let begin = Instant::now();
    let report = Lab::new()?.enter(|| lockstep::run(kernel, sequences, 0))??;
    eprintln!(
        "lockstep: {} sequences, {} steps, {} frames in {:.1} s, no difference",
        report.sequences,
        report.steps,
        report.frames,
        begin.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// Up to 6.18 such a packet counts as none when it leaves. The daemon must not take that for a loss,
/// which it would answer with a new plug, and lose what is held.
fn packets_to_be_cut() -> Result<(), Failed> {
    const LIMIT: u32 = 1 << 20;
    let mut rig = Rig::new()?;
    rig.happen(&Step::Tc(Verb::Add, format!("limit {LIMIT}")))?;
    let mut driver = Driver::new(&Device::new(IFB)?, LIMIT)?;
    if !driver.recover() {
        return Err("the daemon does not get hold of the plug".into());
    }
    driver.join();
    let before = driver.totals();
    for epoch in 0..10 {
        let first = u32::try_from(epoch)? * 3;
        rig.happen(&Step::SendToCut(9_000, 1_448))?;
        rig.happen(&Step::SendToCut(3_000, 1_000))?;
        let ended = driver.request(Request::End(epoch));
        rig.happen(&Step::Send(100))?;
        let committed = driver.request(Request::Committed(epoch));
        std::thread::sleep(std::time::Duration::from_millis(5));
        let out = rig.collect()?;
        // The plain one before them is of the epoch that ended later.
        let expected: Vec<u32> = (first..first + 3).filter(|number| *number > 0).collect();
        let right = ended == Some(Answer::Ended(epoch))
            && committed == Some(Answer::Released(epoch))
            && out == expected;
        if !right {
            return Err(format!("epoch {epoch}: {ended:?}, {committed:?}, out {out:?}").into());
        }
    }
    let totals = driver.totals();
    if (totals.renewals, totals.purged) != (before.renewals, before.purged) {
        return Err(format!("the plug was replaced: {totals:?}").into());
    }
    Ok(())
}

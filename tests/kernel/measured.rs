//! What the example policies do to calls, measured here (`tests::measure`) and judged. EPOCHGATE_MEASURE
//! is for how many seconds packets are sent.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use tests::measure::{Setting, run};

use crate::Here;

/// Some twenty checkpoints.
const SECONDS: u64 = 8;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![here.trial_on_plug("measured::policies_do_what_they_should_to_calls", policies)]
}

fn policies() -> Result<(), Failed> {
    let seconds = std::env::var("EPOCHGATE_MEASURE").ok();
    let seconds = seconds.and_then(|n| n.parse().ok()).unwrap_or(SECONDS);
    let report = run(&Setting::lasting(Duration::from_secs(seconds)))?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    eprintln!("measured: {}", report.tell(release.trim()));
    Ok(report.judge()?)
}

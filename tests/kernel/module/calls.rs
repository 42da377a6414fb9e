//! What a policy does to calls behind the module, beside the kernel's own plug: the same packets, the same
//! checkpoints, the same numbers.

use std::path::Path;
use std::time::Duration;

use compiler::script::Gate;
use libtest_mimic::Failed;
use tests::kmod::IN_GUEST;
use tests::kmod::load::Module;
use tests::measure::{Row, Setting, run};

use super::KIND;

/// Some twenty checkpoints.
const DURATION: Duration = Duration::from_secs(8);

/// The laboratories are told of a commit one after the other.
const APART_MS: f64 = 2.0;

pub(super) fn as_behind_plug() -> Result<(), Failed> {
    let module = Module::load(Path::new(IN_GUEST), KIND)?;
    let setting = Setting {
        gates: &[Gate::Plug, Gate::Epochgate],
        ..Setting::lasting(DURATION)
    };
    let report = run(&setting)?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    eprintln!("measured: {}", report.tell(release.trim()));
    report.judge()?;
    let [_, gated @ ..] = report.rows.as_slice() else {
        return Err("nothing was measured".into());
    };
    for pair in gated.chunks_exact(2) {
        if let [plug, ours] = pair {
            same(plug, ours)?;
        }
    }
    Ok(module.unload()?)
}

fn same(plug: &Row, ours: &Row) -> Result<(), Failed> {
    let (theirs, own) = (&plug.measured, &ours.measured);
    for (what, theirs, own) in [
        ("a mean jitter", theirs.mean_jitter_ms, own.mean_jitter_ms),
        ("a jitter", theirs.max_jitter_ms, own.max_jitter_ms),
        ("a gap", theirs.max_delta_ms, own.max_delta_ms),
        (
            "a delay of media",
            theirs.media_delay_ms,
            own.media_delay_ms,
        ),
        ("a delay of TCP", theirs.tcp_delay_ms, own.tcp_delay_ms),
    ] {
        if (theirs - own).abs() > APART_MS {
            let name = &ours.name;
            return Err(
                format!("{name}: {what} of {own:.2} ms, behind plug {theirs:.2} ms").into(),
            );
        }
    }
    match theirs.longest_burst.abs_diff(own.longest_burst) {
        0 | 1 => Ok(()),
        _ => Err(format!(
            "{}: bursts of {} and {}",
            ours.name, theirs.longest_burst, own.longest_burst
        )
        .into()),
    }
}

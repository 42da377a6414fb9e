//! What runs in a guest to record what its plug does: plays random sequences on it and on the model,
//! and prints the first fifty with what the kernel did, for `tests/src/lockstep/recorded.txt`. It
//! makes its interfaces in the namespace that it is started in.

use std::fs;
use std::process::ExitCode;

use tests::lockstep::{self, model::Kernel};

const RECORDED: u32 = 50;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    // IPv6 would send reports of its own as soon as an interface is up.
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").map_err(|e| e.to_string())?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|e| e.to_string())?;
    let report = lockstep::run(Kernel::of(&release), RECORDED, RECORDED as usize)?;
    println!("# What sch_plug of Linux {} did.", release.trim());
    for trace in &report.traces {
        println!("{trace}");
    }
    Ok(())
}

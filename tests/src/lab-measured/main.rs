//! What runs in a guest for `cargo xtask measured`: measures what the example policies do to calls
//! (`tests::measure`) for so many seconds, prints it as it stands in docs/paper.md, and behind it
//! what came out at the far side (`tests::measure::transcript`).

use std::process::ExitCode;
use std::time::Duration;

use tests::measure::{Caller, Setting, run, transcript};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (seconds, caller) = match words.as_slice() {
        [seconds] => (seconds, Caller::Own),
        [seconds, "sipp"] => (seconds, Caller::Sipp),
        _ => (&"", Caller::Own),
    };
    let Ok(seconds) = seconds.parse() else {
        eprintln!("usage: lab-measured SECONDS [sipp]");
        return ExitCode::FAILURE;
    };
    let setting = Setting {
        caller,
        ..Setting::lasting(Duration::from_secs(seconds))
    };
    match run(&setting).and_then(|report| report.judge().map(|()| report)) {
        Ok(report) => {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
            println!("{}", report.tell(release.unwrap_or_default().trim()));
            print!("{}", transcript::written(&report));
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

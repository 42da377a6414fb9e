//! What runs in a guest for `cargo xtask measured`: measures what the example policies do to calls
//! (`tests::measure`) for so many seconds, and prints it as it stands in docs/measured.md.

use std::process::ExitCode;
use std::time::Duration;

use tests::measure::{Setting, run};

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let Some(seconds) = seconds else {
        eprintln!("usage: lab-measured SECONDS");
        return ExitCode::FAILURE;
    };
    let measured = run(&Setting::lasting(Duration::from_secs(seconds)));
    match measured.and_then(|report| report.judge().map(|()| report)) {
        Ok(report) => {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
            println!("{}", report.tell(release.unwrap_or_default().trim()));
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

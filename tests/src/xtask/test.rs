//! `cargo xtask test`: everything that decides whether a change may land.
//!
//! Formatting, lints and tests all run even if an earlier one fails, so that one run tells all. The
//! output is passed through as it comes; the counts are read from it on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::setup;
use crate::tally::{Tally, Teller};

/// Runs all checks; true if all are clean.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<bool> {
    setup::run(sh)?;
    let formatted = cmd!(sh, "cargo fmt --all --check").run().is_ok();
    let linted = cmd!(
        sh,
        "cargo clippy --workspace --all-targets --quiet -- -D warnings"
    )
    .run()
    .is_ok();
    let (tested, tally) = run_tests(sh)?;
    let steps = [
        ("cargo fmt", formatted),
        ("cargo clippy", linted),
        ("cargo test", tested),
    ];
    let broken: Vec<&str> = steps
        .iter()
        .filter(|(_, clean)| !clean)
        .map(|(step, _)| *step)
        .collect();
    println!("\n{}", tally.summary(&broken));
    Ok(broken.is_empty())
}

/// Runs the tests of the whole workspace, passing their output on while reading it.
fn run_tests(sh: &Shell) -> anyhow::Result<(bool, Tally)> {
    let mut cargo = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(sh.current_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start `cargo test`")?;
    let tally = Mutex::new(Tally::default());
    let (out, err) = (cargo.stdout.take(), cargo.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(out, std::io::stdout(), &tally));
        scope.spawn(|| pass_on(err, std::io::stderr(), &tally));
    });
    let status = cargo.wait()?;
    Ok((
        status.success(),
        tally.into_inner().unwrap_or_else(PoisonError::into_inner),
    ))
}

/// Copies `from` to `to` line by line and lets `tally` read each.
fn pass_on(from: Option<impl Read>, mut to: impl Write, tally: &Mutex<Tally>) {
    let Some(from) = from else { return };
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    let mut teller = Teller::default();
    // Bytes, not `lines()`: a test may print what is not UTF-8, and its results count all the same.
    while lines
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        // If nobody listens any more, the counts are still wanted.
        let _ = to.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.read(text.trim_end(), &mut teller);
        line.clear();
    }
}

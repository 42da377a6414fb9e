//! `cargo xtask test`: everything that decides whether a change may land.
//!
//! Formatting, lints and tests all run even if an earlier one fails, so that one run tells all. The
//! output is passed through as it comes; the counts are read from it on the way.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::setup;

/// What the output of `cargo test` adds up to, over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Tests that returned without doing their work, with the reason (`tests::skip`).
    skipped: BTreeSet<(String, String)>,
    /// Names of the tests that failed, for the summary.
    failures: BTreeSet<String>,
}

impl Tally {
    /// Reads one line of `cargo test`: a result, a failed test or a skip that was said aloud.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count_before(result, " passed");
            self.failed += count_before(result, " failed");
            self.ignored += count_before(result, " ignored");
        } else if let Some(skip) = line.strip_prefix("skipped: ") {
            let (name, why) = skip.split_once(": ").unwrap_or((skip, "no reason given"));
            self.skipped.insert((name.to_owned(), why.to_owned()));
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            self.failures.insert(name.to_owned());
        }
    }

    /// Tests that did not do their work: ignored ones, and those that passed by skipping.
    fn skips(&self) -> usize {
        self.ignored + self.skipping_tests()
    }

    fn skipping_tests(&self) -> usize {
        let names: BTreeSet<&str> = self.skipped.iter().map(|(name, _)| name.as_str()).collect();
        names.len()
    }

    fn summary(&self, broken_steps: &[&str]) -> String {
        let mut lines = vec![String::from("summary")];
        lines.extend(
            broken_steps
                .iter()
                .map(|step| format!("  not clean: {step}")),
        );
        lines.extend(self.failures.iter().map(|name| format!("  failed: {name}")));
        lines.extend(
            self.skipped
                .iter()
                .map(|(name, why)| format!("  skipped: {name}: {why}")),
        );
        if self.ignored > 0 {
            lines.push(format!("  skipped: {} tests marked `ignore`", self.ignored));
        }
        lines.push(format!(
            "{} passed, {} failed, {} skipped",
            self.passed.saturating_sub(self.skipping_tests()),
            self.failed,
            self.skips()
        ));
        lines.join("\n")
    }
}

/// The number that stands right before `word`: 12 in `ok. 12 passed; 0 failed` for ` passed`.
fn count_before(text: &str, word: &str) -> usize {
    text.split(';')
        .filter_map(|part| part.trim_end().strip_suffix(word))
        .filter_map(|part| part.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

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
    // Bytes, not `lines()`: a test may print what is not UTF-8, and its results count all the same.
    while lines
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        // If nobody listens any more, the counts are still wanted.
        let _ = to.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(text.trim_end());
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        tally
    }

    #[test]
    fn counts_add_up_over_binaries() {
        let tally = tally_of(&[
            "running 3 tests",
            "test a::b ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.11s",
            "test c::d ... FAILED",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1s",
        ]);
        assert_eq!((tally.passed, tally.failed, tally.skips()), (15, 1, 1));
        assert!(
            tally
                .summary(&["cargo test"])
                .ends_with("\n15 passed, 1 failed, 1 skipped")
        );
        assert!(tally.summary(&[]).contains("failed: c::d"));
    }

    #[test]
    fn a_skip_said_aloud_is_no_pass() {
        let tally = tally_of(&[
            "skipped: kernel::frames: needs root",
            "skipped: kernel::frames: needs root",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        assert!(
            tally
                .summary(&[])
                .contains("  skipped: kernel::frames: needs root\n")
        );
        assert!(
            tally
                .summary(&[])
                .ends_with("\n3 passed, 0 failed, 1 skipped")
        );
    }
}

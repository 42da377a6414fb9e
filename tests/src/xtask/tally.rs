//! What the output of `cargo test` adds up to, and the summary that is printed at the end: a run is often
//! judged by its last lines alone, so each failure is there with what it said.

use std::collections::{BTreeMap, BTreeSet};

/// Lines of a failed test that the summary repeats.
const WORDS: usize = 12;

/// What the output of `cargo test` adds up to, over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Tests that returned without doing their work, with the reason (`tests::skip`).
    skipped: BTreeSet<(String, String)>,
    /// The tests that failed, each with the first lines of what it said.
    failures: BTreeMap<String, Vec<String>>,
}

/// Whose words a stream of output is repeating: those of a test that failed come after all tests of its
/// binary, under `---- NAME ----` or `---- NAME stdout ----`.
#[derive(Debug, Default)]
pub(crate) struct Teller(Option<String>);

impl Tally {
    /// Reads one line of `cargo test`: a result, a failed test, what that said, or a skip that was said
    /// aloud.
    pub(crate) fn read(&mut self, line: &str, teller: &mut Teller) {
        if let Some(name) = said_by(line) {
            teller.0 = Some(name.to_owned());
        } else if line == "failures:" || line.starts_with("test result: ") {
            teller.0 = None;
        } else if let Some(name) = &teller.0
            && !line.trim().is_empty()
        {
            let words = self.failures.entry(name.clone()).or_default();
            if words.len() < WORDS {
                words.push(line.to_owned());
            }
        }
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
            self.failures.entry(name.trim_end().to_owned()).or_default();
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

    pub(crate) fn summary(&self, broken_steps: &[&str]) -> String {
        let mut lines = vec![String::from("summary")];
        lines.extend(
            broken_steps
                .iter()
                .map(|step| format!("  not clean: {step}")),
        );
        for (name, words) in &self.failures {
            lines.push(format!("  failed: {name}"));
            lines.extend(words.iter().map(|line| format!("    {line}")));
        }
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

/// The test whose words follow upon this line.
fn said_by(line: &str) -> Option<&str> {
    let name = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
    Some(name.strip_suffix(" stdout").unwrap_or(name))
}

/// The number that stands right before `word`: 12 in `ok. 12 passed; 0 failed` for ` passed`.
fn count_before(text: &str, word: &str) -> usize {
    text.split(';')
        .filter_map(|part| part.trim_end().strip_suffix(word))
        .filter_map(|part| part.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        let mut teller = Teller::default();
        for line in lines {
            tally.read(line, &mut teller);
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

    #[test]
    fn a_failure_is_told_with_its_words() {
        let tally = tally_of(&[
            "test a::b              ... FAILED",
            "failures:",
            "",
            "---- a::b ----",
            "waited in vain",
            "",
            "---- c::d stdout ----",
            "thread 'c::d' panicked",
            "failures:",
            "    a::b",
            "test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "another line",
        ]);
        let told = "  failed: a::b\n    waited in vain\n  failed: c::d\n    thread 'c::d' panicked\n0 passed";
        assert!(tally.summary(&[]).contains(told), "{}", tally.summary(&[]));
    }
}

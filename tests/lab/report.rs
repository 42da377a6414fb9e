//! What a test program said in a guest, trial by trial.

use tests::lab::Kernel;
use tests::lab::protocol::{Ended, Outcome};

use crate::guests::Verdict;

/// What a test program wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Report {
    /// How each of these trials ended. One that is not told of did not pass.
    pub(crate) fn verdicts(&self, names: &[String]) -> Vec<(String, Verdict)> {
        let one = |name: &String| (name.clone(), self.verdict(name));
        names.iter().map(one).collect()
    }

    fn verdict(&self, name: &str) -> Verdict {
        let result = self.stdout.lines().find_map(|line| {
            let rest = line.strip_prefix("test ")?.strip_prefix(name)?;
            rest.strip_prefix(' ')?.trim_start().strip_prefix("... ")
        });
        match result {
            Some("ok") => Ok(()),
            Some(_) => Err(self.reason(name)),
            None => Err(format!(
                "no result, since the program ended with {:?}:\n{}\n{}",
                self.ended.outcome,
                last_lines(&self.stdout),
                last_lines(&self.stderr)
            )),
        }
    }

    /// What the program says of a trial that failed, and all that it wrote to standard error.
    fn reason(&self, name: &str) -> String {
        let begin = format!("---- {name} ----");
        let lines = self.stdout.lines().skip_while(|line| *line != begin);
        let lines = lines.skip(1).take_while(|line| !line.starts_with("---- "));
        let told: Vec<&str> = lines.take_while(|line| *line != "failures:").collect();
        let ending = match &self.ended.outcome {
            Outcome::Exited(_) => String::new(),
            other => format!("the program ended with {other:?}\n"),
        };
        format!("{}\n{ending}{}", told.join("\n"), last_lines(&self.stderr))
    }

    /// A trial that was skipped in the guest is skipped here; what else trials said of themselves, their
    /// counts mostly, is said here too.
    pub(crate) fn pass_on(&self, kernel: Kernel) {
        for line in self.stderr.lines() {
            if let Some(skipped) = line.strip_prefix("skipped: ") {
                let (name, why) = skipped.split_once(": ").unwrap_or((skipped, "no reason"));
                tests::skip(&format!("{kernel}::{name}"), why);
            } else {
                eprintln!("lab: {kernel}: {line}");
            }
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

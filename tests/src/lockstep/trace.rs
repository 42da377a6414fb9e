//! What a kernel did, as text: one line per step, `STEP: OUTCOME`; sequences are separated by an empty
//! line, and a line that begins with `#` says where they come from.

use std::fmt;

use super::Outcome;
use super::model::{Kernel, Mistake, Model};
use super::step::Step;

/// A sequence, and what was seen after each of its steps.
#[derive(Clone, Debug, Default)]
pub struct Trace(Vec<(Step, Outcome)>);

impl Trace {
    /// One more step.
    pub fn push(&mut self, step: Step, outcome: Outcome) {
        self.0.push((step, outcome));
    }

    /// What was seen at the end.
    #[must_use]
    pub fn last(&self) -> Option<&Outcome> {
        self.0.last().map(|(_, outcome)| outcome)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, outcome) in &self.0 {
            writeln!(f, "{step}: {outcome}")?;
        }
        Ok(())
    }
}

/// Plays recorded sequences on the model, which may have a mistake. Returns how many there were.
///
/// # Errors
/// The first line that the model does not agree with, or that can't be read.
pub fn replay(text: &str, kernel: Kernel, mistake: Mistake) -> Result<usize, String> {
    let mut sequences = 0;
    let mut model = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            model = None;
            continue;
        }
        if model.is_none() {
            sequences += 1;
        }
        let (step, seen) = line
            .split_once(": ")
            .ok_or_else(|| format!("line {number}: no outcome"))?;
        let step: Step = step.parse().map_err(|e| format!("line {number}: {e}"))?;
        let model = model.get_or_insert_with(|| Model::new(kernel, mistake));
        let expected = model.act(&step).to_string();
        if expected != seen {
            return Err(format!("line {number}: {line}\nthe model: {expected}"));
        }
    }
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a 6.1 kernel; see docs/lab.md for how to make it anew.
    const RECORDED: &str = include_str!("recorded.txt");

    #[test]
    fn the_model_does_what_a_kernel_did() {
        assert_eq!(replay(RECORDED, Kernel::V6_1, Mistake::None), Ok(50));
    }

    /// If the model had one of these mistakes, the recording would show it.
    #[test]
    fn a_mistake_is_seen() {
        for mistake in Mistake::ALL {
            let replayed = replay(RECORDED, Kernel::V6_1, mistake);
            assert!(replayed.is_err(), "{mistake:?} is not seen");
        }
        let newer = replay(RECORDED, Kernel::of("7.3.4"), Mistake::None);
        assert!(newer.is_err(), "kernels differ");
    }
}

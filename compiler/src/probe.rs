//! What the running kernel and its tools can do for Epochgate, tried out in a network namespace.
//!
//! One row per check, one file per family. A row says what was tried, why it matters, and what was
//! found; a tool, a right or a piece of the kernel that is missing is a finding and no error. What is
//! known about kernels that were measured is in docs/kernel.md.

mod advice;
mod bench;
mod devices;
mod nft;
mod plug;
mod tools;
mod traffic_control;

use serde::Serialize;

use advice::Advice;
pub(crate) use advice::RECOMMENDED;
pub(crate) use bench::Bench;

/// What is tried, and why.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Check {
    /// How others refer to it.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) does: &'static str,
    /// What depends on it.
    pub(crate) matters: &'static str,
}

/// What a finding means for a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// It is there and has a sharp edge.
    Beware,
    /// It is not there.
    Missing,
    /// Something else that is missing kept it from being tried.
    Untried,
}

impl Verdict {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Beware => "beware",
            Self::Missing => "missing",
            Self::Untried => "untried",
        }
    }
}

/// One check and its outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) check: Check,
    /// What was seen, in a few words.
    pub(crate) found: String,
    pub(crate) verdict: Verdict,
}

/// Everything that was found, and what to do with it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Findings {
    /// The kernel's release.
    pub(crate) kernel: String,
    pub(crate) checks: Vec<Row>,
    pub(crate) advice: Advice,
}

/// What a check ends with. The error says why it could not be tried.
type Outcome = Result<(Verdict, String), String>;

/// A check and how it is done.
type Trial = (Check, fn(&mut Bench) -> Outcome);

fn good(found: impl Into<String>) -> Outcome {
    Ok((Verdict::Good, found.into()))
}

fn beware(found: impl Into<String>) -> Outcome {
    Ok((Verdict::Beware, found.into()))
}

/// A question whose no, with what the tool said, is a finding of its own.
fn present(answer: Result<String, String>, found: &str) -> Outcome {
    Ok(match answer {
        Ok(_) => (Verdict::Good, found.to_owned()),
        Err(said) => (Verdict::Missing, said),
    })
}

/// Tries everything, each check from a clean start.
pub(crate) fn run(bench: &mut Bench) -> Findings {
    let families: [&[Trial]; 5] = [
        &tools::TRIALS,
        &devices::TRIALS,
        &traffic_control::TRIALS,
        &nft::TRIALS,
        &plug::TRIALS,
    ];
    let checks: Vec<Row> = families
        .into_iter()
        .flatten()
        .map(|(check, attempt)| {
            bench.clean();
            let (verdict, found) = attempt(bench).unwrap_or_else(|why| (Verdict::Untried, why));
            Row {
                check: *check,
                found,
                verdict,
            }
        })
        .collect();
    Findings {
        kernel: tools::kernel(),
        advice: advice::from(&checks),
        checks,
    }
}

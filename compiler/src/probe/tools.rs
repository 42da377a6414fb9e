//! The programs that rules and scripts call.

use std::fs;

use super::{Bench, Check, Outcome, Trial, Verdict, good};

pub(super) const TRIALS: [Trial; 3] = [
    (
        Check {
            name: "nft-version",
            does: "asks nft for its version",
            matters: "loads the rules of the nft back end; tried with 1.0.6",
        },
        |bench| version(bench, "nft -v"),
    ),
    (
        Check {
            name: "tc-version",
            does: "asks tc for its version",
            matters: "sets up the plug, and loads the rules of the u32 back end; tried with 6.1",
        },
        |bench| version(bench, "tc -V"),
    ),
    (
        Check {
            name: "script-tools",
            does: "looks for the other programs that the scripts call",
            matters: "without one of them a script ends before it has changed anything",
        },
        script_tools,
    ),
];

fn version(bench: &mut Bench, question: &str) -> Outcome {
    Ok(match bench.sh(question) {
        Ok(answer) => (Verdict::Good, answer.trim().to_owned()),
        Err(said) => (Verdict::Missing, said),
    })
}

fn script_tools(bench: &mut Bench) -> Outcome {
    let tools = ["ip", "awk", "sed", "grep", "flock", "timeout"];
    let missing: Vec<&str> = tools
        .into_iter()
        .filter(|tool| bench.sh(&format!("command -v {tool}")).is_err())
        .collect();
    if missing.is_empty() {
        return good(tools.join(", "));
    }
    Ok((Verdict::Missing, format!("no {}", missing.join(", "))))
}

/// The release of the running kernel, proc(5).
pub(super) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|release| release.trim().to_owned())
        .unwrap_or_default()
}

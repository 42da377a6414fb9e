//! `cargo xtask bench`: all benchmarks, and docs/benchmarks.md made from them.

use xshell::{Shell, cmd};

/// Runs the benchmarks in a release build; with names of parts only these.
pub(crate) fn run(sh: &Shell, parts: &[String]) -> anyhow::Result<()> {
    cmd!(
        sh,
        "cargo run --release --quiet --package tests --bin bench -- {parts...}"
    )
    .quiet()
    .run()?;
    Ok(())
}

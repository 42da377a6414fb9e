//! `cargo xtask bench`: all benchmarks, and docs/benchmarks.md made from them.

use xshell::{Shell, cmd};

/// Runs the benchmarks in a release build.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    cmd!(
        sh,
        "cargo run --release --quiet --package tests --bin bench"
    )
    .quiet()
    .run()?;
    Ok(())
}

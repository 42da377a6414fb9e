//! `cargo xtask tidy`: the rules on the sources, which `tests/tidy` checks, and nothing else.

use xshell::{Shell, cmd};

/// Runs the tidy tests.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    cmd!(sh, "cargo test --quiet --package tests --test tidy")
        .quiet()
        .run()?;
    Ok(())
}

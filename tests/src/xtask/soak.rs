//! `cargo xtask soak`: the differential test at length.

use std::process::ExitCode;

use anyhow::Context;
use xshell::Shell;

/// Runs it in a release build, with these arguments; its exit status is passed on.
pub(crate) fn run(sh: &Shell, arguments: &[String]) -> anyhow::Result<ExitCode> {
    // Not through xshell: the program wants the terminal for itself.
    let status = std::process::Command::new("cargo")
        .args(["run", "--release", "--quiet", "--package", "tests"])
        .args(["--bin", "soak", "--"])
        .args(arguments)
        .current_dir(sh.current_dir())
        .status()
        .context("can't run cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

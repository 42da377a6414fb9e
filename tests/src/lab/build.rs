//! Our own programs for the guests, as cargo makes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LabError;

/// Builds something and says where its programs are: (name, path).
///
/// # Errors
/// When cargo fails; it has said why on standard error.
pub fn programs(arguments: &[&str]) -> Result<Vec<(String, PathBuf)>, LabError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stderr(Stdio::inherit())
        .output()
        .map_err(LabError::io("can't run cargo"))?;
    if !output.status.success() {
        return Err(LabError::Guest(format!(
            "cargo {} failed",
            arguments.join(" ")
        )));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let artefacts = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        let name = message["target"]["name"].as_str()?;
        Some((name.to_owned(), PathBuf::from(path)))
    });
    Ok(artefacts.collect())
}

/// The guests' first program.
///
/// # Errors
/// When cargo fails.
pub fn init() -> Result<PathBuf, LabError> {
    one(
        &["build", "--package", "tests", "--bin", "lab-init"],
        "lab-init",
    )
}

/// One program of those that these arguments build.
///
/// # Errors
/// When cargo fails or made no program of that name.
pub fn one(arguments: &[&str], name: &str) -> Result<PathBuf, LabError> {
    let found = programs(arguments)?
        .into_iter()
        .find(|(own, _)| own == name);
    let (_, path) = found.ok_or_else(|| LabError::Guest(format!("cargo made no `{name}`")))?;
    Ok(path)
}

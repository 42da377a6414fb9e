//! The transcripts in the README and in docs/paper.md are what the program prints.
//!
//! Each line of a `console` block that starts with `$ ` is given to a shell, in a directory where
//! the examples are; what follows it must be the output. Blocks of other kinds are not run.
//! `UPDATE_README=1 cargo test -p compiler --test cli readme` writes the output anew, in both.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::program::root;

/// What a shell prints for a command, on both streams.
fn output(command: &str, directory: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_epochgate"));
    let mut path = OsString::from(program.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(directory)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The text with the output of every command written anew, and how many commands there are.
fn with_output(text: &str, mut output: impl FnMut(&str) -> String) -> (String, usize) {
    let mut fresh = String::with_capacity(text.len());
    let (mut commands, mut in_transcript) = (0, false);
    for line in text.lines() {
        match (in_transcript, line.strip_prefix("$ ")) {
            (true, Some(command)) => {
                commands += 1;
                fresh += &format!("{line}\n{}", output(command));
            }
            (true, None) if line != "```" => {}
            _ => {
                in_transcript = line == "```console";
                fresh += &format!("{line}\n");
            }
        }
    }
    (fresh, commands)
}

/// Runs the transcripts of a document, of which there are at least so many.
fn transcripts(document: &str, fewest: usize) {
    let path = root().join(document);
    let text = fs::read_to_string(&path).unwrap();
    let place = tempfile::tempdir().unwrap();
    symlink(root().join("examples"), place.path().join("examples")).unwrap();
    let (fresh, commands) = with_output(&text, |command| output(command, place.path()));
    assert!(commands >= fewest, "only {commands} commands found");
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let differs = text
        .lines()
        .zip(fresh.lines())
        .find(|(old, new)| old != new);
    assert!(
        text == fresh,
        "UPDATE_README=1 writes the output of {document} anew; the first difference is {differs:?}"
    );
}

#[test]
fn transcripts_are_what_the_program_prints() {
    transcripts("README.md", 5);
}

#[test]
fn the_papers_figures_are_what_the_program_prints() {
    transcripts("docs/paper.md", 5);
}

#[test]
fn what_tune_recommends_is_what_the_program_prints() {
    transcripts("docs/tune.md", 2);
}

#[test]
fn answers_about_every_frame_are_what_the_program_prints() {
    transcripts("docs/analysis.md", 15);
}

#[test]
fn transcripts_on_the_back_ends_are_what_the_program_prints() {
    transcripts("docs/backends.md", 1);
}

#[test]
fn only_transcripts_are_run() {
    let text = "$ no\n```sh\n$ no\n```\n\n```console\n$ a\nold\n$ b\n```\nend\n";
    let (fresh, commands) = with_output(text, |command| format!("<{command}>\n"));
    assert_eq!(commands, 2);
    assert_eq!(
        fresh,
        "$ no\n```sh\n$ no\n```\n\n```console\n$ a\n<a>\n$ b\n<b>\n```\nend\n"
    );
}

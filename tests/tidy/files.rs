//! Finds the source files: everything in the workspace that is text and that people write.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the workspace.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Path from the root of the workspace, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl SourceFile {
    /// A file made up for a test.
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// A complaint about line `index` (from 0).
    pub(crate) fn complaint(&self, index: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, index + 1)
    }

    /// One complaint for each line that `wrong` finds fault with.
    pub(crate) fn complain_about_lines(
        &self,
        wrong: impl Fn(&str) -> Option<String>,
    ) -> Vec<String> {
        self.text
            .lines()
            .enumerate()
            .filter_map(|(index, line)| Some(self.complaint(index, &wrong(line)?)))
            .collect()
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_owned()
}

/// All text files of the workspace, in the order of their paths.
pub(crate) fn all() -> Vec<SourceFile> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(directory: &Path, prefix: &str, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let entry = entry.expect("a readable entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() && !is_generated(&path) {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file()
            && !is_generated(&path)
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(SourceFile { path, text });
        }
    }
}

/// Written by tools, not by people: build output, snapshots (they show output as it is, with its
/// white space), the lock files, the licence, fuzz inputs and counterexamples.
fn is_generated(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(
        name,
        ".git" | "target" | "Cargo.lock" | "LICENSE" | "corpus" | "artifacts"
    ) || name.ends_with(".snap")
        || name.ends_with(".snap.new")
        || name.ends_with(".proptest-regressions")
}

//! Every link in a Markdown file that leads to a file of the workspace leads to one that is there.

use std::path::{Component, Path, PathBuf};

use crate::files::SourceFile;

/// Complains about each link of `file` to a file that is not below `root`.
pub(crate) fn dead(file: &SourceFile, root: &Path) -> Vec<String> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let directory = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut in_code = false;
    let mut complaints = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let is_there = within(directory, target).is_some_and(|path| root.join(path).exists());
            if !is_there {
                complaints.push(file.complaint(index, &format!("link to `{target}` is dead")));
            }
        }
    }
    complaints
}

/// The files that the links of a line name: `[text](target#part)`, and `[label]: target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next());
    let defined = line.strip_prefix('[').and_then(|line| line.split_once(']'));
    inline
        .chain(
            defined
                .and_then(|(_, rest)| rest.strip_prefix(": "))
                .map(str::trim),
        )
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty())
}

/// `target` as seen from `directory`, without `..`; nothing if it leaves the workspace.
fn within(directory: &Path, target: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in directory.join(target).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => path.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[test]
fn dead_links_are_found_and_living_ones_are_not() {
    let root = crate::files::root();
    let dead_in = |text: &str| dead(&SourceFile::new("docs/a.md", text), &root).len();
    assert_eq!(
        dead_in("[a](../Cargo.toml), [b](../tests/tidy/links.rs#L3), [c](#here)\n"),
        0
    );
    assert_eq!(
        dead_in("[d](https://example.org/x) and [e]: of course\n"),
        0
    );
    assert_eq!(dead_in("```\n[f](not-there.md)\n```\n"), 0);
    assert_eq!(dead_in("[g](not-there.md) and [h](../Cargo.toml)\n"), 1);
    assert_eq!(dead_in("[i]: not-there.md\n"), 1);
    assert_eq!(dead_in("[j](../../outside.md) [k](/etc/passwd)\n"), 2);
}

//! Rules that look at one file at a time.

use std::path::Path;

use crate::files::SourceFile;

/// Longer files are two files.
const MOST_LINES: usize = 500;

/// Directories that hold no one's name: a workspace may lie in them and still be named.
const COMMON_DIRECTORIES: [&str; 9] = [
    "/", "/tmp", "/usr", "/usr/src", "/var", "/var/tmp", "/opt", "/srv", "/mnt",
];

/// Every Rust file opens with `//!` lines; in the kernel module after the SPDX line that the kernel
/// asks for.
pub(crate) fn head(file: &SourceFile) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut lines = file.text.lines();
    let mut first = lines.next().unwrap_or_default();
    if file.path.starts_with("kernel-module/") {
        if !first.starts_with("// SPDX-License-Identifier: GPL-2.0") {
            return vec![file.complaint(0, "opens with no SPDX line")];
        }
        first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    }
    if first.starts_with("//! ") {
        Vec::new()
    } else {
        vec![file.complaint(0, "does not open with `//! what this file is for`")]
    }
}

/// No Rust file has more than [`MOST_LINES`] lines.
pub(crate) fn length(file: &SourceFile) -> Vec<String> {
    let lines = file.text.lines().count();
    if file.is_rust() && lines > MOST_LINES {
        vec![file.complaint(
            MOST_LINES,
            &format!("{lines} lines, more than {MOST_LINES}"),
        )]
    } else {
        Vec::new()
    }
}

/// A module is `foo.rs` beside `foo/`.
pub(crate) fn name(file: &SourceFile) -> Vec<String> {
    if file.path.ends_with("/mod.rs") {
        vec![file.complaint(
            0,
            "is named `mod.rs`: name it after its directory, beside it",
        )]
    } else {
        Vec::new()
    }
}

/// Nothing lands half done. The marks are put together here so that this file holds none.
pub(crate) fn left_to_do(file: &SourceFile) -> Vec<String> {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|halves| halves.concat());
    file.complain_about_lines(|line| {
        let mark = words(line).find(|word| marks.iter().any(|mark| mark == word))?;
        Some(format!("`{mark}` left behind"))
    })
}

/// No line ends in a blank, and the last one ends in a line feed.
pub(crate) fn white_space(file: &SourceFile) -> Vec<String> {
    let mut complaints = file.complain_about_lines(|line| {
        line.ends_with([' ', '\t', '\r'])
            .then(|| String::from("ends in white space"))
    });
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        complaints.push(file.complaint(file.text.lines().count() - 1, "has no line feed"));
    }
    complaints
}

/// Directories that say on whose machine this was written: homes, and whatever `root` lies in here.
pub(crate) fn private_directories(root: &Path) -> Vec<String> {
    let homes = ["home", "Users", "root"].map(|home| format!("/{home}/"));
    let around = root.ancestors().skip(1).filter_map(Path::to_str);
    let around = around.filter(|directory| !COMMON_DIRECTORIES.contains(directory));
    homes
        .into_iter()
        .chain(around.map(|directory| format!("{directory}/")))
        .collect()
}

/// No path leads into one of the `private` directories.
pub(crate) fn private_paths(file: &SourceFile, private: &[String]) -> Vec<String> {
    file.complain_about_lines(|line| {
        private.iter().find_map(|directory| {
            // In `docs/home/x` and `https://host/root/x` the directory is not at the root.
            let absolute = line.match_indices(directory.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && !"._-~}".contains(c))
            });
            absolute.then(|| format!("`{directory}` is a place on one machine only"))
        })
    })
}

/// The words of a line, as a programming language sees them.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

#[test]
fn each_rule_finds_its_fault() {
    let mark = ["FIX", "ME"].concat();
    let home = ["/ho", "me/"].concat();
    let long = format!("//! Long.\n{}", "\n".repeat(MOST_LINES));
    let bad = |path: &str, text: &str| SourceFile::new(path, text);
    assert_eq!(head(&bad("a.rs", "fn main() {}\n")).len(), 1);
    assert_eq!(head(&bad("kernel-module/a.rs", "//! Gate.\n")).len(), 1);
    assert_eq!(
        head(&bad(
            "kernel-module/a.rs",
            "// SPDX-License-Identifier: GPL-2.0\n"
        ))
        .len(),
        1
    );
    assert_eq!(length(&bad("a.rs", &long)).len(), 1);
    assert_eq!(name(&bad("a/mod.rs", "//! A.\n")).len(), 1);
    assert_eq!(
        left_to_do(&bad("a.md", &format!("fine\n// {mark}: not\n"))).len(),
        1
    );
    assert_eq!(white_space(&bad("a.md", "a \n\tb\t\nc")).len(), 3);
    let private = private_directories(Path::new("/builds/team/epochgate"));
    assert_eq!(
        private_paths(&bad("a.md", &format!("see {home}me/x\n")), &private).len(),
        1
    );
    assert_eq!(
        private_paths(&bad("a.md", "see `/builds/team/other`\n"), &private).len(),
        1
    );
}

#[test]
fn no_rule_finds_fault_where_there_is_none() {
    // Words that only begin as a mark does; put together, as above, so that this file holds none.
    let [template, plural] = [["XX", "XX"].concat(), ["TO", "DOS"].concat()];
    let good = SourceFile::new(
        "a.rs",
        &format!("//! A: mktemp /tmp/{template}, {plural}, docs/home/x.\n\nfn a() {{}}\n"),
    );
    let private = private_directories(Path::new("/tmp/epochgate"));
    let module = SourceFile::new(
        "kernel-module/a.rs",
        "// SPDX-License-Identifier: GPL-2.0\n\n//! Gate.\n",
    );
    for rule in [head, length, name, left_to_do, white_space] {
        assert_eq!(rule(&good), Vec::<String>::new());
        assert_eq!(rule(&module), Vec::<String>::new());
    }
    assert_eq!(private_paths(&good, &private), Vec::<String>::new());
}

//! The module takes nothing from the stub of the crate `kernel` that upstream's crate has not, and the stub
//! offers nothing else: so the stub can't drift away from upstream between two builds against it
//! (`cargo xtask kmod build --kernel 7 --rust`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tests::kmod::build;

/// What the sources of the module may name below `kernel::`, and the file below `rust/` in Linux 7.3 that
/// has it.
const ITEMS: [(&str, &str); 22] = [
    ("Module", "kernel/module.rs"),
    ("error::Error", "kernel/error.rs"),
    ("error::code", "kernel/error.rs"),
    ("error::code::EAGAIN", "kernel/error.rs"),
    ("error::code::EALREADY", "kernel/error.rs"),
    ("error::code::EBUSY", "kernel/error.rs"),
    ("error::code::ECANCELED", "kernel/error.rs"),
    ("error::code::EINVAL", "kernel/error.rs"),
    ("error::code::EMSGSIZE", "kernel/error.rs"),
    ("error::code::ENOBUFS", "kernel/error.rs"),
    ("error::code::ENOENT", "kernel/error.rs"),
    ("error::code::ENOSPC", "kernel/error.rs"),
    ("error::code::ERANGE", "kernel/error.rs"),
    ("error::from_result", "kernel/error.rs"),
    ("error::to_result", "kernel/error.rs"),
    ("prelude::GFP_ATOMIC", "kernel/prelude.rs"),
    ("prelude::KVec", "kernel/prelude.rs"),
    ("prelude::Result", "kernel/prelude.rs"),
    ("prelude::ThisModule", "kernel/prelude.rs"),
    ("prelude::module", "kernel/prelude.rs"),
    ("prelude::pr_info", "kernel/prelude.rs"),
    ("prelude::pr_warn", "kernel/prelude.rs"),
];
/// Functions of the stub, by the file that has them in both.
const FUNCTIONS: [(&str, &[&str]); 2] = [
    (
        "alloc.rs",
        &[
            "capacity",
            "clear",
            "new",
            "pop",
            "push_within_capacity",
            "with_capacity",
        ],
    ),
    ("error.rs", &["from_result", "to_errno", "to_result"]),
];

/// A source without its comments and its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source");
    let text = text.split("\nmod tests {").next();
    let lines = text.unwrap_or_default().lines();
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// What is named below this path, with each name of a list on its own.
fn named(text: &str, path: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in text.match_indices(path) {
        if text[..at].ends_with(part) {
            continue;
        }
        let rest = &text[at + path.len()..];
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((list, _)) => {
                let names = list.split(',').map(str::trim).filter(|n| !n.is_empty());
                found.extend(names.map(|one| format!("{name}{one}")));
            }
            None => found.push(name.to_owned()),
        }
    }
    found
}

fn sources(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if !path.ends_with("tests.rs") && !path.ends_with("host.rs") {
            found.push(path);
        }
    }
}

#[test]
fn all_that_the_module_names_is_upstreams() {
    let mut files = Vec::new();
    sources(&build::sources().join("src"), &mut files);
    let mut taken = BTreeSet::new();
    for file in files {
        let text = code(&file);
        taken.extend(named(&text, "kernel::"));
        let codes = named(&text, "code::");
        taken.extend(codes.iter().map(|name| format!("error::code::{name}")));
    }
    let known: BTreeSet<String> = ITEMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let foreign: Vec<_> = taken.difference(&known).collect();
    assert!(
        foreign.is_empty(),
        "not known to be in upstream's `kernel`: {foreign:?}; look there and add them to the list"
    );
    let unused: Vec<_> = known.difference(&taken).collect();
    assert!(unused.is_empty(), "listed and not used: {unused:?}");
}

#[test]
fn all_functions_of_the_stub_are_upstreams() {
    for (file, known) in FUNCTIONS {
        let text = code(&build::sources().join("kernel/src").join(file));
        let functions = text.lines().filter_map(|line| {
            let rest = line.trim_start().strip_prefix("pub ")?;
            let rest = rest.strip_prefix("const ").unwrap_or(rest);
            rest.strip_prefix("fn ")?.split(['(', '<']).next()
        });
        let functions: BTreeSet<&str> = functions.collect();
        assert_eq!(functions, known.iter().copied().collect(), "{file}");
    }
}

#[test]
fn names_are_read_from_lists_and_paths() {
    let text = "use kernel::a::{B, C};\nimpl kernel::D for x {}\nuse my_kernel::e;";
    assert_eq!(named(text, "kernel::"), ["a::B", "a::C", "D"]);
}

//! Who may know whom. The crates: `policy-lang` and `qdisc-model` are leaves, `compiler` stands on
//! both, `kernel-module` on nothing but its own stub of the kernel, `tests` on all. Inside
//! `compiler`, `readback` and `backend` are two readings of the kernel's manual, and the proof that
//! compares them is worth nothing once one borrows from the other; the same goes for the model of
//! the gate and the kernel module.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::files::SourceFile;
use crate::rules::words;

/// For each top directory, the top directories that its packages may depend on besides their own.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("policy-lang", &[]),
    ("qdisc-model", &[]),
    ("kernel-module", &[]),
    ("compiler", &["policy-lang", "qdisc-model"]),
    (
        "tests",
        &["policy-lang", "qdisc-model", "kernel-module", "compiler"],
    ),
];

/// What cargo knows of the packages of the workspace.
pub(crate) fn metadata(root: &Path) -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Complains about each dependency, of any kind, that goes where it may not.
pub(crate) fn upward(metadata: &Value, root: &Path) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(
        packages.len() >= ALLOWED.len(),
        "only {} packages",
        packages.len()
    );
    let mut complaints = Vec::new();
    for package in packages {
        let home = top(package["manifest_path"].as_str().expect("a manifest"), root);
        let allowed = ALLOWED.iter().find(|(directory, _)| *directory == home);
        let Some((_, allowed)) = allowed else {
            complaints.push(format!("{home}: a package in a directory that has no rule"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let Some(path) = dependency["path"].as_str() else {
                continue;
            };
            let there = top(path, root);
            if there != home && !allowed.contains(&there.as_str()) {
                complaints.push(format!(
                    "{home} depends on {there}: that is the wrong direction"
                ));
            }
        }
    }
    complaints
}

/// The directory below `root` that `path` lies in.
fn top(path: &str, root: &Path) -> String {
    let inside = Path::new(path)
        .strip_prefix(root)
        .expect("a path in the workspace");
    inside
        .iter()
        .next()
        .and_then(|part| part.to_str())
        .unwrap_or_default()
        .to_owned()
}

/// In `compiler`, the code of `readback` never says `backend`, nor the other way round.
pub(crate) fn two_readers(file: &SourceFile) -> Vec<String> {
    let belongs_to = |module: &str| {
        let path = format!("compiler/src/{module}");
        file.path == format!("{path}.rs") || file.path.starts_with(&format!("{path}/"))
    };
    let other = match (belongs_to("readback"), belongs_to("backend")) {
        (true, _) => "backend",
        (_, true) => "readback",
        _ => return Vec::new(),
    };
    file.complain_about_lines(|line| {
        let code = line.split("//").next().unwrap_or_default();
        words(code)
            .any(|word| word == other)
            .then(|| format!("knows `{other}`"))
    })
}

/// Neither the model nor the kernel module pulls in source from elsewhere behind cargo's back.
pub(crate) fn two_answers(file: &SourceFile) -> Vec<String> {
    let apart = ["qdisc-model/", "kernel-module/"]
        .iter()
        .any(|top| file.path.starts_with(top));
    if !apart || !file.is_rust() {
        return Vec::new();
    }
    file.complain_about_lines(|line| {
        let code = line.split("//").next().unwrap_or_default();
        let foreign = ["#[path", "include!"]
            .iter()
            .find(|word| code.contains(**word))?;
        Some(format!(
            "`{foreign}` brings in source that cargo does not see"
        ))
    })
}

#[test]
fn borrowing_between_the_two_readers_is_found() {
    let found = |path: &str, text: &str| two_readers(&SourceFile::new(path, text)).len();
    assert_eq!(
        found(
            "compiler/src/readback/nft.rs",
            "use crate::{backend, ir};\n"
        ),
        1
    );
    assert_eq!(
        found(
            "compiler/src/readback.rs",
            "//! Unlike `backend`, reads.\nfn a() {}\n"
        ),
        0
    );
    assert_eq!(
        found(
            "compiler/src/backend/u32.rs",
            "use crate::readback::u32::Key;\n"
        ),
        1
    );
    assert_eq!(
        found(
            "compiler/src/compile.rs",
            "use crate::{backend, readback};\n"
        ),
        0
    );
    let model = SourceFile::new(
        "qdisc-model/src/a.rs",
        "#[path = \"../../kernel-module/x.rs\"]\n",
    );
    assert_eq!(two_answers(&model).len(), 1);
}

#[test]
fn a_dependency_in_the_wrong_direction_is_found() {
    let package = |name: &str, path: &str| {
        serde_json::json!({
            "manifest_path": format!("/w/{name}/Cargo.toml"),
            "dependencies": [{ "path": path }, { "name": "proptest" }],
        })
    };
    let packages: Vec<Value> = vec![
        package("policy-lang", "/w/compiler"),
        package("qdisc-model", "/w/kernel-module"),
        package("kernel-module", "/w/kernel-module/kernel"),
        package("compiler", "/w/policy-lang"),
        package("tests", "/w/compiler"),
        package("extra", "/w/compiler"),
    ];
    let complaints = upward(
        &serde_json::json!({ "packages": packages }),
        Path::new("/w"),
    );
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}

//! Generated scripts are POSIX shell without a complaint of shellcheck, and the same every time.

use std::fs;
use std::process::{Command, Stdio};

use compiler::backend::Kind;
use tests::examples;

/// Whether a checker is there; `arguments` make it answer and end.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    let answer = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status();
    answer.is_ok_and(|status| status.success())
}

#[test]
fn scripts_please_shellcheck_and_dash() {
    let checkers = [
        (
            "shellcheck",
            vec!["--version"],
            vec!["--shell=sh", "--severity=style"],
        ),
        ("dash", vec!["-c", ":"], vec!["-n"]),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (program, question, arguments) in checkers {
        if !is_there(program, &question) {
            tests::skip(
                "scripts_please_shellcheck_and_dash",
                &format!("there is no `{program}`"),
            );
            continue;
        }
        for example in examples::all() {
            for backend in Kind::ALL {
                let deploy = example.compile(backend, "vif1.0", "ifb-vif1.0").unwrap();
                let hook = example.xen_hook(backend).unwrap();
                for (kind, script) in [("deploy", deploy.script), ("hook", hook.script)] {
                    let path = directory
                        .path()
                        .join(format!("{}-{backend}-{kind}.sh", example.name));
                    fs::write(&path, &script).unwrap();
                    let output = Command::new(program)
                        .args(&arguments)
                        .arg(&path)
                        .output()
                        .unwrap();
                    let said = String::from_utf8_lossy(&output.stdout);
                    assert!(
                        output.status.success(),
                        "{program}, {} {kind}: {said}",
                        example.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_policy_gives_the_same_bytes() {
    for example in examples::all() {
        for backend in Kind::ALL {
            let once = example.compile(backend, "vif1.0", "ifb-vif1.0").unwrap();
            let again = example.compile(backend, "vif1.0", "ifb-vif1.0").unwrap();
            assert_eq!(
                (once.rules, once.script),
                (again.rules, again.script),
                "{}",
                example.name
            );
        }
    }
}

//! `epochgate probe` against what is known about kernels: on the running one, and in every guest of the
//! lab. The snapshots are the table of docs/kernel.md, measured; `INSTA_UPDATE=always` writes them anew.

#![cfg(test)]

use std::fs;
use std::process::Command;

use serde_json::Value;
use tests::lab::cache::Cache;
use tests::lab::guest::Guest;
use tests::lab::image::{self, Extra};
use tests::lab::protocol::{Job, Outcome};
use tests::lab::qemu::Size;
use tests::lab::{Kernel, LabError, build};

/// One line per row, without the versions of tools.
fn table(json: &str) -> String {
    let findings: Value = serde_json::from_str(json).expect("JSON");
    let rows = findings["checks"].as_array().expect("rows");
    let mut text = String::new();
    for row in rows {
        let field = |name: &str| row[name].as_str().expect("a text").to_owned();
        let found = match field("name") {
            name if name.ends_with("-version") => String::from("(its version)"),
            _ => field("found"),
        };
        text += &format!("{:<8} {:<16} {found}\n", field("verdict"), field("name"));
    }
    text + &format!("{:#}\n", findings["advice"])
}

fn epochgate() -> std::path::PathBuf {
    let arguments = ["build", "--package", "compiler", "--bin", "epochgate"];
    build::one(&arguments, "epochgate").expect("it builds")
}

#[test]
fn on_the_running_kernel() {
    let name = "on_the_running_kernel";
    let before = fs::read_dir("/sys/class/net").unwrap().count();
    let output = Command::new(epochgate())
        .args(["probe", "--format", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(2) {
        assert!(
            said.contains("needs root") || said.contains("network namespace"),
            "{said}"
        );
        tests::skip(name, said.trim());
        return;
    }
    assert_eq!(before, fs::read_dir("/sys/class/net").unwrap().count());
    let json = String::from_utf8(output.stdout).unwrap();
    let table = table(&json);
    let findings: Value = serde_json::from_str(&json).unwrap();
    let lacks = findings["advice"]["lacks"].as_array().unwrap().len();
    assert_eq!(output.status.code(), Some(i32::from(lacks > 0)));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    if release.starts_with("6.18.") && table.contains("missing  plug ") {
        insta::assert_snapshot!("a_6_18_without_plug", table);
    } else {
        tests::skip(
            name,
            &format!("nothing is written down about {}", release.trim()),
        );
    }
}

#[test]
fn in_every_guest() {
    let (init, program) = match build::init() {
        Ok(init) => (init, epochgate()),
        Err(error) => panic!("{error}"),
    };
    for kernel in Kernel::ALL {
        match in_guest(kernel, &init, &program) {
            Ok(json) => {
                let name = kernel.to_string().replace([':', '.'], "_");
                insta::assert_snapshot!(name, table(&json));
            }
            Err(LabError::Unavailable(reason)) => {
                tests::skip(&format!("in_every_guest ({kernel})"), &reason);
            }
            Err(error) => panic!("{kernel}: {error}"),
        }
    }
}

fn in_guest(
    kernel: Kernel,
    init: &std::path::Path,
    program: &std::path::Path,
) -> Result<String, LabError> {
    let program = Extra {
        host: program.to_owned(),
        guest: String::from("/usr/local/bin/epochgate"),
        strip: true,
    };
    let image = image::build(&Cache::open()?, kernel, init, &[program])?;
    let mut guest = Guest::boot(&image, &Size::default())?;
    let job = Job {
        command: ["epochgate", "probe", "--format", "json"]
            .map(String::from)
            .into(),
        environment: Vec::new(),
        limit_ms: 300_000,
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = guest.run(job, |is_error, bytes| {
        if is_error { &mut err } else { &mut out }.extend_from_slice(bytes);
    })?;
    guest.power_off()?;
    let said = String::from_utf8_lossy(&err);
    assert_eq!(ended.outcome, Outcome::Exited(0), "{kernel}: {said}");
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

//! `epochgate` as a process: time from start to end, and the most memory it held.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use policy_lang::Verdict;
use tests::generate::realistic;

/// Runs of each command; the best counts.
const RUNS: usize = 3;
const SIZES: [usize; 5] = [100, 1_000, 2_000, 5_000, 10_000];

pub(super) struct Measured {
    pub(super) time: Duration,
    pub(super) peak_kib: u64,
}

/// The table of compile times.
pub(super) fn table(root: &Path) -> anyhow::Result<String> {
    let program = built(root)?;
    let files = tempfile::tempdir()?;
    let mut table = String::from(
        "Each line is a whole process, with the proof: policy read, rules made, read back and\n\
         compared over all frames. Best of 3 runs; memory is the peak of the resident set.\n\n\
         | command | rules | time | per rule, against 1,000 rules | peak memory |\n\
         |---|---|---|---|---|\n",
    );
    let small = root.join("examples/voip.gate");
    let check = measure(&program, &["check", &small.to_string_lossy()], 0)?;
    let _ = writeln!(
        table,
        "| `check examples/voip.gate` | 8 | {} | | {} MiB |",
        shown(check.time),
        check.peak_kib / 1024
    );
    for backend in ["nft", "u32"] {
        let mut reference = None;
        let mut lines = Vec::new();
        for rules in SIZES {
            let policy = files.path().join(format!("{rules}.gate"));
            fs::write(&policy, realistic::policy(rules, Verdict::Bypass))?;
            let path = policy.to_string_lossy();
            let command = [
                "compile",
                &path,
                "--backend",
                backend,
                "--emit",
                "rules",
                "-o",
                "-",
            ];
            let measured = measure(&program, &command, 0)?;
            let per_rule = measured.time.as_secs_f64() / rules as f64;
            if rules == 1_000 {
                reference = Some(per_rule);
            }
            lines.push((rules, measured, per_rule));
        }
        for (rules, measured, per_rule) in lines {
            let _ = writeln!(
                table,
                "| `compile --backend {backend}` | {rules} | {} | {:.2} | {} MiB |",
                shown(measured.time),
                per_rule / reference.unwrap_or(per_rule),
                measured.peak_kib / 1024
            );
        }
    }
    Ok(table)
}

pub(super) fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

/// The release build of `epochgate`, beside this program.
pub(super) fn built(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let status = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "compiler",
            "--bin",
            "epochgate",
        ])
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("epochgate does not build");
    }
    let here = std::env::current_exe()?;
    Ok(here.parent().context("a directory")?.join("epochgate"))
}

/// The best of several runs, each of which ends with this exit code.
pub(super) fn measure(program: &Path, arguments: &[&str], code: i32) -> anyhow::Result<Measured> {
    let mut best = Measured {
        time: Duration::MAX,
        peak_kib: 0,
    };
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let status = format!("/proc/{}/status", child.id());
        let mut peak_kib = 0;
        let exit = loop {
            // The peak only grows, so the last reading before the end is close to it.
            peak_kib = peak_kib.max(peak(&status));
            if let Some(exit) = child.try_wait()? {
                break exit;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        if exit.code() != Some(code) {
            let said = child.wait_with_output()?.stderr;
            bail!(
                "`{} {}` failed: {}",
                program.display(),
                arguments.join(" "),
                String::from_utf8_lossy(&said)
            );
        }
        best.time = best.time.min(start.elapsed());
        best.peak_kib = best.peak_kib.max(peak_kib);
    }
    Ok(best)
}

fn peak(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

//! `cargo xtask xen-lab`: a real Xen with a real Remus in QEMU.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use compiler::backend::Kind;
use serde::Serialize;
use tests::lab::LabError;
use tests::lab::cache::Cache;
use tests::lab::image::Image;
use tests::lab::protocol::Outcome;
use tests::xen::pair::Pair;
use tests::xen::report::Report;
use tests::xen::run::{self, Script, Way};
use tests::xen::station::{self, Station};
use tests::xen::takeover::Takeovers;
use tests::xen::{cut, failover};

use crate::marks;

const USAGE: &str = "\
usage: cargo xtask xen-lab build
       cargo xtask xen-lab run tour|compare|faults|failover|all
       cargo xtask xen-lab shell -- COMMAND [ARGUMENT]...

`build` gets Xen, kernels and tools as Debian packages, builds libxl anew with network buffering, which Debian's
has not, and packs a dom0 and a domU. Nothing is installed and no root is needed, but namespaces are.

`run tour` boots it in QEMU and walks from a plain dom0 to a protected domU; commands and what they say go into
docs/xen.md.

`run compare` boots it in QEMU, starts a paravirtual domU and lets it talk: not replicated, replicated by `xl
remus` with Xen's own script, and with hooks made of example policies. It puts tables into docs/xen.md and all
numbers into docs/xen-lab.json, and fails if anything left early that the policy of a hook of ours holds.

`run faults` kills xl, its helper, the hook and the domU, changes the policy while it replicates, and looks at
what is held and what is left behind.

`run failover` boots two such boxes, replicates the domU from one to the other, in the same ways, and ends the
first as a loss of power does, with a call of SIPp up; then it cuts the link between two boxes that live. Tables
go into docs/xen.md and all numbers into docs/xen-failover.json.

`shell` boots one and runs a command in dom0.

What can't be had here is a reason to skip, which is said aloud.
";
/// A box's seconds for each way, and milliseconds between checkpoints: the paper's.
const SECONDS: u32 = 10;
/// See [`SECONDS`].
const INTERVAL_MS: u32 = 300;

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["build"] => build().map(|()| ExitCode::SUCCESS),
        [
            "run",
            what @ ("tour" | "compare" | "faults" | "failover" | "all"),
        ] => return run_all(what),
        ["shell", "--", command @ ..] if !command.is_empty() => shell(command),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!(
            "`{}` is no task; see `cargo xtask xen-lab --help`",
            arguments.join(" ")
        ),
    };
    match done {
        Err(LabError::Unavailable(reason)) => Ok(skipped(&reason)),
        other => Ok(other?),
    }
}

fn build() -> Result<(), LabError> {
    let begin = Instant::now();
    let image = station::image(&Cache::open()?, &[])?;
    eprintln!(
        "xen-lab: dom0 with Linux {}, made in {:.1} s",
        image.kernel.release,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

fn run_all(what: &str) -> anyhow::Result<ExitCode> {
    let image = match Cache::open().and_then(|cache| station::image(&cache, &[])) {
        Ok(image) => image,
        Err(LabError::Unavailable(reason)) => return Ok(skipped(&reason)),
        Err(other) => return Err(other.into()),
    };
    let release = &image.kernel.release;
    if what != "failover" {
        let mut station = Station::boot(&image)?;
        run::create_domu(&mut station)?;
        run::hear_domu(&mut station)?;
        if matches!(what, "tour" | "all") {
            let text = run::tour(&mut station)?;
            println!("{text}");
            let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
            let block = format!("```console\n{}\n```", lines.join("\n").trim_end());
            marks::put(&crate::root().join("docs/xen.md"), "xen-tour", &block)?;
        }
        if matches!(what, "compare" | "all") {
            compare(&mut station, release.clone())?;
        }
        if matches!(what, "faults" | "all") {
            run::faults(&mut station)?;
        }
        station.power_off()?;
    }
    if matches!(what, "failover" | "all") {
        failovers(&image)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn failovers(image: &Image) -> anyhow::Result<()> {
    let mut pair = Pair::boot(image)?;
    let mut rows = Vec::new();
    let replicated = |way: &&Way| way.script != Script::None && way.backend == Kind::Nft;
    for way in run::WAYS.iter().filter(replicated) {
        let begin = Instant::now();
        rows.push(failover::run(&mut pair, way, INTERVAL_MS, SECONDS, image)?);
        let took = begin.elapsed().as_secs_f64();
        eprintln!("xen-lab: failover, {}: {took:.0} s", way.name);
    }
    let refined = run::WAYS.iter().rfind(replicated);
    let refined = refined.context("no way to replicate")?;
    let cut = cut::run(&mut pair, refined, INTERVAL_MS);
    let report = Takeovers {
        kernel: image.kernel.release.clone(),
        interval_ms: INTERVAL_MS,
        seconds: SECONDS,
        rows,
    };
    put("failover", &report.tell(), &report)?;
    report.draw(&crate::root().join("docs"))?;
    cut?;
    report.judge().map_err(anyhow::Error::msg)
}

fn compare(station: &mut Station, kernel: String) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for way in &run::WAYS {
        let begin = Instant::now();
        rows.push(run::replicate(station, way, INTERVAL_MS, SECONDS)?);
        let took = begin.elapsed().as_secs_f64();
        eprintln!("xen-lab: {}: {took:.0} s", way.name);
    }
    let report = Report {
        kernel,
        interval_ms: INTERVAL_MS,
        seconds: SECONDS,
        rows,
    };
    put("lab", &report.tell(), &report)?;
    report.draw(&crate::root().join("docs"))?;
    report.judge().map_err(anyhow::Error::msg)
}

/// Shows tables, and puts them and the numbers that they are made of into docs/.
fn put(name: &str, text: &str, numbers: &impl Serialize) -> anyhow::Result<()> {
    println!("{text}");
    let docs = crate::root().join("docs");
    marks::put(
        &docs.join("xen.md"),
        &format!("xen-{name}"),
        text.trim_end(),
    )?;
    let numbers = serde_json::to_string_pretty(numbers)?;
    std::fs::write(docs.join(format!("xen-{name}.json")), numbers + "\n")?;
    Ok(())
}

fn skipped(reason: &str) -> ExitCode {
    eprintln!("xen-lab: SKIPPED: {reason}");
    ExitCode::SUCCESS
}

fn shell(command: &[&str]) -> Result<ExitCode, LabError> {
    let image = station::image(&Cache::open()?, &[])?;
    let mut station = Station::boot(&image)?;
    let outcome = station.run(command, Duration::from_secs(600), |is_error, bytes| {
        // Nobody may be listening any more; the exit status is wanted all the same.
        let _ = match is_error {
            true => std::io::stderr().write_all(bytes),
            false => std::io::stdout().write_all(bytes),
        };
    })?;
    if outcome != Outcome::Exited(0) {
        eprintln!("xen-lab: {outcome:?}");
    }
    Ok(ExitCode::from(outcome.status()))
}

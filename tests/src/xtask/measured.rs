//! `cargo xtask measured`: what the example policies do to calls, measured in a guest; writes the table
//! of docs/paper.md, and asks tshark about the calls if there is one.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use tests::lab::cache::Cache;
use tests::lab::guest::Guest;
use tests::lab::image::{self, Extra};
use tests::lab::protocol::Job;
use tests::lab::qemu::{Clock, Size};
use tests::lab::{Kernel, Target, build};
use tests::measure::{Caller, transcript};
use tests::tshark;
use xshell::Shell;

use crate::marks;

const USAGE: &str = "\
usage: cargo xtask measured [--target TARGET] [--seconds N] [--caller sipp|own]

Boots a guest (default qemu:6.1), sends calls through the rules of several example policies at once for
N seconds (default 60), prints the table and puts it into docs/paper.md: first with calls by sipp,
then with calls by a sender of ours, or with one of them. tshark, if it is there, has to print the same
of each call.
";

/// Runs the task.
pub(crate) fn run(sh: &Shell, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (mut kernel, mut seconds) = (Kernel::V6_1, 60_u64);
    let mut callers = vec![Caller::Sipp, Caller::Own];
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("`{word}` wants a value"))
        };
        match word.as_str() {
            "--target" => match value()?.parse().map_err(anyhow::Error::msg)? {
                Target::Qemu(wanted) => kernel = wanted,
                other => bail!("`{other}` is no guest"),
            },
            "--seconds" => seconds = value()?.parse().context("`--seconds`")?,
            "--caller" => match value()?.as_str() {
                "sipp" => callers = vec![Caller::Sipp],
                "own" => callers = vec![Caller::Own],
                other => bail!("`{other}` calls nobody"),
            },
            _ => {
                print!("{USAGE}");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    let path = sh.current_dir().join("docs/paper.md");
    for caller in callers {
        let text = measure(kernel, seconds, caller)?;
        println!("{text}");
        let name = match caller {
            Caller::Sipp => "sipp",
            Caller::Own => "own",
        };
        marks::put(&path, name, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(kernel: Kernel, seconds: u64, caller: Caller) -> anyhow::Result<String> {
    let cache = Cache::open()?;
    let build = |name| build::one(&["build", "--package", "tests", "--bin", name], name);
    let mut extras = vec![Extra {
        host: build("lab-measured")?,
        guest: String::from("/usr/local/bin/lab-measured"),
        strip: true,
    }];
    // The program looks for the examples where this package has them.
    let examples = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"));
    for entry in fs::read_dir(&examples)? {
        let host = entry?.path();
        extras.push(Extra {
            guest: host.to_string_lossy().into_owned(),
            host,
            strip: false,
        });
    }
    let mut command = vec![String::from("lab-measured"), seconds.to_string()];
    if caller == Caller::Sipp {
        extras.extend(image::packages(&cache, &["sip-tester", "ncurses-base"])?);
        command.push(String::from("sipp"));
    }
    extras.sort_by(|a, b| a.guest.cmp(&b.guest));
    let image = image::build(&cache, kernel, &build("lab-init")?, &extras)?;
    let size = Size {
        // So that the tables are the same on a busy machine.
        clock: Clock::asked_or(Clock::Instructions),
        ..Size::default()
    };
    let mut guest = Guest::boot(&image, &size)?;
    eprintln!("measured: {kernel}: {}", guest.describe());
    let job = Job {
        command,
        environment: vec![(String::from("EPOCHGATE_PLUG"), String::from("require"))],
        limit_ms: (seconds + 240) * 1_000,
    };
    let said = guest.output_of(job)?;
    guest.power_off()?;
    compared(&said)
}

/// The text of the report, once tshark has said the same of every call.
fn compared(said: &str) -> anyhow::Result<String> {
    let (text, lanes) = transcript::read(said).map_err(anyhow::Error::msg)?;
    if !tshark::is_here() {
        eprintln!("measured: no tshark, so nobody else was asked about the calls");
        return Ok(text);
    }
    let place = tempfile::tempdir()?;
    let mut calls = 0;
    for lane in &lanes {
        let capture = place.path().join("far.pcap");
        calls += lane.compare(&capture).map_err(anyhow::Error::msg)?;
    }
    if calls == 0 {
        bail!("there was no call to ask tshark about");
    }
    eprintln!("measured: tshark prints the same of {calls} calls");
    Ok(text)
}

//! The differential test with more frames and a seed of its own, and proofs for more policies:
//! `cargo xtask soak`.

mod proofs;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::slice;
use std::time::{Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use compiler::backend::Kind;
use tests::differential::{ground, pair};
use tests::lab::{Target, build};

const USAGE: &str = "\
usage: cargo xtask soak [OPTION]...

Puts random policies and frames aimed at them through real kernels and compares each frame's way,
bytes and place in the order with what the policy means. Ends with a failure if one differs.

  --frames N        distinct frames for each pair of a back end and a kernel; default 1000000
  --seed N          the same seed gives the same policies and frames; default: a new one, printed
  --target TARGET   namespace, qemu:6.1, qemu:6.12 or qemu:7; may be given more than once; default
                    LAB_TARGET, or all of them
  --backend NAME    nft, u32, bpf or flower; may be given more than once; default all

usage: cargo xtask soak proofs [--policies N] [--seed N]

Has every back end make rules for N random policies, 100000 without it, reads them back and proves
for all frames that they are the policy. Ends with a failure if they are not, and the smallest policy
found of which that is so. Asks no kernel.
";

/// What was asked for.
#[derive(Debug)]
struct Request {
    frames: usize,
    seed: u64,
    targets: Vec<Target>,
    backends: Vec<Kind>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let clean = match arguments.split_first() {
        Some((first, rest)) if first == "proofs" => proofs::run(rest),
        _ => read(&arguments).and_then(|request| soak(&request)),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[String]) -> anyhow::Result<Request> {
    let mut request = Request {
        frames: 1_000_000,
        seed: new_seed(),
        targets: Vec::new(),
        backends: Vec::new(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || value(word, &mut words);
        match word.as_str() {
            "--frames" => request.frames = value()?.parse().context("`--frames`")?,
            "--seed" => request.seed = value()?.parse().context("`--seed`")?,
            "--target" => {
                let target = value()?.parse().map_err(anyhow::Error::msg)?;
                request.targets.push(target);
            }
            "--backend" => {
                let name = value()?;
                let backend = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                let backend = backend.with_context(|| format!("no back end `{name}`"))?;
                request.backends.push(backend);
            }
            other => bail!("`{other}` is no option; see `cargo xtask soak --help`"),
        }
    }
    if request.targets.is_empty() {
        request.targets = ground::wanted().map_err(anyhow::Error::msg)?;
    }
    if request.backends.is_empty() {
        request.backends = Kind::ALL.to_vec();
    }
    Ok(request)
}

/// The word behind an option.
fn value<'a>(option: &str, words: &mut slice::Iter<'a, String>) -> anyhow::Result<&'a String> {
    let value = words.next();
    value.with_context(|| format!("`{option}` wants a value"))
}

/// A number that is another one each time and short enough to type.
fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn soak(request: &Request) -> anyhow::Result<bool> {
    println!("seed {}", request.seed);
    let program = lab_differential()?;
    let mut grounds = Vec::new();
    for &target in &request.targets {
        match ground::open(target, &program).map_err(anyhow::Error::msg)? {
            Ok(ground) => grounds.push(ground),
            Err(why) => eprintln!("skipped: {target}: {why}"),
        }
    }
    if grounds.is_empty() {
        bail!("no kernel to try");
    }
    let mut clean = true;
    for &backend in &request.backends {
        let begin = Instant::now();
        let progress = |done| show(backend.name(), "frames", (done, request.frames), begin);
        let mut these = Vec::new();
        for named in &mut grounds {
            match ground::takes(named.1.as_mut(), backend).map_err(anyhow::Error::msg)? {
                Ok(()) => these.push(named),
                Err(why) => eprintln!("skipped: {backend} x {}: {why}", named.0),
            }
        }
        let tallies = pair::run(&mut these, backend, request.frames, request.seed, progress);
        for ((target, _), tally) in these.iter().zip(tallies.map_err(|e| anyhow!(e))?) {
            println!("pair {backend} x {target}: {tally}");
            for difference in &tally.told {
                println!("  {difference}");
            }
            clean &= tally.is_clean();
        }
        println!("{backend}: {} s", begin.elapsed().as_secs());
    }
    Ok(clean)
}

/// What runs beside the kernel, with the same optimisation as this program.
fn lab_differential() -> anyhow::Result<PathBuf> {
    let mut arguments = vec!["build", "--package", "tests", "--bin", "lab-differential"];
    if !cfg!(debug_assertions) {
        arguments.push("--release");
    }
    Ok(build::one(&arguments, "lab-differential")?)
}

/// One line that is written over again, for whoever waits at a terminal.
fn show(what: &str, unit: &str, (done, of): (usize, usize), begin: Instant) {
    let mut err = std::io::stderr();
    if !err.is_terminal() {
        return;
    }
    let rate = done as f64 / begin.elapsed().as_secs_f64();
    let end = if done < of { "" } else { "\n" };
    // Nobody may be looking any more; the result is wanted all the same.
    let _ = write!(
        err,
        "\r{what}: {done} of {of} {unit}, {rate:.0} a second{end}"
    );
    let _ = err.flush();
}

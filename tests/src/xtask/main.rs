//! `cargo xtask TASK`: the project's tasks, one file per task.
//!
//! In Rust instead of shell or make, so that a clone needs only cargo (matklad's xtask pattern).

mod bench;
mod kmod;
mod lab;
mod marks;
mod measured;
mod setup;
mod soak;
mod tally;
mod test;
mod tidy;
mod xen_lab;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use xshell::Shell;

const USAGE: &str = "\
usage: cargo xtask TASK [ARGUMENT]...

  setup   install the Debian packages that the tests use (needs root; says what it can't)
  test    setup, then formatting, lints and all tests; ends with the number of tests
  lab     boots Debian kernels in QEMU and runs commands there; `cargo xtask lab --help`
  kmod    builds the kernel module and tries it in guests; `cargo xtask kmod --help`
  xen-lab  a real dom0 with a real `xl remus` in QEMU; `cargo xtask xen-lab --help`
  soak    a million frames for each back end and kernel; `cargo xtask soak --help`
  measured  calls through example policies, measured in a guest; writes docs/paper.md
  bench   all benchmarks in a release build; writes docs/benchmarks.md. With names of parts, such
          as `classify`, only these sections; `peer` sets Aerleon, taken from PyPI, beside us
  tidy    only the rules on the sources themselves: length, heads, links, crate directions
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match arguments.as_slice() {
        [task, rest @ ..] if task == "lab" => return report(lab::run(rest)),
        [task, rest @ ..] if task == "xen-lab" => return report(xen_lab::run(rest)),
        [task, rest @ ..] if task == "kmod" => return report(kmod::run(rest)),
        [task, rest @ ..] if task == "soak" => {
            return report(shell().and_then(|sh| soak::run(&sh, rest)));
        }
        [task, parts @ ..] if task == "bench" => {
            let done = shell().and_then(|sh| bench::run(&sh, parts));
            return report(done.map(|()| ExitCode::SUCCESS));
        }
        [task, rest @ ..] if task == "measured" => {
            return report(shell().and_then(|sh| measured::run(&sh, rest)));
        }
        [task] => task.as_str(),
        _ => "",
    };
    let done = shell().and_then(|sh| match task {
        "setup" => setup::run(&sh).map(|()| true),
        "test" => test::run(&sh),
        "tidy" => tidy::run(&sh).map(|()| true),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => {
            eprint!("{USAGE}");
            Ok(false)
        }
    });
    report(done.map(|clean| match clean {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }))
}

/// The exit status of a task; an error is told.
fn report(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// A shell in the root of the workspace, wherever the task was called.
fn shell() -> anyhow::Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(root());
    Ok(sh)
}

/// The root of the workspace: the directory above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

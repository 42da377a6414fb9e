//! `cargo xtask kmod`: the kernel module, built and tried.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::bail;
use tests::kmod::build::{self, With};
use tests::lab::cache::Cache;
use tests::lab::{Kernel, LabError};

const USAGE: &str = "\
usage: cargo xtask kmod build [--kernel 6.1|6.12|7]... [--to DIRECTORY]
       cargo xtask kmod test [--kernel 6.1|6.12|7]... [FILTER]
       cargo xtask kmod build --kernel 7 --rust [--to DIRECTORY]
       cargo xtask kmod test --kernel 7 --rust [FILTER]
       cargo xtask kmod smp [--kernel 6.1|6.12|7]...
       cargo xtask kmod speed [--kernel 6.1|6.12|7]...

`build` gets the headers of Debian's newest kernels of these lines and builds sch_epochgate.ko for
each, in a directory named after the kernel's release, below target/kmod; without `--kernel` for 6.1 and
6.12. For 7 it gets gcc-14 and what else its headers ask for as well, 90 MB of packages, and `make` runs in
a root made of them: that takes root, or a system where everybody may make namespaces.

`test` boots these kernels in QEMU, loads the module and runs the trials of the group `module`.

With `--rust` it is built for 7 by the kernel's own build system, against the kernel's own Rust. That has to be
made first, from the kernel's source and by the compilers of Debian 13: some 500 MB of packages and 4 GB of
disk, once, and minutes of work. What each part took is said.

`smp` runs those of them that are about things at the same time in guests with two processors.

`speed` measures it beside sch_plug and pfifo, in instructions, and fails below 0.95 of sch_plug.
";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut kernels = Vec::new();
    let mut to = crate::root().join("target/kmod");
    let mut filter = String::from("module::");
    let mut with = With::Stub;
    let mut words = arguments.iter();
    let task = words.next().map(String::as_str);
    while let Some(word) = words.next() {
        match (word.as_str(), task) {
            ("--kernel", _) => kernels.push(kernel(words.next())?),
            ("--to", Some("build")) => {
                let Some(directory) = words.next() else {
                    bail!("`--to` wants a directory");
                };
                to = PathBuf::from(directory);
            }
            ("--rust", Some("build" | "test")) => with = With::Rust,
            (own, Some("test")) if !own.starts_with('-') => filter = own.to_owned(),
            (other, _) => bail!("`{other}` is no option; see `cargo xtask kmod --help`"),
        }
    }
    if with == With::Rust && kernels != [Kernel::V7] {
        bail!("only 7 has Rust of its own: write `--kernel 7 --rust`");
    }
    if kernels.is_empty() {
        kernels = build::KERNELS.into();
    }
    match task {
        Some("build") => build_all(&kernels, with, &to),
        Some("test") if with == With::Rust => {
            let begin = Instant::now();
            let code = test(&kernels, &filter, &[(tests::kmod::RUST, "1")])?;
            eprintln!("kmod: all of it: {:.1} s", begin.elapsed().as_secs_f64());
            Ok(code)
        }
        Some("test") => test(&kernels, &filter, &[]),
        Some("smp") => test(&kernels, "under_flood", &[("LAB_SMP", "2")]),
        Some("speed") => test(&kernels, "speed::", &[("LAB_CLOCK", "instructions")]),
        _ => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn kernel(name: Option<&String>) -> anyhow::Result<Kernel> {
    match name.map(String::as_str) {
        Some("6.1") => Ok(Kernel::V6_1),
        Some("6.12") => Ok(Kernel::V6_12),
        Some("7") => Ok(Kernel::V7),
        _ => bail!("`--kernel` wants 6.1, 6.12 or 7"),
    }
}

fn build_all(kernels: &[Kernel], with: With, to: &std::path::Path) -> anyhow::Result<ExitCode> {
    let cache = Cache::open()?;
    let to = std::path::absolute(to)?;
    for kernel in kernels {
        let release = release(&cache, *kernel)?;
        let module = build::module(&cache, *kernel, &release, with, &to)?;
        println!("{}", module.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What `uname -r` says on the newest kernel of this line.
fn release(cache: &Cache, kernel: Kernel) -> Result<String, LabError> {
    let _lock = cache.lock()?;
    Ok(kernel.fetch(cache)?.release)
}

fn test(
    kernels: &[Kernel],
    filter: &str,
    environment: &[(&str, &str)],
) -> anyhow::Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let targets: Vec<String> = kernels.iter().map(Kernel::to_string).collect();
    let status = Command::new(cargo)
        .args(["test", "--package", "tests", "--test", "lab", "--", filter])
        .env("LAB_TARGET", targets.join(","))
        .env(tests::kmod::ALL_KERNELS, "1")
        .envs(environment.iter().copied())
        .status()?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

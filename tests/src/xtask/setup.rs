//! `cargo xtask setup`: the programs that the tests call, by their Debian packages.
//!
//! Nothing here is fatal: a test that misses a program says so and is counted as skipped.

use std::path::Path;

use tests::lab::Kernel;
use tests::lab::cache::Cache;
use xshell::{Shell, cmd};

use crate::lab;

/// A program that a test calls, the Debian package that holds it, and what for.
const TOOLS: &[(&str, &str, &str)] = &[
    ("nft", "nftables", "loads the nft rules into a kernel"),
    ("ip", "iproute2", "makes namespaces and interfaces"),
    ("tc", "iproute2", "loads the u32 rules into a kernel"),
    ("ethtool", "ethtool", "switches offloads off"),
    (
        "dash",
        "dash",
        "runs the deploy script as a plain POSIX shell",
    ),
    ("shellcheck", "shellcheck", "checks the deploy script"),
    (
        "qemu-system-x86_64",
        "qemu-system-x86",
        "boots the kernels of the lab",
    ),
    ("gcc", "gcc", "builds the kernel module"),
    ("make", "make", "builds the kernel module"),
    ("objcopy", "binutils", "builds the kernel module"),
    ("xz", "xz-utils", "unpacks the kernels' modules"),
    ("tcpdump", "tcpdump", "an independent reader of captures"),
    ("tshark", "tshark", "an independent dissector of frames"),
    ("chromium", "chromium", "shows the reports' pages"),
];

/// Installs what is missing, and gets the packages of the lab's guests.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    install_tools(sh)?;
    match Cache::open() {
        Ok(cache) if find_program("qemu-system-x86_64") => {
            lab::prefetch(&cache, &Kernel::ALL);
        }
        Ok(_) => eprintln!("setup: without QEMU no packages are needed for its guests"),
        Err(reason) => eprintln!("setup: {reason}"),
    }
    Ok(())
}

/// Installs what is missing if this is Debian and we are root; says aloud what stays missing.
fn install_tools(sh: &Shell) -> anyhow::Result<()> {
    let missing = missing_tools();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    packages.dedup();
    let debian = Path::new("/etc/debian_version").exists() && find_program("apt-get");
    let root = cmd!(sh, "id -u")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|id| id == "0");
    match (debian, root) {
        (false, _) => eprintln!("setup: not a Debian with apt-get: nothing is installed"),
        (true, false) => eprintln!(
            "setup: not root: nothing is installed; as root: apt-get install {}",
            packages.join(" ")
        ),
        (true, true) => install(sh, &packages),
    }
    for (program, package, purpose) in missing_tools() {
        eprintln!("setup: missing `{program}` (Debian package {package}), which {purpose}");
    }
    Ok(())
}

/// Tries the package lists that are there first; refreshes them only if that is not enough.
fn install(sh: &Shell, packages: &[&str]) {
    let _no_questions = sh.push_env("DEBIAN_FRONTEND", "noninteractive");
    let attempt = || {
        cmd!(
            sh,
            "apt-get install --yes --no-install-recommends {packages...}"
        )
        .ignore_stdout()
        .run()
    };
    if attempt().is_ok() {
        return;
    }
    let refreshed = cmd!(sh, "apt-get update").ignore_stdout().run();
    if let Err(error) = refreshed.and_then(|()| attempt()) {
        eprintln!("setup: {error}");
    }
}

fn missing_tools() -> Vec<(&'static str, &'static str, &'static str)> {
    TOOLS
        .iter()
        .copied()
        .filter(|(program, ..)| !find_program(program))
        .collect()
}

/// Whether `program` is in a directory of PATH, or in those of root that PATH may lack.
fn find_program(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}

//! The benchmarks: `cargo xtask bench` runs them and writes docs/benchmarks.md.
//!
//! Machines differ and are shared, so what counts is a ratio of two things measured in one run,
//! one next to the other. Absolute times are the best of several.

mod packet;
mod process;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut report = String::from(HEAD);
    let _ = writeln!(report, "\n## Compiling\n");
    match process::table(&root) {
        Ok(table) => report.push_str(&table),
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    let _ = writeln!(report, "\n## Cost per packet in the kernel\n");
    match packet::table() {
        Ok(table) => report.push_str(&table),
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    print!("{report}");
    match fs::write(root.join("docs/benchmarks.md"), &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: docs/benchmarks.md can't be written: {error}");
            ExitCode::FAILURE
        }
    }
}

const HEAD: &str = "\
# Benchmarks

Made by `cargo xtask bench` (release build, root for the kernel part) and not edited by hand. The
policies come from `tests/src/generate/realistic.rs`: prefix lists with port ranges, UDP and some
TCP, IPv4 and every eighth rule IPv6. Machines differ and are shared: read ratios, not times.
";

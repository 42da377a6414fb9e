//! The benchmarks: `cargo xtask bench` runs them and writes docs/benchmarks.md; with names of parts
//! it prints these and writes nothing.
//!
//! Machines differ and are shared, so what counts is a ratio of two things measured in one run,
//! one next to the other. Absolute times are the best of several.

mod capture;
mod classify;
mod packet;
mod process;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Name, title and maker of each part.
type Part = (
    &'static str,
    &'static str,
    fn(&Path) -> anyhow::Result<String>,
);

const PARTS: [Part; 4] = [
    ("compile", "Compiling", process::table),
    ("classify", "Deciding about frames", |_| classify::table()),
    ("capture", "Large captures", capture::table),
    ("packet", "Cost per packet in the kernel", |_| {
        packet::table()
    }),
];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| PARTS.iter().all(|(part, ..)| part != name))
    {
        let names = PARTS.map(|(name, ..)| name).join("`, `");
        eprintln!("error: there is no part `{unknown}`, only `{names}`");
        return ExitCode::FAILURE;
    }
    let mut report = String::from(HEAD);
    for (name, title, table) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|part| part == name) {
            continue;
        }
        let _ = writeln!(report, "\n## {title}\n");
        match table(&root) {
            Ok(table) => report.push_str(&table),
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    print!("{report}");
    if !wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    match fs::write(root.join("docs/benchmarks.md"), &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: docs/benchmarks.md can't be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const HEAD: &str = "\
# Benchmarks

Made by `cargo xtask bench` (release build, root for the kernel part) and not edited by hand. The
policies come from `tests/src/generate/realistic.rs`: prefix lists with port ranges, UDP and some
TCP, IPv4 and every eighth rule IPv6. Machines differ and are shared: read ratios, not times.
";

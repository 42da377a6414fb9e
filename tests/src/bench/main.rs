//! The benchmarks: `cargo xtask bench` runs them and writes docs/benchmarks.md; with names of parts
//! it runs these and leaves the other sections as they are.
//!
//! Machines differ and are shared, so what counts is a ratio of two things measured in one run,
//! one next to the other. Absolute times are the best of several.

mod analysis;
mod capture;
mod classify;
mod packet;
mod peer;
mod process;
mod simulate;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

/// Name, title and maker of each part.
type Part = (
    &'static str,
    &'static str,
    fn(&Path) -> anyhow::Result<String>,
);

const PARTS: [Part; 7] = [
    ("compile", "Compiling", process::table),
    ("analysis", "Analysis", analysis::table),
    ("classify", "Deciding about frames", |_| classify::table()),
    ("capture", "Large captures", capture::table),
    ("simulate", "Simulating", |_| Ok(simulate::table())),
    ("packet", "Cost per packet in the kernel", |_| {
        packet::table()
    }),
    ("peer", "Beside a peer", |root| Ok(peer::table(root))),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match report(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts with these names, or all, and puts their sections into the document.
fn report(wanted: &[String]) -> anyhow::Result<()> {
    let is_part = |name: &String| PARTS.iter().any(|(part, ..)| part == name);
    if let Some(unknown) = wanted.iter().find(|name| !is_part(name)) {
        let names = PARTS.map(|(name, ..)| name).join("`, `");
        bail!("there is no part `{unknown}`, only `{names}`");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("docs/benchmarks.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let mut document = String::from(HEAD);
    for (name, title, table) in PARTS {
        let heading = format!("\n## {title}\n\n");
        let section = if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            let section = heading + &table(&root)?;
            print!("{section}");
            section
        } else {
            kept(&before, &heading)
        };
        document.push_str(&section);
    }
    fs::write(path, document).context("docs/benchmarks.md can't be written")
}

/// A section as it stands in the document, if it does.
fn kept(document: &str, heading: &str) -> String {
    let Some(begin) = document.find(heading) else {
        return String::new();
    };
    let section = &document[begin..];
    let end = section[heading.len()..].find("\n## ");
    section[..end.map_or(section.len(), |end| heading.len() + end)].to_owned()
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

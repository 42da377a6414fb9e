//! The questions about every frame, as processes: lints, changes, proofs about given rules, and
//! simpler policies.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use policy_lang::Verdict;
use tests::generate::realistic;

use super::process::{built, measure, shown};

/// The table of the analysis.
pub(super) fn table(root: &Path) -> anyhow::Result<String> {
    let program = built(root)?;
    let files = tempfile::tempdir()?;
    let path = |name: &str| files.path().join(name).to_string_lossy().into_owned();
    let write = |name: &str, text: &str| fs::write(files.path().join(name), text);
    let thousand = realistic::policy(1_000, Verdict::Bypass);
    write("1000.gate", &thousand)?;
    write("changed.gate", &changed(&thousand))?;
    write("10000.gate", &realistic::policy(10_000, Verdict::Bypass))?;
    let mut table = String::from(
        "Each line is a whole process, best of 3 runs. The changed policy has one rule less, and asks for\n\
         the other port in another. Rules are verified as `nft -f` or `tc -batch` would load them.\n\n\
         | command | rules | time | peak memory |\n\
         |---|---|---|---|\n",
    );
    let mut row = |command: &str, rules: usize, arguments: &[&str], exit: i32| {
        let measured = measure(&program, arguments, exit)?;
        let (time, memory) = (shown(measured.time), measured.peak_kib / 1024);
        let _ = writeln!(table, "| `{command}` | {rules} | {time} | {memory} MiB |");
        anyhow::Ok(())
    };
    let (old, new, large) = (path("1000.gate"), path("changed.gate"), path("10000.gate"));
    row("check", 1_000, &["check", &old], 0)?;
    row("diff", 1_000, &["diff", &old, &new], 1)?;
    row("simplify", 1_000, &["simplify", &old], 0)?;
    let frame = "udp 10.9.9.9:5060 > 10.0.0.1:9";
    row(
        "explain --why",
        1_000,
        &["explain", "--why", &old, frame],
        0,
    )?;
    for backend in ["nft", "u32"] {
        let rules = path(backend);
        let compile = ["compile", &large, "--backend", backend, "--emit", "rules"];
        let compile = [&compile[..], &["-o", &rules]].concat();
        measure(&program, &compile, 0)?;
        let rules = format!("{rules}/{}", rules_in(&rules)?);
        let verify = ["verify", &large, "--rules", &rules];
        row(&format!("verify --rules {backend}"), 10_000, &verify, 0)?;
    }
    Ok(table)
}

/// The only file in a directory.
fn rules_in(directory: &str) -> anyhow::Result<String> {
    let mut entries = fs::read_dir(directory)?;
    let entry = entries
        .next()
        .ok_or_else(|| anyhow::anyhow!("no rules"))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

/// The policy with one rule less, and with the other port in another rule.
fn changed(policy: &str) -> String {
    let lines = policy.lines().enumerate();
    let lines = lines.filter(|(at, _)| *at != 700).map(|(at, line)| {
        if at == 500 {
            line.replace("sport", "dport")
        } else {
            line.to_owned()
        }
    });
    lines.map(|line| line + "\n").collect()
}

//! What rules cost a packet that none of them matches, on the running kernel.
//!
//! The packet ends the same way with and without rules: it passes, and dies behind the hook. All
//! rule sets are measured in turn, several times over, each time beside the bare hook.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, anyhow};
use compiler::backend::{self, Kind, Loader, Target};
use compiler::device::Device;
use compiler::lower::lower;
use policy_lang::Verdict;
use tests::examples::checked;
use tests::generate::realistic;
use tests::netlab::{Lab, VIF};

use super::median;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Line-by-line rules take minutes to load and to pass above this.
const NAIVE_SIZES: [usize; 3] = [10, 100, 1_000];
const ROUNDS: usize = 7;
const PACKETS: usize = 20_000;

struct Row {
    name: &'static str,
    rules: usize,
    load: String,
    unload: &'static str,
    /// Nanoseconds per packet of each round: bare hook, with rules.
    rounds: Vec<(f64, f64)>,
}

/// The table of costs.
pub(super) fn table() -> anyhow::Result<String> {
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(reason) => return Ok(format!("Not measured: {reason}.\n")),
    };
    lab.shell("ip link set vif0 nomaster; ip link add ifb-vif0 type ifb; ip link set ifb-vif0 up")?;
    let files = tempfile::tempdir()?;
    let mut rows = rows(files.path())?;
    // No rule of any set matches: the source is in none of their prefixes.
    let frame = compiler::frame_text::parse("udp 192.168.1.1:9 > 192.168.1.2:9 len 18")
        .map_err(|error| anyhow!("{error}"))?;
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let bare = lab.nanoseconds_per_frame(&frame, PACKETS)?;
            lab.shell(&row.load).with_context(|| row.name)?;
            let with = lab.nanoseconds_per_frame(&frame, PACKETS)?;
            lab.shell(row.unload)?;
            row.rounds.push((bare, with));
        }
    }
    let mut table = format!(
        "Kernel {}. A 60-byte UDP packet that no rule matches is sent {PACKETS} times through a\n\
         veth pair; the median of {ROUNDS} rounds. `extra` is the additional time as a part of the\n\
         bare packet's, both measured next to each other.\n\n\
         | rules | how many | bare packet | extra |\n|---|---|---|---|\n",
        kernel(),
    );
    for row in &mut rows {
        let mut extra: Vec<f64> = row
            .rounds
            .iter()
            .map(|(bare, with)| (with - bare) / bare)
            .collect();
        let mut bare: Vec<f64> = row.rounds.iter().map(|(bare, _)| *bare).collect();
        let _ = writeln!(
            table,
            "| {} | {} | {:.0} ns | {:.2} |",
            row.name,
            row.rules,
            median(&mut bare),
            median(&mut extra)
        );
    }
    Ok(table)
}

fn rows(files: &std::path::Path) -> anyhow::Result<Vec<Row>> {
    let clsact = "tc qdisc add dev vif0 clsact; tc -batch";
    let no_clsact = "tc qdisc del dev vif0 clsact";
    let flush = "nft flush ruleset";
    let mut rows = Vec::new();
    for rules in SIZES {
        for (backend, name) in [
            (Kind::Nft, "epochgate, nft"),
            (Kind::U32, "epochgate, u32"),
            (Kind::Bpf, "epochgate, bpf"),
        ] {
            let file = files.join(format!("{backend}-{rules}"));
            let Some(text) = ours(backend, rules)? else {
                continue;
            };
            fs::write(&file, text)?;
            let (load, unload) = match backend.loader() {
                Loader::Nft => (format!("nft -f {}", file.display()), flush),
                Loader::Tc => (format!("{clsact} {}", file.display()), no_clsact),
            };
            rows.push(Row {
                name,
                rules,
                load,
                unload,
                rounds: Vec::new(),
            });
        }
    }
    for rules in NAIVE_SIZES {
        let file = files.join(format!("naive-nft-{rules}"));
        fs::write(&file, realistic::naive_nft(rules, VIF))?;
        let load = format!("nft -f {}", file.display());
        rows.push(Row {
            name: "nft, a line per rule",
            rules,
            load,
            unload: flush,
            rounds: vec![],
        });
        let file = files.join(format!("naive-u32-{rules}"));
        fs::write(&file, realistic::naive_u32(rules, VIF, "ifb-vif0"))?;
        let load = format!("{clsact} {}", file.display());
        rows.push(Row {
            name: "u32, linear",
            rules,
            load,
            unload: no_clsact,
            rounds: vec![],
        });
    }
    Ok(rows)
}

/// Rules that hold what matches and pass the rest, so that the measured packet passes; none where the
/// back end refuses so many.
fn ours(backend: Kind, rules: usize) -> anyhow::Result<Option<String>> {
    let policy = checked("bench.gate", &realistic::policy(rules, Verdict::Buffer));
    let program = lower(&policy)?;
    let target = Target {
        vif: Device::new(VIF)?,
        ifb: Device::new("ifb-vif0")?,
        header: Vec::new(),
    };
    Ok(backend::emit(backend, &program, &policy, &target).ok())
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Only the version: the rest names a machine.
    release
        .split('-')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

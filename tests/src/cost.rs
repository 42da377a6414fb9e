//! What rules cost a packet that comes near to one of them and matches none, on the running kernel.
//!
//! The packet ends the same way with and without rules: it passes, and dies behind the hook. All
//! rule sets are measured in turn, several times over, each time beside the bare hook.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use compiler::backend::{self, Kind, Loader, Target};
use compiler::device::Device;
use compiler::lower::lower;
use policy_lang::Verdict;

use crate::examples::checked;
use crate::generate::realistic;
use crate::netlab::{Lab, VIF};

/// Rules in a set; a column each.
pub const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Line-by-line rules take minutes to load and to pass above this.
const MOST_NAIVE: usize = 1_000;
const IFB: &str = "ifb-vif0";

/// Makes the text of a policy of so many rules.
type Policies = fn(usize, Verdict) -> String;

/// Rows of our own: port ranges as operators write them, then a prefix and a port each.
const OURS: [(Kind, &str, Policies); 8] = [
    (Kind::Nft, "`nft`, ranges", realistic::policy),
    (Kind::U32, "`u32`, ranges", realistic::policy),
    (Kind::Bpf, "`bpf`, ranges", realistic::policy),
    (Kind::Flower, "`flower`, ranges", realistic::policy),
    (Kind::Nft, "`nft`, prefixes", realistic::prefixes),
    (Kind::U32, "`u32`, prefixes", realistic::prefixes),
    (Kind::Bpf, "`bpf`, prefixes", realistic::prefixes),
    (Kind::Flower, "`flower`, prefixes", realistic::prefixes),
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Frames for each number.
    pub frames: usize,
    /// Times that all rule sets are measured, of which the median counts.
    pub rounds: usize,
}

/// Rules of one origin and number.
struct Set {
    row: &'static str,
    rules: usize,
    load: String,
    unload: &'static str,
    /// Nanoseconds per packet of each round: bare hook, with rules.
    rounds: Vec<(f64, f64)>,
}

/// A table with a line per origin of rules and a column per number of rules. A cell is the additional
/// time as a part of the bare packet's.
///
/// # Errors
/// When there is no laboratory of network namespaces, or rules can't be loaded in it.
pub fn table(effort: Effort) -> anyhow::Result<String> {
    let lab = Lab::new().map_err(|reason| anyhow!("{reason}"))?;
    lab.shell(&format!(
        "ip link set {VIF} nomaster; ip link add {IFB} type ifb; ip link set {IFB} up"
    ))?;
    let files = tempfile::tempdir()?;
    let mut sets = sets(&lab, files.path())?;
    // No rule of any set matches: the source is in a prefix of most sets, the ports are in none.
    let frame = compiler::frame_text::parse("udp 10.0.2.9:9 > 192.168.1.2:9 len 18")
        .map_err(|error| anyhow!("{error}"))?;
    for _ in 0..effort.rounds {
        for set in &mut sets {
            let bare = lab.nanoseconds_per_frame(&frame, effort.frames)?;
            lab.shell(&set.load).with_context(|| set.row)?;
            let with = lab.nanoseconds_per_frame(&frame, effort.frames)?;
            lab.shell(set.unload)?;
            set.rounds.push((bare, with));
        }
    }
    Ok(written(&mut sets))
}

fn written(sets: &mut [Set]) -> String {
    let mut bare: Vec<f64> = sets.iter().flat_map(|s| &s.rounds).map(|r| r.0).collect();
    let mut table = format!(
        "Linux {}; the bare packet takes {:.0} ns.\n\n| rules |",
        kernel(),
        median(&mut bare)
    );
    let mut rule = String::from("\n|---|");
    for size in SIZES {
        let _ = write!(table, " {size} |");
        rule.push_str("---|");
    }
    table.push_str(&rule);
    let mut rows: Vec<&'static str> = Vec::new();
    for set in sets.iter() {
        if !rows.contains(&set.row) {
            rows.push(set.row);
        }
    }
    for row in rows {
        let _ = write!(table, "\n| {row} |");
        for size in SIZES {
            let set = sets.iter().find(|set| set.row == row && set.rules == size);
            let _ = match set {
                Some(set) => write!(table, " {:.2} |", set.extra()),
                None => write!(table, " – |"),
            };
        }
    }
    table.push('\n');
    table
}

impl Set {
    fn extra(&self) -> f64 {
        let rounds = self.rounds.iter();
        let mut extra: Vec<f64> = rounds.map(|(bare, with)| (with - bare) / bare).collect();
        median(&mut extra)
    }
}

fn sets(lab: &Lab, files: &Path) -> anyhow::Result<Vec<Set>> {
    let mut sets = Vec::new();
    let mut add = |row, rules: usize, loader, text: String| -> anyhow::Result<()> {
        let file = files.join(sets.len().to_string());
        fs::write(&file, text)?;
        let file = file.display();
        let (load, unload) = match loader {
            Loader::Nft => (format!("nft -f {file}"), "nft flush ruleset"),
            Loader::Tc => (
                format!("tc qdisc add dev {VIF} clsact; tc -batch {file}"),
                "tc qdisc del dev vif0 clsact",
            ),
        };
        sets.push(Set {
            row,
            rules,
            load,
            unload,
            rounds: Vec::new(),
        });
        Ok(())
    };
    let has_flower = has_flower(lab);
    for (backend, row, policy) in OURS {
        if backend == Kind::Flower && !has_flower {
            continue;
        }
        for rules in SIZES {
            // Held is what matches, so that the measured packet passes.
            if let Some(text) = ours(backend, &policy(rules, Verdict::Buffer))? {
                add(row, rules, backend.loader(), text)?;
            }
        }
    }
    for rules in SIZES.into_iter().filter(|rules| *rules <= MOST_NAIVE) {
        let nft = realistic::naive_nft(rules, VIF);
        add("nft, a line per rule", rules, Loader::Nft, nft)?;
        let u32 = realistic::naive_u32(rules, VIF, IFB);
        add("u32, linear", rules, Loader::Tc, u32)?;
    }
    Ok(sets)
}

/// Kernels made for containers have no `cls_flower`.
fn has_flower(lab: &Lab) -> bool {
    let tried = lab.shell(&format!(
        "tc qdisc add dev {VIF} clsact; tc filter add dev {VIF} ingress flower action pass"
    ));
    let _ = lab.shell(&format!("tc qdisc del dev {VIF} clsact"));
    tried.is_ok()
}

/// The rules of a policy; none where the back end refuses so many.
fn ours(backend: Kind, text: &str) -> anyhow::Result<Option<String>> {
    let policy = checked("bench.gate", text);
    let program = lower(&policy)?;
    let target = Target {
        vif: Device::new(VIF)?,
        ifb: Device::new(IFB)?,
        header: Vec::new(),
    };
    Ok(backend::emit(backend, &program, &policy, &target).ok())
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Only the version: the rest names a machine.
    let version = release.split(['-', '+']).next();
    version.unwrap_or_default().trim().to_owned()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

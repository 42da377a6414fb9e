//! What rules cost a packet that comes near to one of them and matches none, on the running kernel.
//!
//! The packet ends the same way with and without rules: it passes, and dies behind the hook. All
//! rule sets are measured in turn, several times over, each time beside the bare hook.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

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
/// Where the rules that are measured hold frames.
pub const IFB: &str = "ifb-vif0";

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

/// Rows of a line or a filter for each rule, which come behind ours.
const NAIVE: [(&str, Loader); 2] = [
    ("nft, a line per rule", Loader::Nft),
    ("u32, linear", Loader::Tc),
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
    load: Load,
}

/// A file of rules, and what was measured with it.
struct Load {
    load: String,
    unload: &'static str,
    /// Nanoseconds per packet of each round: bare hook, with rules.
    rounds: Vec<(f64, f64)>,
}

/// The packet that is measured. No rule of any set matches it: the source is in a prefix of most sets, the
/// ports are in none.
pub const PACKET: &str = "udp 10.0.2.9:9 > 192.168.1.2:9 len 18";

/// A table with a line per origin of rules and a column per number of rules, of the files that [`prepare`]
/// has written. A cell is the additional time as a part of the bare packet's.
///
/// # Errors
/// When there is no laboratory of network namespaces, or rules can't be loaded in it.
pub fn table(effort: Effort, files: &Path) -> anyhow::Result<String> {
    let lab = ground()?;
    let mut sets = sets(&lab, files);
    let mut loads: Vec<&mut Load> = sets.iter_mut().map(|set| &mut set.load).collect();
    take_turns(&lab, &mut loads, effort)?;
    Ok(written(&sets))
}

/// For each of these files, `*.nft` for `nft -f` and all others for `tc -batch`, the additional time of
/// [`PACKET`] as a part of the bare packet's. The rules have to be about [`VIF`].
///
/// # Errors
/// When there is no laboratory of network namespaces, or rules can't be loaded in it.
pub fn of_files(files: &[PathBuf], effort: Effort) -> anyhow::Result<Vec<f64>> {
    let lab = ground()?;
    let loader = |file: &Path| match file.extension() {
        Some(extension) if extension == "nft" => Loader::Nft,
        _ => Loader::Tc,
    };
    let mut loads: Vec<Load> = files.iter().map(|f| Load::new(loader(f), f)).collect();
    take_turns(&lab, &mut loads.iter_mut().collect::<Vec<_>>(), effort)?;
    Ok(loads.iter().map(Load::extra).collect())
}

/// A laboratory in which what passes dies behind the hook.
fn ground() -> anyhow::Result<Lab> {
    let lab = Lab::new().map_err(|reason| anyhow!("{reason}"))?;
    lab.shell(&format!(
        "ip link set {VIF} nomaster; ip link add {IFB} type ifb; ip link set {IFB} up"
    ))?;
    Ok(lab)
}

fn take_turns(lab: &Lab, loads: &mut [&mut Load], effort: Effort) -> anyhow::Result<()> {
    let frame = compiler::frame_text::parse(PACKET).map_err(|error| anyhow!("{error}"))?;
    for _ in 0..effort.rounds {
        for load in loads.iter_mut() {
            let bare = lab.nanoseconds_per_frame(&frame, effort.frames)?;
            lab.shell(&load.load).with_context(|| load.load.clone())?;
            let with = lab.nanoseconds_per_frame(&frame, effort.frames)?;
            lab.shell(load.unload)?;
            load.rounds.push((bare, with));
        }
    }
    Ok(())
}

fn written(sets: &[Set]) -> String {
    let mut bare: Vec<f64> = sets
        .iter()
        .flat_map(|s| &s.load.rounds)
        .map(|r| r.0)
        .collect();
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
                Some(set) => write!(table, " {:.2} |", set.load.extra()),
                None => write!(table, " – |"),
            };
        }
    }
    table.push('\n');
    table
}

impl Load {
    fn new(loader: Loader, file: &Path) -> Self {
        let file = file.display();
        let (load, unload) = match loader {
            Loader::Nft => (format!("nft -f {file}"), "nft flush ruleset"),
            Loader::Tc => (
                format!("tc qdisc add dev {VIF} clsact; tc -batch {file}"),
                "tc qdisc del dev vif0 clsact",
            ),
        };
        Self {
            load,
            unload,
            rounds: Vec::new(),
        }
    }

    fn extra(&self) -> f64 {
        let rounds = self.rounds.iter();
        let mut extra: Vec<f64> = rounds.map(|(bare, with)| (with - bare) / bare).collect();
        median(&mut extra)
    }
}

/// Writes the rules of all sets into files of a directory; there is none where a back end refuses so many.
/// The guests, where each instruction is emulated, get them made.
///
/// # Errors
/// When a file can't be written.
pub fn prepare(files: &Path) -> anyhow::Result<()> {
    for (row, (backend, _, policy)) in OURS.into_iter().enumerate() {
        for rules in SIZES {
            // Held is what matches, so that the measured packet passes.
            if let Some(text) = ours(backend, &policy(rules, Verdict::Buffer))? {
                fs::write(place(files, row, rules), text)?;
            }
        }
    }
    for rules in SIZES.into_iter().filter(|rules| *rules <= MOST_NAIVE) {
        let nft = realistic::naive_nft(rules, VIF);
        fs::write(place(files, OURS.len(), rules), nft)?;
        let u32 = realistic::naive_u32(rules, VIF, IFB);
        fs::write(place(files, OURS.len() + 1, rules), u32)?;
    }
    Ok(())
}

/// The file of a row's rules.
fn place(files: &Path, row: usize, rules: usize) -> PathBuf {
    files.join(format!("{row}-{rules}"))
}

/// The sets that are there and that this kernel takes.
fn sets(lab: &Lab, files: &Path) -> Vec<Set> {
    let has_flower = has_flower(lab);
    let ours = OURS
        .into_iter()
        .map(|(backend, row, _)| (row, backend.loader(), backend != Kind::Flower || has_flower));
    let rows = ours.chain(NAIVE.map(|(row, loader)| (row, loader, true)));
    let mut sets = Vec::new();
    for (at, (row, loader, works)) in rows.enumerate() {
        for rules in SIZES {
            let file = place(files, at, rules);
            if works && file.exists() {
                let load = Load::new(loader, &file);
                sets.push(Set { row, rules, load });
            }
        }
    }
    sets
}

/// Kernels made for containers have no `cls_flower`.
fn has_flower(lab: &Lab) -> bool {
    let tried = lab.shell(&format!(
        "tc qdisc add dev {VIF} clsact; tc filter add dev {VIF} ingress flower action pass"
    ));
    let _ = lab.shell(&format!("tc qdisc del dev {VIF} clsact"));
    tried.is_ok()
}

/// The rules of a policy by the nft back end, for [`VIF`] and [`IFB`].
///
/// # Errors
/// When nft can't express the policy.
pub fn rules_of(policy: &str) -> anyhow::Result<String> {
    ours(Kind::Nft, policy)?.context("nft can't express the policy")
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

//! The same thousand terms compiled to nftables by a peer and by us, side by side: how long that takes, what is
//! loaded, and what it costs a packet. Before anything is measured, both have to do with a sample of frames
//! what the judge says.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use policy_lang::Verdict;
use policy_lang::classify::classify;
use tests::cost;
use tests::examples::checked;
use tests::generate::realistic::{self, Rule};
use tests::netlab::{Lab, Observed, VIF};
use tests::peer::{self, Peer};

use super::packet::EFFORT;
use super::process::{Measured, built, measure, shown};

/// Terms of the policy.
const TERMS: usize = 1_000;
/// Each so many-th term is tried with frames.
const STEP: usize = 37;

/// The table; says aloud why there is none.
pub(super) fn table(root: &Path) -> String {
    measured(root).unwrap_or_else(|reason| {
        tests::skip("bench peer", &format!("{reason:#}"));
        format!("Not measured: {reason:#}.\n")
    })
}

fn measured(root: &Path) -> anyhow::Result<String> {
    let aerleon = Peer::installed()?;
    let place = tempfile::tempdir()?;
    let rules: Vec<Rule> = (0..TERMS).map(realistic::rule).collect();
    let policy = realistic::policy(TERMS, Verdict::Buffer);
    let ours = place.path().join("ours.nft");
    let theirs = place.path().join("theirs.nft");

    let written = peer::write(&rules, place.path())?;
    let arguments: Vec<&str> = written.arguments.iter().map(String::as_str).collect();
    let their_time = measure(&aerleon.program, &arguments, 0)?;
    let text = fs::read_to_string(&written.rules).context("Aerleon wrote no rules")?;
    let text = peer::at_ingress(&text, VIF).context("Aerleon's chain hangs elsewhere")?;
    fs::write(&theirs, text)?;

    let gate = place.path().join("policy.gate");
    fs::write(&gate, &policy)?;
    let gate = gate.to_string_lossy();
    let compile = [
        "compile",
        &*gate,
        "--backend",
        "nft",
        "--vif",
        VIF,
        "--emit",
        "rules",
        "-o",
        "-",
    ];
    let our_time = measure(&built(root)?, &compile, 0)?;
    fs::write(&ours, cost::rules_of(&policy)?)?;

    let lab = Lab::new().map_err(|reason| anyhow!("{reason}"))?;
    lab.shell(&format!(
        "ip link add {} type ifb; ip link set {0} up",
        cost::IFB
    ))?;
    let counts = [
        tried(&lab, &ours, &policy, &rules, Some(cost::IFB))?,
        tried(&lab, &theirs, &policy, &rules, None)?,
    ];
    drop(lab);
    let files = [ours, theirs];
    let here = cost::of_files(&files, EFFORT)?;

    let mut table = format!(
        "One policy of {TERMS} terms (a source prefix, a protocol and a range of ports each: the \"ranges\" of\n\
         the other benchmarks; what a term asks for is held or dropped, all else passes), compiled to nftables by\n\
         Aerleon {version}, from PyPI, and by us. Times are those of a whole process, best of 3 runs, and ours has\n\
         the proof in it. Rules, elements of sets and chains are what `nft -j list ruleset` shows. The packet is that of\n\
         the section above, which no term asks for; its cost is the additional time as a part of the bare packet's, by\n\
         the clock on the machine at hand.\n\n\
         What is comparable: both rule sets are loaded at the same ingress hook, and did to {frames} frames at the edges\n\
         of {sample} terms what `classify` says. What is not: Aerleon writes chains for the hooks `input`, `output` and\n\
         `forward`, with `ct state` in front, and the one line that says where the chain hangs is changed here, nothing\n\
         else. It drops where we hold. Its rules are one after the other, a chain for each term, and in a filter for\n\
         both families it writes each rule twice. Its terms follow the kernel's parsing of packets; with fragments, options,\n\
         extension headers and tags they mean something else than ours. Nor is it made for this hook: a\n\
         firewall asks most packets for their connection only.\n\n\
         | made by | compiled in | peak memory | rules | elements of sets | chains | extra |\n\
         |---|---|---|---|---|---|---|\n",
        version = peer::VERSION,
        frames = sample(&rules).count() * 2,
        sample = sample(&rules).count(),
    );
    let rows = ["epochgate, nft", "Aerleon, nftables"];
    let times: [&Measured; 2] = [&our_time, &their_time];
    for (at, row) in rows.into_iter().enumerate() {
        let (time, count) = (times[at], &counts[at]);
        let _ = writeln!(
            table,
            "| {row} | {} | {} MiB | {} | {} | {} | {:.2} |",
            shown(time.time),
            time.peak_kib / 1024,
            count.rules,
            count.elements,
            count.chains,
            here[at]
        );
    }
    Ok(table)
}

fn sample(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    rules.iter().step_by(STEP)
}

/// What a kernel has loaded.
struct Count {
    rules: usize,
    elements: usize,
    chains: usize,
}

/// Loads rules, sends frames, and compares what becomes of them with what the judge says.
fn tried(
    lab: &Lab,
    file: &Path,
    policy: &str,
    rules: &[Rule],
    ifb: Option<&str>,
) -> anyhow::Result<Count> {
    lab.shell(&format!("nft -f {}", file.display()))?;
    let listing = lab.shell("nft -j list ruleset")?.stdout;
    let policy = checked("bench.gate", policy);
    let texts: Vec<String> = sample(rules).flat_map(peer::frames).collect();
    let frames: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| compiler::frame_text::parse(text).map_err(|error| anyhow!("{text}: {error}")))
        .collect::<anyhow::Result<_>>()?;
    let seen = lab.run(ifb, &frames)?;
    for ((text, frame), seen) in texts.iter().zip(&frames).zip(&seen.observations) {
        let agrees = match classify(&policy, frame).verdict {
            Verdict::Bypass => seen.observed == Observed::Bypassed,
            Verdict::Buffer if ifb.is_some() => seen.observed == Observed::Held,
            Verdict::Buffer => seen.observed == Observed::Dropped,
        };
        if !agrees {
            bail!("{}: `{text}` was {:?}", file.display(), seen.observed);
        }
    }
    lab.shell("nft flush ruleset")?;
    let listing: serde_json::Value = serde_json::from_slice(&listing)?;
    let objects = listing["nftables"].as_array().context("no listing")?;
    let count = |kind: &str| {
        objects
            .iter()
            .filter(|object| object[kind].is_object())
            .count()
    };
    let elements = objects
        .iter()
        .filter_map(|object| object["set"]["elem"].as_array())
        .map(Vec::len);
    Ok(Count {
        rules: count("rule"),
        elements: elements.sum(),
        chains: count("chain"),
    })
}

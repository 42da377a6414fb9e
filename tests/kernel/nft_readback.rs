//! What the nft read-back says about rules, against the kernel that has loaded them.
//!
//! Random small rulesets, written around real frames so that they meet them: what the read-back
//! says about each frame is what becomes of it, and the text, what nft lists of it and its JSON
//! are read as the same sets.

mod rules;

use std::io::Write;
use std::process::Stdio;

use compiler::readback::nft::{read_json, read_text};
use compiler::readback::{Outcome, ReadbackError};
use libtest_mimic::{Failed, Trial};
use policy_lang::set::Space;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tests::generate;
use tests::netlab::{Lab, Observed, VIF};

use crate::Here;
use rules::Dice;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial(
            "nft_readback::random_rules_do_what_is_read",
            random_rules_do_what_is_read,
        ),
        here.trial(
            "nft_readback::listings_are_read_like_their_source",
            listings_are_read_like_their_source,
        ),
    ]
}

fn frames(count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let strategy = generate::frame::frame();
    (0..count)
        .map(|_| {
            strategy
                .new_tree(&mut runner)
                .expect("the generator never refuses")
                .current()
        })
        .collect()
}

/// Loads `text` into an empty kernel; what nft says if it refuses.
fn load(lab: &Lab, text: &str) -> Result<Result<(), String>, Failed> {
    lab.shell("nft flush ruleset")?;
    let mut nft = lab
        .command("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    nft.stdin
        .take()
        .ok_or("no pipe to nft")?
        .write_all(text.as_bytes())?;
    let output = nft.wait_with_output()?;
    Ok(if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    })
}

/// The outcome, or `None` if the read-back says that it does not understand.
fn understood(read: Result<Outcome, ReadbackError>) -> Result<Option<Outcome>, Failed> {
    match read {
        Ok(outcome) => Ok(Some(outcome)),
        Err(ReadbackError::NotUnderstood { .. }) => Ok(None),
        Err(full) => Err(full.to_string().into()),
    }
}

fn lab_with_ifb() -> Result<Lab, Failed> {
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb; ip link set ifb0 arp off up")?;
    Ok(lab)
}

fn random_rules_do_what_is_read() -> Result<(), Failed> {
    let rulesets = crate::number("EPOCHGATE_POLICIES", 24);
    let lab = lab_with_ifb()?;
    let frames = frames(250);
    let mut dice = Dice::new(1);
    let (mut compared, mut held) = (0, 0);
    for _ in 0..rulesets {
        let text = loadable(&lab, &mut dice, &frames)?;
        let space = Space::new(1 << 20)?;
        let Some(outcome) = understood(read_text(&space, &text, VIF))? else {
            continue;
        };
        let run = lab.run(Some("ifb0"), &frames)?;
        for (frame, observation) in frames.iter().zip(&run.observations) {
            let in_held = outcome
                .held
                .get("ifb0")
                .is_some_and(|set| space.contains(set, frame));
            let expected = match observation.observed {
                Observed::Refused => continue,
                _ if in_held => Observed::Held,
                _ if space.contains(&outcome.bypass, frame) => Observed::Bypassed,
                _ => Observed::Dropped,
            };
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(observation.observed, expected, "{hex}\n{text}");
            compared += 1;
            held += usize::from(in_held);
        }
    }
    eprintln!("{compared} verdicts compared, {held} of them held");
    assert!(
        compared > rulesets * frames.len() / 2,
        "only {compared} were compared"
    );
    assert!(
        held > compared / 10 && held < compared * 9 / 10,
        "{held} held"
    );
    Ok(())
}

/// A random ruleset that nft accepts.
fn loadable(lab: &Lab, dice: &mut Dice, frames: &[Vec<u8>]) -> Result<String, Failed> {
    let mut refusal = String::new();
    for _ in 0..50 {
        let text = rules::ruleset(dice, frames);
        match load(lab, &text)? {
            Ok(()) => return Ok(text),
            Err(why) => refusal = why,
        }
    }
    Err(format!("nft refused fifty rulesets, the last one so: {refusal}").into())
}

fn listings_are_read_like_their_source() -> Result<(), Failed> {
    let rulesets = crate::number("EPOCHGATE_POLICIES", 120);
    let lab = lab_with_ifb()?;
    let frames = frames(250);
    let mut dice = Dice::new(2);
    let (mut compared, mut aborted) = (0, 0);
    for _ in 0..rulesets {
        let text = loadable(&lab, &mut dice, &frames)?;
        let space = Space::new(1 << 20)?;
        let Some(source) = understood(read_text(&space, &text, VIF))? else {
            continue;
        };
        for listing in [
            "nft list ruleset",
            "nft -a -nn list ruleset",
            "nft -j list ruleset",
        ] {
            let Ok(output) = lab.shell(listing) else {
                // nft 1.0.6 aborts when it lists `meta protocol 8021q` next to raw payload.
                aborted += 1;
                break;
            };
            let listed = String::from_utf8(output.stdout)?;
            let read = if listing.contains("-j") {
                read_json(&space, &listed, VIF)
            } else {
                read_text(&space, &listed, VIF)
            };
            let read = read.map_err(|error| format!("{listing}: {error}\n{text}\n{listed}"))?;
            if let Some(frame) = space.difference(&read.bypass, &source.bypass)? {
                return Err(format!("{listing}: {frame:02x?}\n{text}\n{listed}").into());
            }
            assert!(read == source, "{listing}\n{text}\n{listed}");
            compared += 1;
        }
    }
    eprintln!("{compared} listings compared, {aborted} rulesets that nft does not list");
    assert!(compared > rulesets * 2, "only {compared} were compared");
    Ok(())
}

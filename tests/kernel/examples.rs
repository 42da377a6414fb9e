//! The main job on the running kernel: the script of every example is run, for every back end,
//! and each frame takes the path that `classify` says.

use std::fs;

use compiler::backend::Kind;
use compiler::device::Device;
use compiler::hook;
use compiler::readback;
use compiler::verify::verify_equivalent;
use libtest_mimic::{Failed, Trial};
use policy_lang::{Policy, Space, Verdict, classify};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::captures;
use tests::examples::{self, Example};
use tests::generate::frame::frame;
use tests::netlab::{Lab, Observed, VIF};

use crate::{Here, LOADED};

const IFB: &str = "ifb-vif0";
/// Frames beside those of the captures; EPOCHGATE_FRAMES asks for another number.
const GENERATED: usize = 20_000;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = Vec::new();
    for backend in Kind::ALL {
        for example in examples::all() {
            // The differential test sends frames through rules of all kinds; here it is the script and
            // the listing that matter, and one policy that has all terms is enough for the others.
            if !LOADED.contains(&backend) && example.name != "voip.gate" {
                continue;
            }
            let name = format!("examples::{}", example.name);
            let run = move || takes_the_path(&example, backend);
            trials.push(here.trial_with(backend, &name, run));
        }
    }
    trials
}

/// The captures, if they are there, and frames at the edges, the same ones each time.
fn frames() -> Result<Vec<Vec<u8>>, Failed> {
    let mut frames = Vec::new();
    match captures::directory() {
        Some(directory) => {
            let all = captures::ethernet_frames(&directory)?.frames;
            frames.extend(all.into_iter().map(|(_, frame)| frame));
        }
        None => tests::skip("the captures", "no shared/captures beside the project"),
    }
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    for _ in 0..crate::number("EPOCHGATE_FRAMES", GENERATED) {
        frames.push(
            frame()
                .new_tree(&mut runner)
                .map_err(|e| e.to_string())?
                .current(),
        );
    }
    Ok(frames)
}

fn takes_the_path(example: &Example, backend: Kind) -> Result<(), Failed> {
    let compiled = example.compile(backend, VIF, IFB)?;
    let lab = Lab::new()?;
    let script = tempfile::NamedTempFile::new()?;
    fs::write(script.path(), &compiled.script)?;
    lab.shell(&format!("sh '{}' apply", script.path().display()))?;
    listings_are_the_policy(&lab, example, backend)?;
    let frames = frames()?;
    let run = lab.run(Some(IFB), &frames)?;
    if let [first, ..] = run.anomalies.as_slice() {
        return Err(format!("{} anomalies, first: {first}", run.anomalies.len()).into());
    }
    let wrong = frames
        .iter()
        .zip(&run.observations)
        .filter(|(frame, observation)| {
            observation.observed != Observed::Refused
                && observation.observed != expected(&example.policy, frame)
        });
    let wrong: Vec<_> = wrong.collect();
    if let [(frame, observation), ..] = wrong.as_slice() {
        let meant = classify(&example.policy, frame);
        return Err(format!(
            "{} of {} frames took another path; the first, {frame:02x?}: {observation:?}, but {meant:?}",
            wrong.len(),
            frames.len(),
        )
        .into());
    }
    let held = run
        .observations
        .iter()
        .filter(|o| o.observed == Observed::Held)
        .count();
    eprintln!(
        "{}, {backend}: {} frames, {held} held, no difference",
        example.name,
        frames.len()
    );
    lab.shell(&format!("sh '{}' remove", script.path().display()))?;
    Ok(())
}

/// What the tools print for the loaded rules is proved equal to the policy as well.
fn listings_are_the_policy(lab: &Lab, example: &Example, backend: Kind) -> Result<(), Failed> {
    let space = Space::new(1 << 20)?;
    let printed = |command: &str| -> Result<String, Failed> {
        Ok(String::from_utf8(lab.shell(command)?.stdout)?)
    };
    let outcomes = match backend {
        Kind::Nft => vec![
            readback::nft::read_text(&space, &printed("nft list ruleset")?, VIF)?,
            readback::nft::read_json(&space, &printed("nft -j list ruleset")?, VIF)?,
        ],
        Kind::U32 | Kind::Bpf | Kind::Flower => {
            vec![readback::u32::read_listing(
                &space,
                &printed("tc filter show dev vif0 ingress")?,
            )?]
        }
    };
    for outcome in outcomes {
        let answer = verify_equivalent(&space, &example.policy, &outcome, &Device::new(IFB)?)?;
        answer.map_err(|example| format!("the listing differs: {example:?}"))?;
    }
    Ok(())
}

fn expected(policy: &Policy, frame: &[u8]) -> Observed {
    match classify(policy, frame).verdict {
        _ if !hook::reaches(frame) => Observed::Dropped,
        Verdict::Buffer => Observed::Held,
        Verdict::Bypass => Observed::Bypassed,
    }
}

//! The nft back end on the running kernel: random policies become rules, random frames are sent
//! through them, and each frame must take the path that `classify` says.

use std::fs;

use compiler::backend::{Target, nft};
use compiler::device::Device;
use compiler::hook;
use compiler::lower::lower;
use libtest_mimic::{Failed, Trial};
use policy_lang::classify;
use policy_lang::policy::{Policy, Verdict};
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, policy};
use tests::netlab::{Lab, Observed};

use crate::Here;

/// Policies tried by each run of the tests; EPOCHGATE_POLICIES asks for more.
const POLICIES: usize = 12;
/// Frames sent through the rules of each policy.
const FRAMES: usize = 250;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial("nft::random_policies", random_policies),
        here.trial("nft::every_ruleset_loads", every_ruleset_loads),
    ]
}

fn target() -> Target {
    Target {
        vif: Device::new("vif0").expect("a device name"),
        ifb: Device::new("ifb0").expect("a device name"),
        header: Vec::new(),
    }
}

/// The path that the reference meaning gives to a frame.
fn expected(policy: &Policy, frame: &[u8]) -> Observed {
    if !hook::reaches(frame) {
        return Observed::Dropped;
    }
    match classify(policy, frame).verdict {
        Verdict::Bypass => Observed::Bypassed,
        Verdict::Buffer => Observed::Held,
    }
}

/// Policies asked for by EPOCHGATE_POLICIES, or so many.
fn count(default: usize) -> usize {
    let asked = std::env::var("EPOCHGATE_POLICIES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Always the same choices, unless EPOCHGATE_SEED has some text.
fn runner() -> TestRunner {
    let seed = std::env::var("EPOCHGATE_SEED").unwrap_or_default();
    let mut bytes = [7; 32];
    for (slot, byte) in bytes.iter_mut().zip(seed.bytes()) {
        *slot = byte;
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// The next policy that can be expressed, with its rules.
fn expressible(
    policies: &impl Strategy<Value = Policy>,
    runner: &mut TestRunner,
) -> Result<(Policy, String), Failed> {
    loop {
        let policy = policies.new_tree(runner)?.current();
        match nft::emit(&lower(&policy)?, &policy, &target()) {
            Ok(rules) => return Ok((policy, rules)),
            Err(refusal) => assert_eq!(refusal.term, "ethertype"),
        }
    }
}

fn every_ruleset_loads() -> Result<(), Failed> {
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb")?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rules.nft");
    let mut runner = runner();
    let policies = policy(Terms::All, 20);
    for _ in 0..count(40) {
        let (_, rules) = expressible(&policies, &mut runner)?;
        fs::write(&file, &rules)?;
        lab.shell(&format!("nft -f {}", file.display()))
            .map_err(|error| format!("{error}\n{rules}"))?;
    }
    Ok(())
}

fn random_policies() -> Result<(), Failed> {
    let mut runner = runner();
    let (policies, frames) = (policy(Terms::All, 6), vec(frame(), FRAMES));
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb; ip link set ifb0 arp off up")?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rules.nft");
    let mut wrong = Vec::new();
    let wanted = count(POLICIES);
    for _ in 0..wanted {
        let (policy, rules) = expressible(&policies, &mut runner)?;
        let frames = frames.new_tree(&mut runner)?.current();
        fs::write(&file, &rules)?;
        if let Err(error) = lab.shell(&format!("nft -f {}", file.display())) {
            return Err(format!("{error}\n{rules}").into());
        }
        let run = lab.run(Some("ifb0"), &frames)?;
        assert_eq!(run.anomalies, Vec::<String>::new());
        for (frame, observation) in frames.iter().zip(&run.observations) {
            let expected = expected(&policy, frame);
            if observation.observed != expected {
                wrong.push(format!(
                    "{frame:02x?}: {:?}, expected {expected:?}\n{policy:#?}\n{rules}",
                    observation.observed
                ));
            }
        }
    }
    eprintln!("{wanted} policies with {FRAMES} frames each");
    match wrong.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} frames went wrong, the first: {first}", wrong.len()).into()),
    }
}

//! The nft back end on the running kernel: random policies become rules, random frames are sent
//! through them, and each frame must take the path that `classify` says.

use std::fs;

use compiler::backend::{Target, nft};
use compiler::device::Device;
use compiler::hook;
use compiler::lower::lower;
use compiler::readback::nft as readback;
use compiler::verify::verify_equivalent;
use libtest_mimic::{Failed, Trial};
use policy_lang::field::{Family, Field};
use policy_lang::policy::{Condition, Gate, Policy, Rule, Test, Verdict};
use policy_lang::source::Span;
use policy_lang::values::ValueSet;
use policy_lang::{Space, classify};
use proptest::collection::vec;
use proptest::prop_oneof;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, crowded, policy, tabular};
use tests::netlab::{Lab, Observed};

use crate::Here;

/// Policies tried by each run of the tests; EPOCHGATE_POLICIES asks for more.
const POLICIES: usize = 12;
/// Frames sent through the rules of each policy, beside those made for its rules.
const FRAMES: usize = 100;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial("nft::random_policies", random_policies),
        here.trial("nft::every_ruleset_lists", every_ruleset_lists),
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

/// Conditions that nft 1.0.6 once loaded as something else than was written.
fn once_wrong() -> Vec<Policy> {
    let test = |test| Condition::Test {
        test,
        span: Span::default(),
    };
    let one = |field, value| test(Test::Field(field, ValueSet::single(value)));
    let conditions = [
        // `sport != 5060 dport != 16384` became one test of both.
        Condition::Not(Box::new(Condition::Any(vec![
            one(Field::Sport, 5060),
            one(Field::Dport, 16384),
        ]))),
        // Behind `ether saddr`, `ip saddr` tested the outer ethertype.
        Condition::All(vec![one(Field::SrcMac, 1), one(Field::Src4, 2)]),
    ];
    let policies = conditions.map(|condition| Policy {
        rules: vec![Rule {
            verdict: Verdict::Bypass,
            condition,
            because: None,
            span: Span::default(),
        }],
        default: Verdict::Buffer,
        default_span: None,
        expectations: Vec::new(),
        gate: Gate::default(),
    });
    policies.into()
}

/// The policies of a test with their rules: those known to be hard, then random ones.
fn chosen(
    random: usize,
    policies: &impl Strategy<Value = Policy>,
    runner: &mut TestRunner,
) -> Result<Vec<(Policy, String)>, Failed> {
    let mut chosen = Vec::new();
    for policy in once_wrong() {
        let rules = nft::emit(&lower(&policy)?, &policy, &target())?;
        chosen.push((policy, rules));
    }
    for _ in 0..crate::number("EPOCHGATE_POLICIES", random) {
        chosen.push(expressible(policies, runner)?);
    }
    Ok(chosen)
}

/// Every ruleset loads, and what nft then lists, as text and as JSON, still means the policy.
fn every_ruleset_lists() -> Result<(), Failed> {
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb")?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rules.nft");
    let mut runner = runner();
    let policies = prop_oneof![policy(Terms::All, 12), tabular(Terms::All)];
    let mut chosen = chosen(40, &policies, &mut runner)?;
    for _ in 0..2 {
        chosen.push(expressible(&crowded(), &mut runner)?);
    }
    for (policy, rules) in chosen {
        fs::write(&file, &rules)?;
        lab.shell(&format!("nft -f {}", file.display()))
            .map_err(|error| format!("{error}\n{rules}"))?;
        let space = Space::new(1 << 20)?;
        let text = stdout(&lab, "nft list ruleset")?;
        let json = stdout(&lab, "nft -j list ruleset")?;
        let read = [
            (readback::read_text(&space, &text, "vif0"), &text),
            (readback::read_json(&space, &json, "vif0"), &json),
        ];
        for (outcome, listing) in read {
            let context = || format!("\nemitted:\n{rules}\nlisted:\n{listing}");
            let outcome = outcome.map_err(|error| format!("{error}{}", context()))?;
            if let Err(wrong) = verify_equivalent(&space, &policy, &outcome, &target().ifb)? {
                return Err(format!("{wrong:02x?}{}", context()).into());
            }
        }
    }
    Ok(())
}

fn stdout(lab: &Lab, command: &str) -> Result<String, Failed> {
    Ok(String::from_utf8(lab.shell(command)?.stdout)?)
}

/// Frames that a rule or the default decides: one of each kind, and each of them with single bits flipped, which
/// puts it across one border or another of the rules.
fn frames_at_the_rules(policy: &Policy, runner: &mut TestRunner) -> Result<Vec<Vec<u8>>, Failed> {
    let space = Space::new(1 << 20)?;
    let kinds = [space.tagged()?, space.complement(&space.tagged()?)?];
    let headers = [space.ip(Family::V4)?, space.ip(Family::V6)?, space.all()];
    let mut earlier = space.none();
    let mut frames = Vec::new();
    let conditions = policy.rules.iter().map(|rule| &rule.condition);
    for condition in conditions.chain([&Condition::Always]) {
        let matched = space.condition(condition)?;
        let decided = space.minus(&matched, &earlier)?;
        earlier = space.union(&earlier, &matched)?;
        for (kind, header) in kinds
            .iter()
            .flat_map(|k| headers.iter().map(move |h| (k, h)))
        {
            let some = space.intersection(&decided, &space.intersection(kind, header)?)?;
            frames.extend(space.witness(&some)?);
        }
    }
    let mut near = Vec::new();
    for frame in &frames {
        let bit = (0..frame.len().min(64) * 8, 0_u32..4);
        for (bit, cut) in vec(bit, 4).new_tree(runner)?.current() {
            let mut other = frame.clone();
            other[bit / 8] ^= 0x80 >> (bit % 8);
            if cut == 0 {
                other.truncate(frame.len().saturating_sub(1).max(14));
            }
            near.push(other);
        }
    }
    frames.extend(near);
    frames.sort();
    frames.dedup();
    Ok(frames)
}

fn random_policies() -> Result<(), Failed> {
    let mut runner = runner();
    let policies = prop_oneof![policy(Terms::All, 6), tabular(Terms::All)];
    let frames = vec(frame(), FRAMES);
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb; ip link set ifb0 arp off up")?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rules.nft");
    let (mut sent, mut sets, mut wrong) = (0, 0, Vec::new());
    for (policy, rules) in chosen(POLICIES, &policies, &mut runner)? {
        let mut frames = frames.new_tree(&mut runner)?.current();
        frames.extend(frames_at_the_rules(&policy, &mut runner)?);
        fs::write(&file, &rules)?;
        if let Err(error) = lab.shell(&format!("nft -f {}", file.display())) {
            return Err(format!("{error}\n{rules}").into());
        }
        sent += frames.len();
        sets += rules.matches("typeof").count();
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
    eprintln!("{sent} frames, {sets} named sets");
    match wrong.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} frames went wrong, the first: {first}", wrong.len()).into()),
    }
}

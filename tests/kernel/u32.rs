//! The u32 back end on the running kernel: tc loads what it writes, and each frame takes the path
//! that the policy says.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use compiler::backend::{Kind, Target, u32};
use compiler::device::Device;
use compiler::hook;
use compiler::lower::lower;
use compiler::script::{self, Parts};
use libtest_mimic::{Failed, Trial};
use policy_lang::classify;
use policy_lang::field::Field;
use policy_lang::policy::{Condition, Gate, Policy, Rule, Test, Verdict};
use policy_lang::source::Span;
use policy_lang::values::ValueSet;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, policy};
use tests::netlab::{Lab, Observed};

use crate::Here;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial("u32::random_policies_on_random_frames", random_policies),
        here.trial("u32::a_hundred_policies_load", a_hundred_policies_load),
        here.trial("u32::hashed_rules_on_frames", hashed_rules),
        here.trial(
            "u32::one_script_swaps_for_another",
            one_script_swaps_for_another,
        ),
        here.trial("u32::ten_thousand_rules_load", ten_thousand_rules_load),
    ]
}

fn target() -> Target {
    Target {
        vif: Device::new("vif0").expect("a device name"),
        ifb: Device::new("ifb0").expect("a device name"),
        header: vec![String::from("a test")],
    }
}

fn rules_for(policy: &Policy) -> String {
    let program = lower(policy).expect("a policy that can be lowered");
    u32::emit(&program, policy, &target()).expect("a policy that u32 can express")
}

/// Loads rules in place of all that were there.
fn load(lab: &Lab, rules: &str) -> Result<(), Failed> {
    lab.shell("tc qdisc del dev vif0 clsact 2>/dev/null || :; tc qdisc add dev vif0 clsact")?;
    let mut tc = lab
        .command("tc")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    tc.stdin
        .take()
        .expect("a pipe")
        .write_all(rules.as_bytes())?;
    let output = tc.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    for (line, number) in rules.lines().zip(1..) {
        let _ = writeln!(said, "{number}: {line}");
    }
    Err(said.into())
}

fn new_lab() -> Result<Lab, Failed> {
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb; ip link set ifb0 arp off up")?;
    Ok(lab)
}

/// Sends frames through the loaded rules of `policy` and compares each path with `classify`.
fn compare(lab: &Lab, policy: &Policy, rules: &str, frames: &[Vec<u8>]) -> Result<(), Failed> {
    let run = lab.run(Some("ifb0"), frames)?;
    if let Some(anomaly) = run.anomalies.first() {
        return Err(anomaly.as_str().into());
    }
    for (frame, observation) in frames.iter().zip(&run.observations) {
        let wanted = match classify(policy, frame).verdict {
            _ if !hook::reaches(frame) => Observed::Dropped,
            Verdict::Buffer => Observed::Held,
            Verdict::Bypass => Observed::Bypassed,
        };
        let observed = observation.observed;
        if observed != wanted && observed != Observed::Refused {
            return Err(format!(
                "{observed:?}, not {wanted:?}: {frame:02x?}\n{policy:#?}\n{rules}"
            )
            .into());
        }
    }
    Ok(())
}

/// Values that are the same in every run.
fn some<S: Strategy>(count: usize, strategy: &S) -> Vec<S::Value> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let mut one = || strategy.new_tree(&mut runner).expect("a value").current();
    (0..count).map(|_| one()).collect()
}

/// EPOCHGATE_POLICIES asks for more of them.
fn random_policies() -> Result<(), Failed> {
    let lab = new_lab()?;
    let frames = some(1500, &frame());
    for policy in some(
        crate::number("EPOCHGATE_POLICIES", 12),
        &policy(Terms::U32, 6),
    ) {
        let rules = rules_for(&policy);
        load(&lab, &rules)?;
        compare(&lab, &policy, &rules, &frames)?;
    }
    Ok(())
}

fn a_hundred_policies_load() -> Result<(), Failed> {
    let lab = new_lab()?;
    for policy in some(
        crate::number("EPOCHGATE_POLICIES", 100),
        &policy(Terms::U32, 6),
    ) {
        load(&lab, &rules_for(&policy))?;
    }
    Ok(())
}

fn rule(verdict: Verdict, tests: Vec<Test>) -> Rule {
    let span = Span::default();
    let tests = tests.into_iter().map(|test| Condition::Test { test, span });
    Rule {
        verdict,
        condition: Condition::All(tests.collect()),
        because: None,
        span,
    }
}

fn of_rules(rules: Vec<Rule>) -> Policy {
    Policy {
        rules,
        default: Verdict::Buffer,
        default_span: None,
        expectations: Vec::new(),
        gate: Gate::default(),
    }
}

/// Disjoint rules as a large installation has them: a subscriber's prefix and a port range each.
fn disjoint(count: u32) -> Policy {
    let rules = (0..count).map(|n| {
        let prefix = 0x0a00_0000 + (n << 8);
        let low = 16384 + 16 * (n % 1000);
        let verdict = if n % 7 == 3 {
            Verdict::Buffer
        } else {
            Verdict::Bypass
        };
        let source = ValueSet::range(prefix.into(), (prefix + 255).into());
        let port = ValueSet::range(low.into(), (low + 15).into());
        let udp = Test::Field(Field::Protocol, ValueSet::single(17));
        rule(
            verdict,
            vec![
                udp,
                Test::Field(Field::Dst4, source),
                Test::Field(Field::Dport, port),
            ],
        )
    });
    of_rules(rules.collect())
}

/// A plain UDP packet.
fn udp(destination: u32, port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 9, 9]);
    frame.extend(destination.to_be_bytes());
    frame.extend([0x40, 0]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    frame
}

/// Frames at the borders of each of many rules, in tables of tables.
fn hashed_rules() -> Result<(), Failed> {
    let lab = new_lab()?;
    let policy = disjoint(1000);
    let rules = rules_for(&policy);
    assert!(rules.contains("hashkey"), "1000 rules are a list");
    load(&lab, &rules)?;
    let frames: Vec<Vec<u8>> = (0..1000_u32)
        .flat_map(|n| {
            let (prefix, low) = (0x0a00_0000 + (n << 8), 16384 + 16 * (n % 1000) as u16);
            [
                (prefix, low),
                (prefix + 255, low + 15),
                (prefix, low - 1),
                (prefix + 7, low + 16),
            ]
        })
        .map(|(destination, port)| udp(destination, port))
        .collect();
    compare(&lab, &policy, &rules, &frames)
}

/// Filters with hash tables are changed for others whose tables have the same ids.
fn one_script_swaps_for_another() -> Result<(), Failed> {
    let lab = Lab::new()?;
    let directory = tempfile::tempdir()?;
    let write = |name: &str, policy: &Policy| {
        let target = target();
        let text = script::deploy(Parts {
            gate: script::Gate::Plug,
            target: &target,
            backend: Kind::U32,
            rules: &rules_for(policy),
            text: "",
            hash: name,
            limit: 1 << 20,
        })?;
        let file = directory.path().join(name);
        std::fs::write(&file, text)?;
        Ok::<_, Failed>(format!("sh {}", file.display()))
    };
    let (first, second) = (disjoint(300), disjoint(200));
    let (old, new) = (write("first", &first)?, write("second", &second)?);
    lab.shell(&format!("{old} apply"))?;
    let frames: Vec<Vec<u8>> = (0..300)
        .map(|n: u32| udp(0x0a00_0000 + (n << 8), 16384 + 16 * n as u16))
        .collect();
    compare(&lab, &first, "the first", &frames)?;
    lab.shell(&format!("{old} swap {}", new.trim_start_matches("sh ")))?;
    compare(&lab, &second, "the second", &frames)?;
    lab.shell(&format!("{new} swap {}", old.trim_start_matches("sh ")))?;
    compare(&lab, &first, "the first again", &frames)?;
    lab.shell(&format!("{old} remove"))?;
    Ok(())
}

fn ten_thousand_rules_load() -> Result<(), Failed> {
    let lab = new_lab()?;
    let policy = disjoint(10_000);
    let begin = Instant::now();
    let program = lower(&policy).expect("a policy that can be lowered");
    let lowered = begin.elapsed();
    let rules = u32::emit(&program, &policy, &target()).expect("a policy that u32 can express");
    let emitted = begin.elapsed() - lowered;
    load(&lab, &rules)?;
    let filters = rules
        .lines()
        .filter(|line| line.contains(" match "))
        .count();
    eprintln!(
        "10000 rules: lowered in {lowered:?}, {filters} filters written in {emitted:?}, loaded in {:?}",
        begin.elapsed() - emitted - lowered
    );
    Ok(())
}

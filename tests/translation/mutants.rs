//! A single wrong token in emitted rules never goes unseen.
//!
//! Random policies are compiled, one token of the rules is changed, and the result is read back.
//! Either it is not understood, or it still means the policy, or the difference comes with a frame
//! about which `classify` and the changed rules disagree.

use compiler::backend::{self, Kind, Target};
use compiler::compile::read_back;
use compiler::device::Device;
use compiler::hook::{delivered, reaches};
use compiler::lower::lower;
use compiler::readback::ReadbackError;
use compiler::verify::{Fate, fate, verify_equivalent};
use policy_lang::policy::{Policy, Verdict};
use policy_lang::{Space, classify};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::examples;
use tests::generate::policy::{Terms, crowded, policy};
use tests::mutate::mutant;

const MUTANTS: usize = 1_200;
const NODES: usize = 1 << 20;
const IFB: &str = "ifb-v";

#[derive(Debug, Default)]
struct Count {
    tried: usize,
    not_understood: usize,
    same: usize,
    caught: usize,
}

fn target() -> Target {
    let device = |name| Device::new(name).unwrap();
    Target {
        vif: device("v"),
        ifb: device(IFB),
        header: Vec::new(),
    }
}

fn emit(backend: Kind, policy: &Policy) -> Option<String> {
    backend::emit(backend, &lower(policy).ok()?, policy, &target()).ok()
}

fn judge(backend: Kind, policy: &Policy, mutant: &str, count: &mut Count) {
    count.tried += 1;
    let space = Space::new(NODES).unwrap();
    let outcome = match read_back(backend, &space, mutant, &target().vif) {
        Ok(outcome) => outcome,
        Err(ReadbackError::NotUnderstood { .. }) => {
            count.not_understood += 1;
            return;
        }
        Err(error @ ReadbackError::Full(_)) => panic!("{error}"),
    };
    match verify_equivalent(&space, policy, &outcome, &target().ifb).unwrap() {
        Ok(_) => {
            count.same += 1;
            let reached = delivered(&space).unwrap();
            let bypass = space.intersection(&outcome.bypass, &reached).unwrap();
            let meant = space.bypass_of(policy).unwrap();
            let meant = space.intersection(&meant, &reached).unwrap();
            assert!(space.difference(&bypass, &meant).unwrap().is_none());
        }
        Err(example) => {
            count.caught += 1;
            assert!(reaches(&example.frame));
            assert_eq!(classify(policy, &example.frame), example.policy);
            assert_eq!(fate(&space, &outcome, &example.frame), example.rules);
            let agrees = match example.policy.verdict {
                Verdict::Buffer => example.rules == Fate::Held(IFB.to_owned()),
                Verdict::Bypass => example.rules == Fate::Bypass,
            };
            assert!(!agrees, "{example:?} is no counterexample to\n{mutant}");
        }
    }
}

fn no_mutant_goes_unseen(backend: Kind) {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let mut policies: Vec<Policy> = examples::all().into_iter().map(|e| e.policy).collect();
    for _ in 0..40 {
        policies.push(
            policy(Terms::U32, 4)
                .new_tree(&mut runner)
                .unwrap()
                .current(),
        );
    }
    let emitted: Vec<(Policy, String)> = policies
        .into_iter()
        .filter_map(|p| Some((emit(backend, &p)?, p)))
        .map(|(t, p)| (p, t))
        .collect();
    let mut count = Count::default();
    while count.tried < MUTANTS {
        let (policy, text) = &emitted[count.tried % emitted.len()];
        let mutant = mutant(backend, text, runner.rng());
        judge(backend, policy, &mutant, &mut count);
    }
    println!("{backend}: {count:?}");
    assert!(
        count.caught > MUTANTS / 5,
        "too few mutants mean anything: {count:?}"
    );
}

#[test]
fn no_mutant_of_nft_rules_goes_unseen() {
    no_mutant_goes_unseen(Kind::Nft);
}

/// As above, of rules in parts: the map to the parts alone.
#[test]
fn no_mutant_of_a_map_to_parts_goes_unseen() {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[12; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let mut count = Count::default();
    for _ in 0..8 {
        let policy = crowded().new_tree(&mut runner).unwrap().current();
        let text = emit(Kind::Nft, &policy).unwrap();
        let line = text.find(" vmap {").expect("a map");
        let begin = text[..line].rfind('\n').expect("a line before");
        let end = begin + text[begin..].find("        }\n").expect("its end");
        let (before, map, after) = (&text[..begin], &text[begin..end], &text[end..]);
        for _ in 0..MUTANTS / 40 {
            let mutant = [before, &mutant(Kind::Nft, map, runner.rng()), after].concat();
            judge(Kind::Nft, &policy, &mutant, &mut count);
        }
    }
    println!("{count:?}");
    assert!(count.caught > count.tried / 5, "{count:?}");
}

#[test]
fn no_mutant_of_u32_rules_goes_unseen() {
    no_mutant_goes_unseen(Kind::U32);
}

#[test]
fn no_mutant_of_bpf_programs_goes_unseen() {
    no_mutant_goes_unseen(Kind::Bpf);
}

#[test]
fn no_mutant_of_flower_rules_goes_unseen() {
    no_mutant_goes_unseen(Kind::Flower);
}

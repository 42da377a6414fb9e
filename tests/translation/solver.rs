//! A solver that knows nothing of Epochgate comes to the same answers: about two policies, about a
//! condition, and about rules, also wrong ones. Its frames are judged again.

use compiler::backend::{Kind, Target};
use compiler::compile::read_back;
use compiler::hook::reaches;
use compiler::notation::Notation;
use compiler::readback::{Outcome, ReadbackError};
use compiler::smt::{Claim, differ, refuting, within};
use compiler::verify::{Fate, fate, in_space, verify_equivalent, verify_no_leak};
use policy_lang::classify::holds;
use policy_lang::packet::Packet;
use policy_lang::policy::{Condition, Policy, Verdict};
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, Space, SpaceFull, classify};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::generate::policy::{Terms, condition, policy, tabular};
use tests::generate::realistic;
use tests::mutate::mutant;
use tests::proof::{emit, target};
use tests::skip;
use tests::smt::{Answer, Solver};

use crate::proof::from_text;

/// Larger lists than these take a solver minutes.
const LONGEST: usize = 4_000;

const NODES: usize = 1 << 18;

fn runner(seed: u8) -> TestRunner {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    TestRunner::new_with_rng(Config::default(), seed)
}

fn drawn<S: Strategy>(of: &S, runner: &mut TestRunner) -> S::Value {
    of.new_tree(runner).unwrap().current()
}

fn solver(test: &str) -> Option<Solver> {
    match Solver::find() {
        Ok(solver) => {
            println!("{}", solver.version);
            Some(solver)
        }
        Err(why) => {
            skip(test, &why.to_string());
            None
        }
    }
}

/// The same in other words: every condition denied twice, its parts the other way round.
fn reworded(of: &Condition) -> Condition {
    let not = |inner| Condition::Not(Box::new(inner));
    let parts = |parts: &[Condition]| parts.iter().rev().map(|p| not(reworded(p))).collect();
    match of {
        Condition::All(inner) => not(Condition::Any(parts(inner))),
        Condition::Any(inner) => not(Condition::All(parts(inner))),
        Condition::Not(inner) => not(reworded(inner)),
        Condition::Always | Condition::Test { .. } => not(not(of.clone())),
    }
}

/// A policy that is near another one; every other one is equal to it.
fn neighbour(of: &Policy, number: usize, runner: &mut TestRunner) -> Policy {
    let mut new = of.clone();
    for rule in &mut new.rules {
        rule.condition = reworded(&rule.condition);
    }
    if number % 2 == 1 && !new.rules.is_empty() {
        let at = runner.rng().random_range(0..new.rules.len());
        match runner.rng().random_range(0..3) {
            0 => drop(new.rules.remove(at)),
            1 => new.rules.swap(0, at),
            _ => new.rules[at].condition = drawn(&condition(Terms::All), runner),
        }
    }
    new
}

#[test]
fn a_solver_agrees_about_changes_of_policies_and_conditions() {
    let Some(solver) = solver("a_solver_agrees_about_changes_of_policies_and_conditions") else {
        return;
    };
    let mut runner = runner(21);
    let (mut equal, mut unequal) = (0, 0);
    for number in 0.. {
        if equal >= 6 && unequal >= 6 {
            break;
        }
        let old = if number % 5 == 4 {
            drawn(&tabular(Terms::All), &mut runner)
        } else {
            drawn(&policy(Terms::All, 4), &mut runner)
        };
        let new = neighbour(&old, number, &mut runner);
        let space = Space::new(NODES).unwrap();
        let same = space.bypass_of(&old).unwrap() == space.bypass_of(&new).unwrap();
        match solver.ask(&differ(&old, &new)) {
            Answer::Unsat => assert!(same, "{old:#?}\n{new:#?}"),
            Answer::Sat(frame) => {
                assert!(!same, "{frame:02x?}\n{old:#?}\n{new:#?}");
                let [was, is] = [&old, &new].map(|policy| classify(policy, &frame).verdict);
                assert_ne!(was, is, "{frame:02x?}\n{old:#?}\n{new:#?}");
            }
        }
        if same {
            equal += 1;
        } else {
            unequal += 1;
        }
        let asked = drawn(&condition(Terms::All), &mut runner);
        for verdict in [Verdict::Bypass, Verdict::Buffer] {
            let described = space.condition(&asked).unwrap();
            let bypass = space.bypass_of(&old).unwrap();
            let set = match verdict {
                Verdict::Bypass => space.intersection(&described, &bypass).unwrap(),
                Verdict::Buffer => space.minus(&described, &bypass).unwrap(),
            };
            match solver.ask(&within(&asked, &old, verdict)) {
                Answer::Unsat => assert!(set.is_empty(), "{asked:#?}\n{old:#?}"),
                Answer::Sat(frame) => {
                    assert!(!set.is_empty());
                    assert!(
                        holds(&asked, Packet::new(&frame)),
                        "{frame:02x?}\n{asked:#?}"
                    );
                    assert_eq!(
                        classify(&old, &frame).verdict,
                        verdict,
                        "{frame:02x?}\n{old:#?}"
                    );
                }
            }
        }
    }
    println!("{equal} equal, {unequal} not");
}

/// Lengths at which a header ends or nearly does, for frames without a tag and with one: Ethernet, IPv4 with
/// and without options, IPv6, and behind each of them what asks for 8, 12, 13 and 20 bytes.
fn borders() -> impl Iterator<Item = usize> {
    let ends = [14, 18, 34, 38, 42, 46, 47, 54, 58, 62, 74, 75];
    ends.into_iter().flat_map(|end| [end - 1, end, end + 1])
}

/// The frames of exactly so many bytes, tag or not.
fn of_length(space: &Space, bytes: usize) -> PacketSet {
    let behind = |head: usize| match bytes.checked_sub(head) {
        Some(rest) => space.length_in(&ValueSet::single(rest as u128)).unwrap(),
        None => space.none(),
    };
    let tagged = space.tagged().unwrap();
    let with = space.intersection(&behind(18), &tagged).unwrap();
    let without = space.minus(&behind(14), &tagged).unwrap();
    let any = space.union(&with, &without).unwrap();
    space.intersection(&any, &space.all()).unwrap()
}

#[test]
fn a_solver_agrees_about_frames_cut_at_each_border() {
    let Some(solver) = solver("a_solver_agrees_about_frames_cut_at_each_border") else {
        return;
    };
    let mut runner = runner(26);
    let (mut some, mut none) = (0, 0);
    for _ in 0..4 {
        let policy = drawn(&policy(Terms::All, 4), &mut runner);
        let space = Space::new(NODES).unwrap();
        let bypass = space.bypass_of(&policy).unwrap();
        let always = Condition::Always;
        let question = within(&always, &policy, Verdict::Bypass);
        for bytes in borders() {
            let cut = format!("(assert (= len #x{bytes:04x}))\n(check-sat)");
            assert_eq!(question.matches("(check-sat)").count(), 1);
            let asked = question.replace("(check-sat)", &cut);
            let set = space
                .intersection(&bypass, &of_length(&space, bytes))
                .unwrap();
            match solver.ask(&asked) {
                Answer::Unsat => {
                    assert!(set.is_empty(), "{bytes} bytes\n{policy:#?}");
                    none += 1;
                }
                Answer::Sat(frame) => {
                    assert_eq!(frame.len(), bytes);
                    assert!(space.contains(&set, &frame), "{frame:02x?}\n{policy:#?}");
                    assert_eq!(classify(&policy, &frame).verdict, Verdict::Bypass);
                    some += 1;
                }
            }
        }
    }
    println!("{some} lengths with a frame, {none} without");
    assert!(some > 0 && none > 0);
}

#[derive(Debug, Default)]
struct Count {
    right: usize,
    still_right: usize,
    wrong: usize,
    leaks: usize,
    not_understood: usize,
}

/// Asks both about one text of rules: whether each claim is true.
fn judge(solver: &Solver, kind: Kind, policy: &Policy, rules: &str) -> Option<[bool; 2]> {
    let answers = in_space(|space| {
        let outcome = read_back(kind, space, rules, &target().vif)?;
        let [mut leak, mut wrong] = [None, None];
        for (claim, proved) in [(Claim::NoLeak, &mut leak), (Claim::Equal, &mut wrong)] {
            *proved = Some(agreed(
                solver,
                (space, &outcome),
                claim,
                policy,
                (kind, rules),
            )?);
        }
        Ok([leak, wrong].map(Option::unwrap))
    });
    match answers {
        Ok(proved) => Some(proved),
        Err(ReadbackError::NotUnderstood { .. }) => None,
        Err(full @ ReadbackError::Full(_)) => panic!("{full}"),
    }
}

/// Whether a claim is true; fails if the solver says otherwise, or its frame shows nothing.
fn agreed(
    solver: &Solver,
    (space, outcome): (&Space, &Outcome),
    claim: Claim,
    policy: &Policy,
    (kind, rules): (Kind, &str),
) -> Result<bool, SpaceFull> {
    let Target { vif, ifb, .. } = target();
    let verified = match claim {
        Claim::NoLeak => verify_no_leak(space, policy, outcome)?,
        Claim::Equal => verify_equivalent(space, policy, outcome, &ifb)?,
    };
    let question = refuting(claim, policy, rules, Notation::made_by(kind), (&vif, &ifb));
    let told = || format!("{claim:?} {verified:?}\n{policy:#?}\n{rules}");
    if let Answer::Sat(frame) = solver.ask(&question.unwrap()) {
        let done = fate(space, outcome, &frame);
        let right = match (classify(policy, &frame).verdict, claim) {
            (Verdict::Buffer, Claim::NoLeak) => !matches!(done, Fate::Bypass | Fate::Unsure),
            (Verdict::Bypass, Claim::NoLeak) => true,
            (Verdict::Buffer, Claim::Equal) => done == Fate::Held(ifb.as_str().to_owned()),
            (Verdict::Bypass, Claim::Equal) => done == Fate::Bypass,
        };
        assert!(
            !right && reaches(&frame),
            "{frame:02x?} {done:?} {}",
            told()
        );
        assert!(verified.is_err(), "{frame:02x?} {done:?} {}", told());
    } else {
        assert!(verified.is_ok(), "{}", told());
    }
    Ok(verified.is_ok())
}

/// Rules of random policies, and these rules with one wrong token each.
fn agrees_about_rules(test: &str, kind: Kind, seed: u8) {
    let Some(solver) = solver(test) else { return };
    let mut runner = runner(seed);
    let mut count = Count::default();
    let terms = if kind == Kind::Nft {
        Terms::All
    } else {
        Terms::U32
    };
    for number in 0.. {
        if count.right >= 5 && count.wrong >= 5 && count.leaks >= 2 {
            break;
        }
        let policy = if number % 4 == 3 {
            drawn(&tabular(terms), &mut runner)
        } else {
            drawn(&policy(terms, 4), &mut runner)
        };
        let Ok(rules) = emit(kind, &policy) else {
            continue;
        };
        if rules.len() > LONGEST {
            continue;
        }
        assert_eq!(judge(&solver, kind, &policy, &rules), Some([true; 2]));
        count.right += 1;
        for _ in 0..3 {
            let wrong = mutant(kind, &rules, runner.rng());
            match judge(&solver, kind, &policy, &wrong) {
                None => count.not_understood += 1,
                Some([_, true]) => count.still_right += 1,
                Some([no_leak, false]) => {
                    count.wrong += 1;
                    count.leaks += usize::from(!no_leak);
                }
            }
        }
    }
    println!("{kind}: {count:?}");
}

#[test]
fn a_solver_agrees_about_nft_rules() {
    agrees_about_rules("a_solver_agrees_about_nft_rules", Kind::Nft, 22);
}

/// Rules in parts, and such with another part in the place of one.
#[test]
fn a_solver_agrees_about_nft_rules_in_parts() {
    let Some(solver) = solver("a_solver_agrees_about_nft_rules_in_parts") else {
        return;
    };
    let policy = from_text(&realistic::prefixes(140, Verdict::Bypass));
    let rules = emit(Kind::Nft, &policy).unwrap();
    assert_eq!(judge(&solver, Kind::Nft, &policy, &rules), Some([true; 2]));
    for (right, wrong, no_leak) in [
        ("10.0.64.0 : goto v4_udp_part2", "10.0.64.0 : accept", false),
        ("255.255.192.0 vmap", "255.255.128.0 vmap", true),
    ] {
        assert!(rules.contains(right), "{rules}");
        let rules = rules.replacen(right, wrong, 1);
        let found = judge(&solver, Kind::Nft, &policy, &rules);
        assert_eq!(found, Some([no_leak, false]), "{wrong}");
    }
}

#[test]
fn a_solver_agrees_about_u32_rules() {
    agrees_about_rules("a_solver_agrees_about_u32_rules", Kind::U32, 23);
}

#[test]
fn a_solver_agrees_about_bpf_programs() {
    agrees_about_rules("a_solver_agrees_about_bpf_programs", Kind::Bpf, 24);
}

#[test]
fn a_solver_agrees_about_flower_rules() {
    agrees_about_rules("a_solver_agrees_about_flower_rules", Kind::Flower, 25);
}

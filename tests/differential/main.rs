//! The differential test: every back end on every kernel that can be had, frame by frame.
//!
//! LAB_TARGET picks one kernel (see docs/lab.md). What can't be had is skipped aloud; with
//! EPOCHGATE_KERNEL=require it is a failure. `cargo xtask soak` is the same with more frames.

use std::path::Path;
use std::time::Instant;

use compiler::backend::Kind;
use tests::differential::batch::Case;
use tests::differential::ground::{self, Named};
use tests::differential::pair;
use tests::differential::wrong::{self, Wrong};
use tests::lab::Target;

/// Distinct frames per pair.
const FRAMES: usize = 200_000;
/// The same frames each time.
const SEED: u64 = 7;
/// Mutants per back end and kernel.
const MUTANTS: usize = 300;
/// Mutants that go to a kernel in one piece.
const TOGETHER: usize = 50;

/// The kernels that are wanted and can be had.
fn grounds(name: &str) -> Vec<Named> {
    opened(name, &ground::wanted().expect("a good LAB_TARGET"))
}

fn opened(name: &str, targets: &[Target]) -> Vec<Named> {
    let program = Path::new(env!("CARGO_BIN_EXE_lab-differential"));
    let mut grounds = Vec::new();
    for &target in targets {
        match ground::open(target, program).expect("the lab works where it can be had") {
            Ok(ground) => grounds.push(ground),
            Err(why) if std::env::var_os("EPOCHGATE_KERNEL").is_some_and(|v| v == "require") => {
                panic!("{target} can't be had: {why}");
            }
            Err(why) => tests::skip(&format!("{name} on {target}"), &why),
        }
    }
    grounds
}

fn every_frame_takes_its_way(backend: Kind) {
    let mut grounds = grounds(&format!("differential test of {backend}"));
    let begin = Instant::now();
    let tallies = pair::run(&mut grounds, backend, FRAMES, SEED, |_| {}).unwrap();
    for ((target, _), tally) in grounds.iter().zip(&tallies) {
        println!("pair {backend} x {target}: {tally}");
    }
    println!("{backend}: {} s", begin.elapsed().as_secs());
    for ((target, _), tally) in grounds.iter().zip(&tallies) {
        let told = tally.told.join("\n");
        assert!(tally.is_clean(), "{backend} x {target}: {tally}\n{told}");
    }
}

#[test]
fn every_frame_takes_its_way_under_nft() {
    every_frame_takes_its_way(Kind::Nft);
}

#[test]
fn every_frame_takes_its_way_under_u32() {
    every_frame_takes_its_way(Kind::U32);
}

/// What our read-back says about wrong rules, the kernels do: also where it says that a changed token
/// makes no difference.
fn wrong_rules_do_what_the_read_back_says(backend: Kind) {
    let mutants = wrong::mutants(backend, SEED, MUTANTS);
    let cases: Vec<Case> = mutants.iter().map(|wrong| wrong.case.clone()).collect();
    for (target, mut ground) in grounds(&format!("wrong {backend} rules")) {
        let (mut loaded, mut same) = (0, 0);
        for (cases, mutants) in cases.chunks(TOGETHER).zip(mutants.chunks(TOGETHER)) {
            let answer = ground.put(cases).unwrap();
            for (answered, wrong) in answer.cases.iter().zip(mutants) {
                // The kernel may refuse what the read-back understands; then nothing is loaded.
                if answered.failure.is_some() {
                    continue;
                }
                assert!(
                    answered.counts.differences == 0,
                    "{target}: {answered}\n{}",
                    wrong.case.rules
                );
                loaded += 1;
                same += usize::from(wrong.same);
            }
        }
        println!(
            "mutants {backend} x {target}: {loaded} of {} loaded, {same} of them mean the same, \
             all do what the read-back says",
            cases.len()
        );
        assert!(loaded > MUTANTS / 2, "the kernel loads too few mutants");
    }
}

#[test]
fn wrong_nft_rules_do_what_the_read_back_says() {
    wrong_rules_do_what_the_read_back_says(Kind::Nft);
}

#[test]
fn wrong_u32_rules_do_what_the_read_back_says() {
    wrong_rules_do_what_the_read_back_says(Kind::U32);
}

/// The test itself can fail: rules with a mistake are put in place of the right ones.
fn a_planted_wrong_rule_is_found(backend: Kind) {
    let mutants = wrong::mutants(backend, SEED, 60);
    let planted = mutants.into_iter().filter(|wrong| !wrong.same);
    let cases: Vec<Case> = planted
        .map(
            |Wrong {
                 mut case, meant, ..
             }| {
                case.shots = meant;
                case
            },
        )
        .collect();
    let name = format!("planted wrong {backend} rules");
    let Some((target, mut ground)) = opened(&name, &[Target::Namespace]).pop() else {
        return;
    };
    let answer = ground.put(&cases).unwrap();
    let loaded = answer.cases.iter().filter(|case| case.failure.is_none());
    let loaded: Vec<_> = loaded.collect();
    assert!(loaded.len() > 10, "the kernel loads too few mutants");
    for case in &loaded {
        assert!(case.counts.differences > 0, "{target}: not found: {case}");
        assert!(!case.differences.is_empty());
    }
    println!(
        "{target}: {} planted wrong {backend} rules, each found",
        loaded.len()
    );
}

#[test]
fn a_planted_wrong_nft_rule_is_found() {
    a_planted_wrong_rule_is_found(Kind::Nft);
}

#[test]
fn a_planted_wrong_u32_rule_is_found() {
    a_planted_wrong_rule_is_found(Kind::U32);
}

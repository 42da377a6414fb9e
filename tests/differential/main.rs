//! The differential test: every back end on every kernel that can be had, frame by frame.
//!
//! LAB_TARGET picks one kernel (see docs/lab.md). What can't be had is skipped aloud; with
//! EPOCHGATE_KERNEL=require it is a failure. `cargo xtask soak` is the same with more frames.

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Instant;

use compiler::backend::Kind;
use tests::differential::batch::Case;
use tests::differential::ground::{self, Ground, Named};
use tests::differential::pair;
use tests::differential::way::Way;
use tests::differential::wrong::{self, Wrong};
use tests::lab::Target;

/// Distinct frames per pair.
const FRAMES: usize = 200_000;
/// The same frames each time.
const SEED: u64 = 7;
/// Mutants per back end and kernel.
const MUTANTS: usize = 300;
/// The same in a guest, where each costs a tenth of a second and more.
const IN_GUESTS: usize = 100;
/// Mutants that go to a kernel in one piece.
const TOGETHER: usize = 50;

/// Those of these kernels that can be had and have what these rules are made of.
fn grounds(name: &str, targets: &[Target], backend: Kind) -> Vec<Named> {
    let program = Path::new(env!("CARGO_BIN_EXE_lab-differential"));
    let mut grounds = Vec::new();
    for &target in targets {
        let opened = ground::open(target, program).expect("the lab works where it can be had");
        let taken = opened.and_then(|(target, mut ground)| {
            let taken = ground::takes(ground.as_mut(), backend).expect("an answer");
            taken.map(|()| (target, ground))
        });
        match taken {
            Ok(ground) => grounds.push(ground),
            Err(why) if std::env::var_os("EPOCHGATE_KERNEL").is_some_and(|v| v == "require") => {
                panic!("{backend} x {target} can't be had: {why}");
            }
            Err(why) => tests::skip(&format!("{name} on {target}"), &why),
        }
    }
    grounds
}

/// Both parts use the same guests: to boot one takes longer than a thousand frames.
fn rules_on_every_kernel(backend: Kind) {
    let wanted = ground::wanted().expect("a good LAB_TARGET");
    let name = format!("differential test of {backend}");
    let mut grounds = grounds(&name, &wanted, backend);
    every_frame_takes_its_way(backend, &mut grounds);
    wrong_rules_do_what_the_read_back_says(backend, &mut grounds);
}

#[test]
fn nft_rules_on_every_kernel() {
    rules_on_every_kernel(Kind::Nft);
}

#[test]
fn u32_rules_on_every_kernel() {
    rules_on_every_kernel(Kind::U32);
}

#[test]
fn bpf_programs_on_every_kernel() {
    rules_on_every_kernel(Kind::Bpf);
}

#[test]
fn flower_rules_on_every_kernel() {
    rules_on_every_kernel(Kind::Flower);
}

/// The counts are wanted of good runs too, whose output the test harness keeps to itself when it goes
/// through `print`.
fn say(line: &str) {
    // If nobody reads it, the test is as good.
    let _ = writeln!(io::stdout(), "{line}");
}

fn every_frame_takes_its_way(backend: Kind, grounds: &mut [Named]) {
    let begin = Instant::now();
    let mut all: Vec<&mut Named> = grounds.iter_mut().collect();
    let tallies = pair::run(&mut all, backend, FRAMES, SEED, |_| {}).unwrap();
    for ((target, _), tally) in grounds.iter().zip(&tallies) {
        say(&format!("pair {backend} x {target}: {tally}"));
    }
    say(&format!("{backend}: {} s", begin.elapsed().as_secs()));
    for ((target, _), tally) in grounds.iter().zip(&tallies) {
        let told = tally.told.join("\n");
        assert!(tally.is_clean(), "{backend} x {target}: {tally}\n{told}");
    }
}

/// What our read-back says about wrong rules, the kernels do: also where it says that a changed token
/// makes no difference.
fn wrong_rules_do_what_the_read_back_says(backend: Kind, grounds: &mut [Named]) {
    let mutants = &wrong::mutants(backend, SEED, MUTANTS);
    thread::scope(|scope| {
        for (target, ground) in grounds {
            let some = match target {
                Target::Qemu(_) => &mutants[..IN_GUESTS],
                _ => mutants,
            };
            scope.spawn(move || hold_against(some, *target, ground.as_mut()));
        }
    });
}

fn hold_against(mutants: &[Wrong], target: Target, ground: &mut dyn Ground) {
    let (mut loaded, mut same) = (0, 0);
    for some in mutants.chunks(TOGETHER) {
        let cases: Vec<Case> = some.iter().map(|wrong| wrong.case.clone()).collect();
        let answer = ground.put(&cases).unwrap();
        assert_eq!(answer.cases.len(), cases.len());
        for (answered, wrong) in answer.cases.iter().zip(some) {
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
    say(&format!(
        "{} mutants x {target}: {loaded} loaded, {same} of them mean the same, all do what the \
         read-back says",
        mutants.len()
    ));
    assert!(
        loaded > mutants.len() / 2,
        "the kernel loads too few mutants"
    );
}

/// The test itself can fail: rules with a mistake are put in place of the right ones.
fn a_planted_wrong_rule_is_found(backend: Kind) {
    let mutants = wrong::mutants(backend, SEED, 60);
    // Not those about which only the kernels differ: here is one kernel.
    let changed = |wrong: &Wrong| {
        let mut pairs = wrong.case.shots.iter().zip(&wrong.meant);
        pairs.any(|(does, meant)| meant.way != Way::Nowhere && does.fate != meant.fate)
    };
    let planted = mutants.into_iter().filter(changed);
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
    let Some((target, mut ground)) = grounds(&name, &[Target::Namespace], backend).pop() else {
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

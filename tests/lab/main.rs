//! The tests that need a kernel, run on Debian's kernels in QEMU guests: every trial of `kernel` that
//! makes sense there, once per kernel, as `qemu:6.1::script::twice_is_as_good_as_once_nft`.
//!
//! LAB_TARGET chooses targets, separated by commas: `model` plays the scenarios on the reference
//! model, `namespace` runs the trials on this machine's kernel, as the test `kernel` always does.
//! A kernel that can't be had is skipped aloud.

mod guests;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tests::lab::{Kernel, LabError, Target, build};
use tests::scenario::model::Model;
use tests::scenario::{Scenario, play, set};

use guests::{Group, Guests, Outcome};

/// How the names of those trials begin that run in guests when nobody asks for others, by a filter or
/// with LAB_FULL=1, and the kernels that they run on: what is about the gate itself. In a guest every
/// instruction is emulated, and all trials together take longer than a change should wait for.
const USUAL: [(&str, &[Kernel]); 14] = [
    ("modules::", &[Kernel::V6_1, Kernel::V6_12]),
    ("lab::", &Kernel::ALL),
    ("module::", &Kernel::ALL),
    ("scenario::", &Kernel::ALL),
    ("lockstep::", &Kernel::ALL),
    ("measured::", &[Kernel::V6_1]),
    ("gate::", &[Kernel::V6_1, Kernel::V6_12]),
    ("fire::", &[Kernel::V6_1, Kernel::V6_12]),
    // Kernels made for containers have no cls_flower.
    ("examples::voip.gate_flower", &[Kernel::V6_1, Kernel::V7]),
    ("script::twice_is_as_good_as_once_flower", &[Kernel::V6_12]),
    ("xen::stock_rule", &[Kernel::V6_12]),
    ("xen::keeps_the_contract", &[Kernel::V6_12]),
    ("xen::what_is_held", &[Kernel::V6_12]),
    ("xen::several_vifs", &[Kernel::V6_12]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let targets = match targets() {
        Ok(targets) => targets,
        Err(error) => {
            eprintln!("LAB_TARGET: {error}");
            return ExitCode::FAILURE;
        }
    };
    let kernels: Vec<Kernel> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Qemu(kernel) => Some(*kernel),
            _ => None,
        })
        .collect();
    let (program, epochgate) = match programs() {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let all = arguments.filter.is_some() || std::env::var_os("LAB_FULL").is_some();
    let names = trials_of(&program);
    let wanted: BTreeMap<Kernel, Vec<Group>> = kernels
        .iter()
        .map(|&kernel| {
            let usual = names.iter().filter(|name| all || is_usual(name, kernel));
            let asked = usual.filter(|name| is_asked_for(name, kernel, &arguments));
            (kernel, groups(asked))
        })
        .collect();
    let mut trials = Vec::new();
    let init = PathBuf::from(env!("CARGO_BIN_EXE_lab-init"));
    let guests = Guests::new(init, program.clone(), epochgate, all, wanted.clone());
    let guests = Arc::new(guests);
    for (&kernel, groups) in &wanted {
        let names = groups.iter().flatten();
        trials.extend(names.map(|name| trial(&guests, kernel, name)));
    }
    if targets.contains(&Target::Model) {
        trials.extend(set::ALL.iter().map(on_the_model));
    }
    if targets.contains(&Target::Namespace) {
        trials.extend(names.iter().map(|name| here(&program, name)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let closed = Arc::into_inner(guests).map(Guests::close);
    if let Some(Err(error)) = closed {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// The program with the trials, and the one that some of them start.
fn programs() -> Result<(PathBuf, PathBuf), LabError> {
    let trials = ["test", "--package", "tests", "--test", "kernel", "--no-run"];
    let epochgate = ["build", "--package", "compiler", "--bin", "epochgate"];
    Ok((
        build::one(&trials, "kernel")?,
        build::one(&epochgate, "epochgate")?,
    ))
}

/// The targets of LAB_TARGET, or all but those that another test sees to.
fn targets() -> Result<Vec<Target>, String> {
    match std::env::var("LAB_TARGET") {
        Ok(list) => list.split(',').map(str::parse).collect(),
        Err(_) => Ok(Target::ALL
            .into_iter()
            .filter(|target| *target != Target::Namespace)
            .collect()),
    }
}

/// The names of the trials in a test program.
fn trials_of(program: &Path) -> Vec<String> {
    let listing = Command::new(program).arg("--list").output();
    let listing = listing.expect("the test program of `kernel` starts");
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let names = listing
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

fn is_usual(name: &str, kernel: Kernel) -> bool {
    let is =
        |(begin, kernels): &(&str, &[Kernel])| name.starts_with(begin) && kernels.contains(&kernel);
    USUAL.iter().any(is)
}

/// Whether the arguments ask for this trial on this kernel, as they will be understood once more.
fn is_asked_for(name: &str, kernel: Kernel, arguments: &Arguments) -> bool {
    let full = format!("{kernel}::{name}");
    let is = |pattern: &String| match arguments.exact {
        true => *pattern == full,
        false => full.contains(pattern),
    };
    arguments.filter.as_ref().is_none_or(is) && !arguments.skip.iter().any(is)
}

/// Trials by module, in their order.
fn groups<'a>(names: impl Iterator<Item = &'a String>) -> Vec<Group> {
    fn module(name: &str) -> Option<&str> {
        name.split("::").next()
    }
    let mut groups: Vec<Group> = Vec::new();
    for name in names {
        let same = |group: &&mut Group| group.first().is_some_and(|f| module(f) == module(name));
        match groups.iter_mut().find(same) {
            Some(group) => group.push(name.clone()),
            None => groups.push(vec![name.clone()]),
        }
    }
    groups
}

fn trial(guests: &Arc<Guests>, kernel: Kernel, name: &str) -> Trial {
    let (guests, own_name) = (Arc::clone(guests), name.to_owned());
    Trial::test(format!("{kernel}::{name}"), move || {
        match guests.outcome(kernel, &own_name) {
            Outcome::Ran(verdict) => Ok(verdict?),
            Outcome::Skipped(reason) => {
                tests::skip(&format!("{kernel}::{own_name}"), &reason);
                Ok(())
            }
        }
    })
}

/// A scenario on the reference model.
fn on_the_model(scenario: &'static Scenario) -> Trial {
    let name = format!("{}::scenario::{}", Target::Model, scenario.name);
    Trial::test(name, || Ok(play(scenario, &mut Model::default())?))
}

/// A trial on this machine's own kernel.
fn here(program: &Path, name: &str) -> Trial {
    let (program, own_name) = (program.to_owned(), name.to_owned());
    Trial::test(format!("{}::{name}", Target::Namespace), move || {
        let output = Command::new(program)
            .env("EPOCHGATE_TRIALS", &own_name)
            .output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Skips are said there.
        eprint!("{stderr}");
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stdout).into_owned().into()),
        }
    })
}

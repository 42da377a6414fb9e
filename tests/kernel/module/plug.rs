//! In the place of `sch_plug`, driven by stock `tc`: every scenario of the gate gives what it gives on
//! plug, but those that show a fault; and their cures, which on plug itself must fail.

use std::path::Path;

use compiler::backend::Kind;
use libtest_mimic::Failed;
use tests::kmod::load::{Module, insert, remove};
use tests::kmod::{IN_GUEST, PLUG_IN_GUEST, cures};
use tests::netlab::Lab;
use tests::scenario::{Scenario, kernel, set};

fn play(scenario: &Scenario) -> Result<(), String> {
    let lab = Lab::new().map_err(|e| e.to_string())?;
    let played = kernel::run(&lab, scenario, Kind::U32);
    // What is held would keep the namespace alive, and that the module.
    let _ = lab.direct("tc", "qdisc del dev ifb0 root");
    played
}

/// Does something with ours under the name of plug, and puts the kernel's own back.
fn in_its_place(work: impl FnOnce() -> Result<(), String>) -> Result<(), Failed> {
    remove(c"sch_plug")?;
    let done = Module::load(Path::new(IN_GUEST), "plug").and_then(|module| {
        let done = work();
        module.unload().and(done)
    });
    insert(Path::new(PLUG_IN_GUEST), c"")?;
    Ok(done?)
}

pub(super) fn scenarios() -> Result<(), Failed> {
    let same = set::ALL.iter().filter(|one| cures::plays_as_on_plug(one));
    in_its_place(|| all(same))
}

pub(super) fn cures() -> Result<(), Failed> {
    let cured = || cures::ALL.iter().map(|cure| &cure.scenario);
    for scenario in cured() {
        if play(scenario).is_ok() {
            return Err(format!("{}: plug itself does so", scenario.name).into());
        }
    }
    in_its_place(|| all(cured()))
}

/// Plays all of them, and says of each that went otherwise how.
fn all<'a>(scenarios: impl Iterator<Item = &'a Scenario>) -> Result<(), String> {
    let (mut played, mut wrong) = (0, Vec::new());
    for scenario in scenarios {
        played += 1;
        if let Err(what) = play(scenario) {
            wrong.push(format!("{}: {what}", scenario.name));
        }
    }
    eprintln!("{played} scenarios, {} otherwise", wrong.len());
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

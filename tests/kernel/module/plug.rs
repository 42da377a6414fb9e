//! In the place of `sch_plug`, driven by stock `tc`: the scenarios of the gate give what they give on
//! plug, but for its faults; and the cures, which on plug itself must fail.

use std::path::Path;

use compiler::backend::Kind;
use libtest_mimic::Failed;
use tests::kmod::load::{Module, insert, remove};
use tests::kmod::{IN_GUEST, PLUG_IN_GUEST, cures};
use tests::netlab::Lab;
use tests::scenario::{Scenario, kernel, set};

/// Those of the set that are about the qdisc itself, and not about who brings the packets.
const SAME: [&str; 12] = [
    "plug_starts_closed",
    "the_limit_can_come_before_the_action_when_added",
    "without_a_limit_it_is_that_of_the_device",
    "a_change_without_words_does_nothing",
    "the_limit_is_in_bytes",
    "a_lower_limit_keeps_what_is_held",
    "without_block_a_release_lets_nothing_out",
    "each_release_lets_one_epoch_out",
    "a_second_release_lets_nothing_out",
    "opened_it_lets_all_out_until_blocked",
    "a_flap_does_not_close_an_open_gate",
    "a_swap_changes_the_rules_and_holds_what_is_held",
];

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
    in_its_place(|| {
        for name in SAME {
            let scenario = set::ALL.iter().find(|scenario| scenario.name == name);
            let scenario = scenario.ok_or_else(|| format!("no scenario `{name}`"))?;
            play(scenario).map_err(|what| format!("{name}: {what}"))?;
        }
        Ok(())
    })
}

pub(super) fn cures() -> Result<(), Failed> {
    for scenario in cures::ALL {
        if play(scenario).is_ok() {
            return Err(format!("{}: plug itself does so", scenario.name).into());
        }
    }
    in_its_place(|| {
        for scenario in cures::ALL {
            play(scenario).map_err(|what| format!("{}: {what}", scenario.name))?;
        }
        Ok(())
    })
}

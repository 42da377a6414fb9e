//! What the module does in the place of `sch_plug` where plug has a fault: scenarios that fail on plug
//! and on its model, and pass on the module.

use qdisc_model::command::Verb::{Add, Change};

use crate::scenario::Link::{Down, Up};
use crate::scenario::Step::{Drops, Foreign, Held, Ifb, Lost, Out, Rules, Send, Tc};
use crate::scenario::{Scenario, Step};

const VOICE: &str = "bypass udp dport 16384-32767;";

/// A fault, and what is so without it.
#[derive(Clone, Copy, Debug)]
pub struct Cure {
    /// The scenario of the set that shows the fault on plug. All others of the set go the same way on
    /// the module, see [`plays_as_on_plug`].
    pub instead_of: &'static str,
    /// What happens on the module.
    pub scenario: Scenario,
}

/// Whether a scenario of the set goes on the module as it goes on plug.
#[must_use]
pub fn plays_as_on_plug(scenario: &Scenario) -> bool {
    ALL.iter().all(|cure| cure.instead_of != scenario.name)
}

const fn cure(instead_of: &'static str, name: &'static str, steps: &'static [Step]) -> Cure {
    Cure {
        instead_of,
        scenario: Scenario { name, steps },
    }
}

/// All of them.
pub const ALL: &[Cure] = &[
    cure(
        "a_second_block_orphans_an_epoch",
        "a_double_block_loses_no_epoch",
        &[
            Rules(VOICE),
            Tc(Add, "limit 1m"),
            Send("abcd"),
            Tc(Change, "block"),
            Send("efg"),
            Tc(Change, "block"),
            Tc(Change, "release"),
            Out("abcd"),
            Tc(Change, "release"),
            Out("efg"),
            Held(0),
        ],
    ),
    cure(
        "a_flap_between_block_and_release_leaks",
        "a_flap_releases_nothing_uncommitted",
        &[
            Rules(VOICE),
            Tc(Add, "limit 1m"),
            Send("ab"),
            Tc(Change, "block"),
            Ifb(Down),
            Ifb(Up),
            Send("cde"),
            Tc(Change, "release"),
            Out(""),
            Held(3),
            Tc(Change, "block"),
            Tc(Change, "release"),
            Out("cde"),
        ],
    ),
    cure(
        "two_epochs_in_flight_leak",
        "epochs_are_pipelined",
        &[
            Rules(VOICE),
            Tc(Add, "limit 1m"),
            Tc(Change, "block"),
            Send("a"),
            Tc(Change, "block"),
            Tc(Change, "release"),
            Out(""),
            Tc(Change, "release"),
            Out("a"),
        ],
    ),
    cure(
        "added_with_block_it_is_a_black_hole",
        "added_with_block_it_holds",
        &[
            Rules(VOICE),
            Tc(Add, "block"),
            Send("aBc"),
            Out("B"),
            Held(2),
            Drops(0),
            Lost(0),
            Tc(Change, "release_indefinite"),
            Out("ac"),
        ],
    ),
    cure(
        "added_open_it_is_a_black_hole_too",
        "added_open_it_holds_until_opened_once_more",
        &[
            Rules(VOICE),
            Tc(Add, "release_indefinite"),
            Send("ab"),
            Out(""),
            Held(2),
            Drops(0),
            Tc(Change, "release_indefinite"),
            Out("ab"),
        ],
    ),
    cure(
        "a_change_of_a_foreign_qdisc_makes_a_black_hole",
        "a_change_of_a_foreign_qdisc_makes_a_gate",
        &[
            Rules(VOICE),
            Foreign,
            Send("a"),
            Out("a"),
            Tc(Change, "block"),
            Send("bC"),
            Out("C"),
            Held(1),
            Drops(0),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::{ALL, plays_as_on_plug};
    use crate::scenario::model::Model;
    use crate::scenario::{play, set};

    #[test]
    fn the_model_of_plug_has_each_fault() {
        for cure in ALL {
            assert!(
                play(&cure.scenario, &mut Model::default()).is_err(),
                "{}",
                cure.scenario.name
            );
        }
    }

    #[test]
    fn each_scenario_goes_as_on_plug_or_is_cured_once() {
        let same = set::ALL.iter().filter(|one| plays_as_on_plug(one)).count();
        assert_eq!(same + ALL.len(), set::ALL.len());
    }
}

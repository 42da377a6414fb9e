//! What the module does in the place of `sch_plug` where plug has a fault: scenarios that fail on plug
//! and on its model, and pass on the module.

use qdisc_model::command::Verb::{Add, Change};

use crate::scenario::Link::{Down, Up};
use crate::scenario::Scenario;
use crate::scenario::Step::{Drops, Held, Ifb, Out, Rules, Send, Tc};

const VOICE: &str = "bypass udp dport 16384-32767;";

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "a_double_block_loses_no_epoch",
        steps: &[
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
    },
    Scenario {
        name: "a_flap_releases_nothing_uncommitted",
        steps: &[
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
    },
    Scenario {
        name: "epochs_are_pipelined",
        steps: &[
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
    },
    Scenario {
        name: "added_with_block_it_holds",
        steps: &[
            Rules(VOICE),
            Tc(Add, "block"),
            Send("a"),
            Out(""),
            Held(1),
            Drops(0),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use crate::scenario::model::Model;
    use crate::scenario::play;

    #[test]
    fn the_model_of_plug_has_each_fault() {
        for scenario in ALL {
            assert!(
                play(scenario, &mut Model::default()).is_err(),
                "{}",
                scenario.name
            );
        }
    }
}

//! The set. The facts on plug come from `net/sched/sch_plug.c`, `tc/q_plug.c` of iproute2 and runs
//! on 6.1; docs/kernel.md tells what follows from them.

use qdisc_model::command::Verb::{Add, Change, Replace};

use super::Link::{Down, Gone, Made, Up};
use super::Scenario;
use super::Step::{
    Burst, Delete, Deploy, Drops, Foreign, Held, Ifb, Lost, Out, Refused, Remove, Rules, Send,
    Swap, Tc, VifGone,
};

const VOICE: &str = "bypass udp dport 16384-32767;";
const SIGNALLING: &str = "bypass udp dport 5060;";

/// What `$name` shows: these steps.
macro_rules! scenarios {
    ($($name:ident: [$($step:expr),* $(,)?])*) => {
        /// All scenarios.
        pub const ALL: &[Scenario] = &[$(Scenario {
            name: stringify!($name),
            steps: &[$($step),*],
        }),*];
    };
}

scenarios! {
    plug_starts_closed: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Out(""), Held(2), Drops(0),
    ]
    what_may_pass_never_waits: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("aBcD"), Out("BD"), Held(2),
        Tc(Change, "release_indefinite"), Out("ac"), Send("eFg"), Out("eFg"),
    ]
    added_with_block_it_is_a_black_hole: [
        Rules(VOICE), Tc(Add, "block"), Send("aBc"), Out("B"), Held(0), Drops(2), Lost(2),
        Tc(Change, "release_indefinite"), Send("d"), Out(""), Drops(3), Lost(3),
    ]
    added_open_it_is_a_black_hole_too: [
        Rules(VOICE), Tc(Add, "release_indefinite"), Send("ab"), Out(""), Held(0), Drops(2),
        Tc(Change, "limit 1m"), Send("c"), Out(""), Held(1),
        Tc(Change, "release_indefinite"), Out("c"),
    ]
    the_limit_can_come_before_the_action_when_added: [
        Rules(VOICE), Tc(Add, "limit 1m block"), Send("a"), Out(""), Held(1), Drops(0),
    ]
    without_a_limit_it_is_that_of_the_device: [
        // 34 packets of 1414 bytes fit into 32 times 1514 bytes, a 35th does not.
        Rules(VOICE), Tc(Add, ""), Burst(40, 1414), Out(""), Held(34), Drops(6), Lost(6),
    ]
    a_change_without_words_does_nothing: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("a"), Tc(Change, ""), Out(""), Held(1),
        Tc(Change, "release_indefinite"), Out("a"), Tc(Change, ""), Send("b"), Out("b"),
    ]
    of_several_words_the_last_counts: [
        Rules(VOICE), Tc(Add, "limit 1m"), Tc(Change, "release_indefinite"),
        Tc(Change, "block limit 2m"), Send("a"), Out("a"),
        Tc(Change, "limit 0 block"), Send("b"), Out(""), Held(1), Drops(0),
    ]
    words_that_tc_does_not_know: [
        Rules(VOICE), Tc(Add, "limit 1m"), Refused(Change, "open"), Refused(Change, "limit"),
        Send("a"), Out(""), Held(1),
    ]
    the_limit_is_in_bytes: [
        Rules(VOICE), Tc(Add, "limit 299"), Send("abc"), Held(2), Drops(1), Lost(1),
        Tc(Change, "limit 300"), Send("d"), Held(3), Drops(1),
        Tc(Change, "release_indefinite"), Out("abd"),
    ]
    a_lower_limit_keeps_what_is_held: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("abc"), Tc(Change, "limit 100"), Send("d"),
        Held(3), Drops(1), Tc(Change, "block"), Tc(Change, "release"), Out("abc"), Held(0),
        Send("e"), Held(1), Drops(1),
    ]
    replaced_by_itself_only_the_limit_changes: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Tc(Replace, "limit 250"), Held(2),
        Send("c"), Drops(1), Tc(Change, "release_indefinite"), Out("ab"),
    ]
    added_twice_it_is_refused: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("a"), Refused(Add, "limit 2m"), Held(1),
    ]
    a_change_of_the_default_qdisc_is_refused: [
        Rules(VOICE), Refused(Change, "block"), Send("a"), Out("a"),
    ]
    a_change_of_a_foreign_qdisc_makes_a_black_hole: [
        Rules(VOICE), Foreign, Send("a"), Out("a"), Tc(Change, "block"), Send("bC"), Out("C"),
        Held(0), Drops(1),
    ]
    added_over_a_foreign_qdisc_it_takes_its_place: [
        Rules(VOICE), Foreign, Send("a"), Out("a"), Tc(Add, "limit 1m"), Send("bC"), Out("C"),
        Held(1), Drops(0),
    ]
    without_block_a_release_lets_nothing_out: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Tc(Change, "release"), Out(""), Held(2),
    ]
    each_release_lets_one_epoch_out: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("abcd"), Tc(Change, "block"), Send("efg"),
        Out(""), Tc(Change, "release"), Out("abcd"), Held(3),
        Tc(Change, "block"), Send("h"), Tc(Change, "release"), Out("efg"), Held(1),
    ]
    a_second_release_lets_nothing_out: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Tc(Change, "block"), Send("c"),
        Tc(Change, "release"), Out("ab"), Tc(Change, "release"), Out(""), Held(1),
    ]
    a_second_block_orphans_an_epoch: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("abcd"), Tc(Change, "block"), Send("efg"),
        Tc(Change, "block"), Tc(Change, "release"), Out("abc"), Held(4),
        Tc(Change, "release"), Out(""), Tc(Change, "release_indefinite"), Out("defg"),
    ]
    two_epochs_in_flight_leak: [
        // The first epoch is empty. Its commit lets out the packet of the second one.
        Rules(VOICE), Tc(Add, "limit 1m"), Tc(Change, "block"), Send("a"), Tc(Change, "block"),
        Out(""), Tc(Change, "release"), Out("a"),
    ]
    opened_it_lets_all_out_until_blocked: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Tc(Change, "release_indefinite"),
        Out("ab"), Send("c"), Out("c"), Tc(Change, "release"), Send("d"), Out("d"),
        Tc(Change, "block"), Send("e"), Out(""), Held(1),
        Tc(Change, "block"), Tc(Change, "release"), Out("e"),
    ]
    deleted_with_packets_they_are_lost: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Held(2), Delete, Out(""),
        Send("c"), Out("c"),
    ]
    replaced_by_another_qdisc_packets_are_lost: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Held(2), Foreign, Out(""),
        Send("c"), Out("c"),
    ]
    a_flap_loses_what_is_held: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Held(2), Ifb(Down), Ifb(Up), Held(0),
        Out(""), Send("c"), Out(""), Held(1),
    ]
    a_flap_between_block_and_release_leaks: [
        // The two packets of the open epoch leave on the count of two that were lost.
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Tc(Change, "block"), Ifb(Down), Ifb(Up),
        Send("cde"), Out(""), Tc(Change, "release"), Out("cd"), Held(1),
    ]
    a_flap_does_not_close_an_open_gate: [
        Rules(VOICE), Tc(Add, "limit 1m"), Tc(Change, "release_indefinite"), Ifb(Down), Ifb(Up),
        Send("a"), Out("a"),
    ]
    while_the_ifb_is_down_nothing_held_leaves: [
        Rules(VOICE), Tc(Add, "limit 1m"), Ifb(Down), Send("aBc"), Out("B"), Lost(2),
        Ifb(Up), Out(""), Held(0),
    ]
    without_the_ifb_nothing_held_leaves: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("a"), Ifb(Gone), Out(""), Send("bCd"), Out("C"),
        Lost(2),
    ]
    a_new_ifb_of_the_same_name_is_another_one: [
        Rules(VOICE), Tc(Add, "limit 1m"), Ifb(Gone), Ifb(Made), Tc(Add, "limit 1m"),
        Send("aBc"), Out("B"), Held(0), Lost(2),
    ]
    without_the_vif_what_is_held_is_lost: [
        Rules(VOICE), Tc(Add, "limit 1m"), Send("ab"), Tc(Change, "block"), Held(2), VifGone,
        Tc(Change, "release"), Out(""), Held(0),
    ]
    a_deployed_gate_is_open_until_the_first_block: [
        Deploy(VOICE), Send("aB"), Out("aB"), Tc(Change, "block"), Send("cD"), Out("D"), Held(1),
        Tc(Change, "block"), Send("e"), Tc(Change, "release"), Out("c"), Held(1),
    ]
    a_swap_changes_the_rules_and_holds_what_is_held: [
        Deploy(VOICE), Tc(Change, "block"), Send("aB1"), Out("B"), Held(2),
        Swap(SIGNALLING), Out(""), Send("bC2"), Out("2"), Held(4),
        Tc(Change, "block"), Tc(Change, "release"), Out("a1bC"),
    ]
    removed_nothing_is_held_any_more: [
        Deploy(VOICE), Send("a"), Out("a"), Remove, Send("bC1"), Out("bC1"),
    ]
}

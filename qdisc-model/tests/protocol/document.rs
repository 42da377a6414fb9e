//! What the searches find, and that docs/model.md says exactly that.

use qdisc_model::epoch::{OnLate, OnOverflow};
use qdisc_model::invariant::onlooker::Law;
use qdisc_model::protocol::driver::Driver;
use qdisc_model::protocol::{Decision, Fault, OpensOn, Setting, World};

use crate::backwards::Backwards;
use crate::marks::Document;
use crate::narrate::narrate;
use crate::search::{Explored, Search};
use crate::settings::{ROOMY, calm, epoch, plug, roomy_epoch, rough, rougher, serial};

/// A search that has to go to the end.
fn kept<D: Driver + Send + Sync + 'static>(
    name: &str,
    driver: D,
    setting: Setting,
    laws: &[Law],
) -> String {
    let search = Search {
        start: World::new(driver),
        setting,
        laws: laws.to_vec(),
        fills: true,
    };
    match search.run() {
        Ok(Explored {
            states,
            steps,
            longest,
        }) => {
            println!("{name}: {states} states, {steps} steps, no violation");
            format!("| {name} | {states} | {steps} | {longest} |\n")
        }
        Err((law, steps)) => panic!(
            "{name} breaks {}:\n{}",
            law.name(),
            narrate(&search.start, &search.setting, &steps)
        ),
    }
}

/// What was found: the name of its place in the document, what it breaks, and its story.
type Finding = (&'static str, Law, String);

/// A search that has to find something, told as a shortest behaviour.
fn found<D: Driver + Send + Sync + 'static>(
    name: &'static str,
    driver: D,
    setting: Setting,
    law: Law,
) -> Finding {
    let search = Search {
        start: World::new(driver),
        setting,
        laws: vec![law],
        fills: false,
    };
    let (law, steps) = match search.run() {
        Err(found) => found,
        Ok(explored) => panic!("{name}: nothing found in {explored:?}"),
    };
    let story = narrate(&search.start, &search.setting, &steps);
    let block = format!("```text\n{story}    breaks {}\n```\n", law.name());
    println!("{name}:\n{story}    breaks {}", law.name());
    (name, law, block)
}

/// The laws without the one that says that nothing stays behind.
fn safety() -> Vec<Law> {
    let safe = |law: &Law| *law != Law::CommitReleases;
    Law::ALL.into_iter().filter(safe).collect()
}

/// Every world in which the law is kept, and how much was searched to know it.
fn table() -> String {
    let mut rows = String::from(
        "| what was searched | states | steps | longest |\n| --- | ---: | ---: | ---: |\n",
    );
    let tight = |policy| epoch(2, policy, OnLate::Hold);
    let small = || Setting {
        packets: (4, 0),
        checkpoints: 3,
        ..rough()
    };
    let ask = OnOverflow::AskCheckpoint { at: 1 };
    let abort = epoch(ROOMY, OnOverflow::DropNewest, OnLate::Abort);
    let fenced = Setting {
        takeover: Decision::WhenDead,
        give_up: Decision::WhenDead,
        ..rougher()
    };
    let all = &Law::ALL;
    rows += &kept("`epoch`, nothing goes amiss", roomy_epoch(), calm(), all);
    rows += &kept("`epoch`, any one fault", roomy_epoch(), rough(), all);
    rows += &kept("`epoch`, any two faults", roomy_epoch(), rougher(), all);
    let name = "`epoch`, room for two packets, newest dropped";
    rows += &kept(name, tight(OnOverflow::DropNewest), small(), all);
    let name = "`epoch`, room for two packets, epochs refused";
    rows += &kept(name, tight(OnOverflow::RefuseEpoch), small(), all);
    let name = "`epoch`, room for two packets, checkpoint asked for";
    rows += &kept(name, tight(ask), small(), all);
    let name = "`epoch`, the watchdog aborts (all but `commit_releases`)";
    rows += &kept(name, abort, rougher(), &safety());
    let name = "`epoch`, opened when the backup is dead, any two faults";
    rows += &kept(name, roomy_epoch(), fenced, all);
    let name = "`plug`, one epoch in flight, nothing goes amiss";
    rows += &kept(name, plug(ROOMY), serial(None), all);
    let name = "`plug`, one epoch in flight, room for two packets";
    rows += &kept(name, plug(2), serial(None), all);
    rows
}

/// Every fault that the search finds.
fn findings() -> Vec<Finding> {
    let two = || Setting {
        in_flight: 2,
        ..serial(None)
    };
    let written = || Setting {
        opens_on: OpensOn::Written,
        ..serial(None)
    };
    let suspicious = Setting {
        give_up: Decision::WhenSuspected,
        ..calm()
    };
    let gated = Setting {
        gated_backup: true,
        ..calm()
    };
    let early = Law::NothingLeavesEarly;
    let once = |fault| serial(Some(fault));
    vec![
        found("double-block-leaks", plug(ROOMY), two(), early),
        found("double-block-lags", plug(ROOMY), two(), Law::CommitReleases),
        found(
            "repeated-block",
            plug(ROOMY),
            once(Fault::RepeatBegin),
            early,
        ),
        found(
            "repeated-release",
            plug(ROOMY),
            once(Fault::RepeatCommit),
            early,
        ),
        found(
            "lost-release",
            plug(ROOMY),
            once(Fault::LoseCommit),
            Law::CommitReleases,
        ),
        found("flap-leaks", plug(ROOMY), once(Fault::Flap), early),
        found(
            "flap-uncounted",
            plug(ROOMY),
            once(Fault::Flap),
            Law::LossesAreCounted,
        ),
        found("release-on-write", plug(ROOMY), written(), early),
        found(
            "release-on-write-seen",
            roomy_epoch(),
            written(),
            Law::FailoverContradictsNothing,
        ),
        found(
            "opened-on-suspicion",
            roomy_epoch(),
            suspicious,
            Law::FailoverContradictsNothing,
        ),
        found("gated-backup", roomy_epoch(), gated, Law::BypassNeverWaits),
        found(
            "backwards",
            Backwards(roomy_epoch()),
            calm(),
            Law::OrderIsKept,
        ),
    ]
}

#[test]
fn the_document_says_what_the_search_finds() {
    let (table, findings) = (table(), findings());
    let mut document = Document::open();
    document.replace("kept", &table);
    for (name, _, story) in &findings {
        document.replace(name, story);
    }
    document.close();
    for law in Law::ALL {
        let broken = findings.iter().any(|(_, broken, _)| *broken == law);
        assert!(broken, "nothing shows that {} can be broken", law.name());
    }
}

#[test]
#[ignore = "some minutes: twelve million steps"]
fn two_faults_in_long_behaviours() {
    let long = Setting {
        packets: (4, 1),
        most_faults: 2,
        ..rough()
    };
    kept("two faults, long", roomy_epoch(), long, &Law::ALL);
}

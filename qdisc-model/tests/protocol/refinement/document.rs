//! What the searches find, and that docs/model.md says exactly that.

use qdisc_model::plug::{BUFFER, LIMIT, RELEASE_INDEFINITE, RELEASE_ONE};

use super::act::{Fault, Setting};
use super::hand::Hand;
use super::search::{Explored, Search};
use crate::marks::Document;

/// Everything that can go wrong.
const FAULTS: [Fault; 14] = [
    Fault::Flap,
    Fault::Purge,
    Fault::Foreign(BUFFER),
    Fault::Foreign(RELEASE_ONE),
    Fault::Foreign(RELEASE_INDEFINITE),
    Fault::Foreign(LIMIT),
    Fault::Replace,
    Fault::Fail(true),
    Fault::Fail(false),
    Fault::Kill,
    Fault::Leave,
    Fault::Stall,
    Fault::RepeatCommit,
    Fault::Lie,
];

/// Three epochs in flight and more, and nothing goes amiss.
fn calm() -> Setting {
    Setting {
        hand: Hand::Faithful,
        limit: 100,
        packets: 4,
        epochs: 4,
        faults: Vec::new(),
        most_faults: 0,
        abort: true,
        before: 0,
        in_the_gap: false,
    }
}

/// One fault of any kind.
fn rough() -> Setting {
    Setting {
        epochs: 3,
        faults: FAULTS.to_vec(),
        most_faults: 1,
        ..calm()
    }
}

/// One fault of this kind, with hands that are faithful or not.
fn once(hand: Hand, fault: Fault) -> Setting {
    Setting {
        hand,
        faults: vec![fault],
        ..rough()
    }
}

/// A search that has to go to the end.
fn kept(name: &str, setting: Setting) -> String {
    match Search(setting).run() {
        Ok(Explored {
            states,
            steps,
            longest,
        }) => {
            println!("{name}: {states} states, {steps} steps, the gate may do all of it");
            format!("| {name} | {states} | {steps} | {longest} |\n")
        }
        Err(story) => panic!("{name}:\n{story}"),
    }
}

/// A search that has to find something, told as a shortest behaviour.
fn found(name: &str, setting: Setting) -> String {
    match Search(setting).run() {
        Err(story) => {
            println!("{name}:\n{story}");
            story
        }
        Ok(explored) => panic!("{name}: nothing found in {explored:?}"),
    }
}

/// Every world in which the plug does what the gate may do.
fn table() -> String {
    let mut rows = String::from(
        "| what was searched | states | steps | longest |\n| --- | ---: | ---: | ---: |\n",
    );
    let twice = Setting {
        packets: 3,
        epochs: 2,
        most_faults: 2,
        ..rough()
    };
    let tight = Setting {
        limit: 2,
        ..rough()
    };
    let late = Setting {
        packets: 5,
        before: 2,
        epochs: 2,
        ..rough()
    };
    rows += &kept("nothing goes amiss, four epochs", calm());
    rows += &kept("any one fault, three epochs", rough());
    rows += &kept("any one fault, room for two packets", tight);
    rows += &kept("any one fault, packets were there before the daemon", late);
    rows += &kept("any two faults, two epochs", twice);
    rows
}

/// Each way to forget one thing, and what it takes to see it.
fn caught() -> String {
    let quiet = |hand| Setting { hand, ..calm() };
    let strays = |hand| Setting {
        hand,
        before: 1,
        ..calm()
    };
    let open = Setting {
        faults: vec![Fault::Kill],
        most_faults: 1,
        ..strays(Hand::Lax)
    };
    let replaced = Setting {
        abort: false,
        ..once(Hand::Thrifty, Fault::Flap)
    };
    let hands = [
        ("releases without looking", once(Hand::Blind, Fault::Flap)),
        ("hears no notice", once(Hand::Deaf, Fault::Flap)),
        ("compares no counters", once(Hand::Countless, Fault::Purge)),
        ("BUFFER also while a batch waits", quiet(Hand::Eager)),
        ("RELEASE_ONE for every commit", quiet(Hand::Hasty)),
        ("flushes with the door open", strays(Hand::Ajar)),
        ("BUFFER where the plug should be replaced", replaced),
        ("BUFFER at the end of an epoch only", open),
    ];
    let mut rows = String::from("| what it does | steps | what is seen |\n| --- | ---: | --- |\n");
    for (name, setting) in hands {
        let story = found(name, setting);
        let (steps, end) = story.trim_end().rsplit_once('\n').unwrap();
        rows += &format!("| {name} | {} | {} |\n", steps.lines().count(), end.trim());
    }
    rows
}

fn block(story: &str) -> String {
    format!("```text\n{story}```\n")
}

#[test]
fn the_document_says_what_the_search_finds() {
    let blind = found("blind", once(Hand::Blind, Fault::Flap));
    let in_the_gap = |fault| Setting {
        in_the_gap: true,
        ..once(Hand::Faithful, fault)
    };
    let gap = found("gap", in_the_gap(Fault::Flap));
    let limit = found("limit in the gap", in_the_gap(Fault::Foreign(LIMIT)));
    let (table, caught) = (table(), caught());
    let mut document = Document::open();
    document.replace("refines", &table);
    document.replace("caught", &caught);
    document.replace("blind", &block(&blind));
    document.replace("gap", &block(&gap));
    document.replace("limit-in-the-gap", &block(&limit));
    document.close();
}

/// What a plug forgives: a second RELEASE_ONE finds nothing to release.
#[test]
fn a_release_given_twice_changes_nothing() {
    kept(
        "RELEASE_ONE twice",
        Setting {
            hand: Hand::Twice,
            ..calm()
        },
    );
}

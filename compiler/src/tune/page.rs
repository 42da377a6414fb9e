//! What was found as a report: in full for a page, in short for a terminal.

mod charts;
mod tables;
mod words;

use super::Tuned;
use crate::report::{Block, Fact, Page, Section};

pub use tables::curve;

/// The whole report.
#[must_use]
pub fn page(policy: &str, tuned: &Tuned) -> Page {
    let charts = charts::all(tuned).into_iter().map(Block::Chart);
    Page {
        title: title(policy),
        introduction: words::introduction(tuned),
        sections: vec![
            section("What is recommended", recommended(tuned)),
            section(
                "Over the interval",
                charts.chain([Block::Table(curve(tuned))]).collect(),
            ),
            section("What may pass", what_may_pass(tuned, true)),
            section("How it was found", method(tuned)),
            section("What this does not show", paragraphs(words::limits())),
        ],
    }
}

/// The report for a terminal: without charts, and without what is the same in every report.
#[must_use]
pub fn short(policy: &str, tuned: &Tuned) -> Page {
    Page {
        title: title(policy),
        introduction: words::introduction(tuned),
        sections: vec![
            section("What is recommended", recommended(tuned)),
            section("Over the interval", vec![Block::Table(curve(tuned))]),
            section("What may pass", what_may_pass(tuned, false)),
        ],
    }
}

fn title(policy: &str) -> String {
    format!("Checkpoint interval for {policy}")
}

fn section(heading: &str, blocks: Vec<Block>) -> Section {
    Section {
        heading: heading.to_owned(),
        blocks,
    }
}

fn paragraphs(texts: Vec<String>) -> Vec<Block> {
    texts.into_iter().map(Block::Paragraph).collect()
}

fn recommended(tuned: &Tuned) -> Vec<Block> {
    let mut blocks = paragraphs(words::recommendation(tuned));
    blocks.insert(1.min(blocks.len()), Block::Code(tuned.advice.block()));
    blocks
}

fn what_may_pass(tuned: &Tuned, with_kinds: bool) -> Vec<Block> {
    let mut blocks = vec![Block::Table(tables::classifications(tuned))];
    blocks.extend(paragraphs(words::passing(tuned)));
    if with_kinds {
        blocks.push(Block::Table(tables::kinds(tuned)));
    }
    blocks
}

fn method(tuned: &Tuned) -> Vec<Block> {
    let mut blocks = paragraphs(words::method(tuned));
    let weights = tuned.plan.weights;
    let weight = |name: &str, weight| Fact::new(name, crate::report::Cell::number(weight, 1), "");
    blocks.push(Block::Facts(vec![
        weight("weight of voice", weights.voice),
        weight("weight of the guest", weights.guest),
        weight("weight of TCP", weights.tcp),
        weight("weight of recovery", weights.recovery),
    ]));
    blocks
}

//! Random blocks for the tests of this back end.

use policy_lang::Verdict;
use proptest::prelude::*;

use crate::ir::{Block, FieldBox, FlatRule, Guard, Shape};

/// A block of a few rules with such boxes.
pub(super) fn block(one: impl Strategy<Value = FieldBox>) -> impl Strategy<Value = Block> {
    let verdict = prop_oneof![Just(Verdict::Buffer), Just(Verdict::Bypass)];
    let rule = (verdict.clone(), proptest::collection::vec(one, 1..3));
    let numbered = |(source, (verdict, boxes))| FlatRule {
        verdict,
        boxes,
        source,
    };
    (proptest::collection::vec(rule, 0..8), verdict).prop_map(move |(rules, default)| Block {
        guard: Guard {
            tagged: None,
            shape: Shape::Any,
        },
        rules: rules.into_iter().enumerate().map(numbered).collect(),
        default,
    })
}

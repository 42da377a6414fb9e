//! The parser that pest makes of `policy.pest`, and nothing else.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated: pest makes one public `Rule` enum"
)]

/// Entry point to the generated parser.
#[derive(Debug, pest_derive::Parser)]
#[grammar = "policy.pest"]
pub(super) struct Grammar;

//! Shared support for the tests: generators of policies and frames.

pub mod generate;

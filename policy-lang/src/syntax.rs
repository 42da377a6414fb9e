//! From text to a syntax tree and back.
//!
//! `split` cuts the text into statements, `parse` reads each with the grammar in `policy.pest`,
//! `expected` says in plain words what the grammar wanted, `trivia` hangs comments where they
//! belong, and `print` writes a tree in the one canonical form.

mod expected;
mod grammar;
mod lexeme;
mod parse;
mod print;
mod split;
pub(crate) mod suggest;
pub mod tree;
mod trivia;

pub use parse::parse;
pub use print::{factor_text, print};

pub(crate) use expected::{condition_words, is_reserved};

/// Largest policy text, in bytes.
pub const MAX_POLICY_BYTES: usize = 4 << 20;
/// Deepest nesting of brackets and `not`. The parser recurses on them, so this bounds its stack.
pub const MAX_DEPTH: usize = 64;
/// Most values in one set, nested sets included.
pub const MAX_SET_VALUES: usize = 65_536;
/// Most words and signs in one statement.
pub const MAX_STATEMENT_LEXEMES: usize = 200_000;

//! The `epochgate` command from the outside: what it prints, how it ends, what it leaves behind.
//!
//! Snapshots lie in `snapshots/`; `INSTA_UPDATE=always cargo test -p compiler --test cli` writes
//! them anew.

#![cfg(test)]

mod analysis;
mod artefacts;
mod findings;
mod frames;
mod hostile;
mod program;
mod readme;
mod replay;
mod schema;
mod simulate;
mod terminal;
mod tune;
mod verbs;

//! The `epochgate` command.

fn main() {}

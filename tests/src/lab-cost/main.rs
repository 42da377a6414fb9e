//! What runs in a guest to tell what rules cost a packet there (see `tests::cost`). The guest's clock counts
//! instructions, so one round of few frames says as much as many.

use std::process::ExitCode;

use tests::cost::{Effort, table};

const EFFORT: Effort = Effort {
    frames: 1_000,
    rounds: 1,
};

fn main() -> ExitCode {
    match table(EFFORT) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! What runs in a guest to tell what rules cost a packet there (see `tests::cost`): with a directory, the
//! table of what was prepared there; with names of files of rules, a line with a number for each. The guest's clock counts instructions, so one round
//! of few frames says as much as many.

use std::path::PathBuf;
use std::process::ExitCode;

use tests::cost::{Effort, of_files, table};

const EFFORT: Effort = Effort {
    frames: 1_000,
    rounds: 1,
};

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let told = match files.as_slice() {
        [directory] if directory.is_dir() => table(EFFORT, directory),
        files => of_files(files, EFFORT)
            .map(|costs| costs.iter().map(|cost| format!("{cost:.3}\n")).collect()),
    };
    match told {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

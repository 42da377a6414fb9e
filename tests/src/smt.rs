//! A solver for SMT-LIB 2: the second oracle beside the sets of frames.
//!
//! An installed z3, or the one of Debian's package `z3`, unpacked in the cache of the lab.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use compiler::smt::frame;

use crate::lab::LabError;
use crate::lab::cache::Cache;
use crate::lab::packages::{Apt, Release};

/// What a solver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is no such frame.
    Unsat,
    /// This is one.
    Sat(Vec<u8>),
}

/// A solver that runs.
#[derive(Debug)]
pub struct Solver {
    program: PathBuf,
    /// What it says of its version.
    pub version: String,
}

impl Solver {
    /// Finds one.
    ///
    /// # Errors
    /// [`LabError`] when there is none and the package can't be had, or what is in it does not run.
    pub fn find() -> Result<Self, LabError> {
        if let Some(installed) = Self::of("z3".into()) {
            return Ok(installed);
        }
        let cache = Cache::open()?;
        let _lock = cache.lock()?;
        let apt = Apt::open(&cache, Release::Bookworm)?;
        let root = apt.unpacked("z3", &apt.newest(&["z3"])?)?;
        Self::of(root.join("usr/bin/z3")).ok_or_else(|| {
            LabError::Unavailable(String::from("the z3 of Debian 12 does not run here"))
        })
    }

    fn of(program: PathBuf) -> Option<Self> {
        let said = Command::new(&program).arg("--version").output().ok()?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        said.status.success().then_some(Self { program, version })
    }

    /// Its answer to a question.
    ///
    /// # Panics
    /// When it does not run to its end, complains, or answers neither way.
    #[must_use]
    pub fn ask(&self, question: &str) -> Answer {
        let mut command = Command::new(&self.program);
        command.args(["-smt2", "-T:120", "-in"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the solver starts");
        let mut input = child.stdin.take().expect("its input is ours");
        input.write_all(question.as_bytes()).expect("it reads");
        drop(input);
        let said = child.wait_with_output().expect("it ends").stdout;
        let said = String::from_utf8_lossy(&said);
        match said
            .split_once('\n')
            .map(|(first, rest)| (first.trim(), rest))
        {
            Some(("sat", values)) => Answer::Sat(frame::read(values).expect("a frame")),
            // The values of no frame can't be told.
            Some(("unsat", _)) => Answer::Unsat,
            _ => panic!(
                "the solver says: {}",
                said.chars().take(400).collect::<String>()
            ),
        }
    }
}

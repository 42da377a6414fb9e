//! How the program ends: its exit codes, and what keeps a verb from doing its work.

use std::io;
use std::process::ExitCode;

/// The last lines of every `--help`.
pub(crate) const HELP: &str = "Exit codes: 0 all is well; 1 there are findings (errors in a policy, \
a broken expectation, a refusal, a differing frame, a file that is not formatted); \
2 called wrongly, or a file could not be read or written.";

/// How a verb ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All is well.
    Fine,
    /// There is something to mend.
    Findings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => Self::SUCCESS,
            Exit::Findings => Self::from(1),
        }
    }
}

/// The exit code of a [`Failure`], and of what clap does not understand.
pub(crate) const TROUBLE: u8 = 2;

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file, or standard input, can't be read.
    #[error("cannot read `{name}`: {source}")]
    Read {
        /// The file as the user names it.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file can't be written; nothing of it is there.
    #[error("cannot write `{name}`: {source}")]
    Write {
        /// The file as the user names it.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Standard output or standard error can't be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The arguments make no sense together, or one of them none at all.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do instead.
        help: Option<String>,
    },
}

impl Failure {
    /// Wrong arguments without advice.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: None,
        }
    }

    /// Whether whoever read the output has gone: then there is nobody to tell.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

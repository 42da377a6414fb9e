//! The command line: what can be said, and who does it. One file per verb in `command/`.

mod console;
mod input;
mod output;
mod policy_file;
mod quantity;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use console::Console;
pub(crate) use input::{Source, bytes, is_standard, name, read_long};
pub(crate) use output::{Artefact, make_directory, replace, write_all};
pub(crate) use policy_file::{PolicyFile, read_text, report_all};
pub(crate) use quantity::{
    bit_rate, byte_rate, duration, frequency, positive_byte_rate, positive_duration, share, size,
};

use crate::command::{
    audit, check, compile, diff, explain, fmt, gate, probe, query, replay, simplify, simulate,
    test, trace, tune, verify,
};
use crate::exit::{self, Exit, Failure};
use crate::render::Report;

/// Lets real-time media pass the output buffer of a replicated VM, and nothing else.
///
/// A policy says which packets of a VM may bypass the buffer. Epochgate checks it, compiles it to
/// kernel rules that are proved equal to it for every possible frame, and explains its verdicts.
#[derive(Debug, Parser)]
#[command(name = "epochgate", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// When to use colours; on `auto` only on a terminal and unless NO_COLOR is set.
    #[arg(
        long = "color",
        value_name = "WHEN",
        default_value = "auto",
        global = true
    )]
    colour: ColourChoice,
    /// How findings are written to standard error; `json` writes one object per line.
    #[arg(long, value_name = "FORMAT", default_value = "human", global = true)]
    error_format: ErrorFormat,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColourChoice {
    Auto,
    Always,
    Never,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ErrorFormat {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Args),
    Fmt(fmt::Args),
    Compile(compile::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Query(query::Args),
    Simplify(simplify::Args),
    Explain(explain::Args),
    Trace(trace::Args),
    Replay(replay::Args),
    Simulate(Box<simulate::Args>),
    Tune(Box<tune::Args>),
    Test(test::Args),
    Audit(audit::Args),
    Gate(gate::Args),
    Probe(probe::Args),
}

impl Verb {
    fn run(&self, console: &mut Console) -> Result<Exit, Failure> {
        match self {
            Self::Check(args) => check::run(args, console),
            Self::Fmt(args) => fmt::run(args, console),
            Self::Compile(args) => compile::run(args, console),
            Self::Verify(args) => verify::run(args, console),
            Self::Diff(args) => diff::run(args, console),
            Self::Query(args) => query::run(args, console),
            Self::Simplify(args) => simplify::run(args, console),
            Self::Explain(args) => explain::run(args, console),
            Self::Trace(args) => trace::run(args, console),
            Self::Replay(args) => replay::run(args, console),
            Self::Simulate(args) => simulate::run(args, console),
            Self::Tune(args) => tune::run(args, console),
            Self::Test(args) => test::run(args, console),
            Self::Audit(args) => audit::run(args, console),
            Self::Gate(args) => gate::run(args, console),
            Self::Probe(args) => probe::run(args, console),
        }
    }
}

/// Does what the arguments of the process say.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut console = Console::new(&cli.global);
    let result = cli
        .verb
        .run(&mut console)
        .and_then(|exit| console.finish().map(|()| exit));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.is_broken_pipe() {
                // There is no one left to tell if this fails too.
                let _ = console.report(None, &Report::from(&failure));
            }
            ExitCode::from(exit::TROUBLE)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}

//! `epochgate probe`: what this kernel and its tools can do.

use std::fs;
use std::process::{Command, ExitStatus};

use serde::Deserialize;

use crate::backend::Kind;
use crate::cli::Console;
use crate::exit::{self, Exit, Failure};
use crate::probe::{self, Bench, Findings, Verdict};

/// Try out what this kernel and its tools can do.
///
/// Everything is tried in a network namespace of its own, which goes when the probe ends, whatever
/// happens. The kernel may load modules for it. Needs root, and `unshare` of util-linux.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The process is in a namespace of its own already.
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Tries everything and prints what was found.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    if !is_root() {
        return Err(Failure::Usage {
            message: String::from("`probe` needs root: it makes a network namespace and devices"),
            help: Some(String::from("run it with sudo")),
        });
    }
    if !args.inside {
        console.finish()?;
        return again_inside(args.format);
    }
    let findings = probe::run(&mut Bench::new());
    match args.format {
        Format::Table => print(&findings, console)?,
        Format::Json => {
            let text = serde_json::to_string_pretty(&findings).map_err(std::io::Error::from)?;
            console.raw(&(text + "\n"))?;
        }
    }
    Ok(if findings.advice.lacks.is_empty() {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

/// The running kernel's release and the back ends that work on it, the one to use first; or why it
/// could not be asked.
pub(super) fn working() -> Result<(String, Vec<Kind>), String> {
    #[derive(Deserialize)]
    struct Said {
        kernel: String,
        advice: Works,
    }
    #[derive(Deserialize)]
    struct Works {
        backends: Vec<String>,
    }
    if !is_root() {
        return Err(String::from("that needs root"));
    }
    let mut probe = inside().map_err(|error| error.to_string())?;
    let output = probe.args(["--format", "json"]).output();
    let output = output.map_err(|error| format!("can't run `unshare`: {error}"))?;
    let said: Said = serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from("no network namespace can be made with `unshare --net`"))?;
    let named = |name: &String| Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let works = said.advice.backends.iter().filter_map(named).collect();
    Ok((said.kernel, works))
}

/// This program once more, in a new network namespace that lives as long as it does.
fn inside() -> std::io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--"]).arg(program);
    command.args(["probe", "--inside"]);
    Ok(command)
}

/// Probes in a namespace, and passes on what is printed there.
fn again_inside(format: Format) -> Result<Exit, Failure> {
    let failed = |source| Failure::Read {
        name: String::from("unshare"),
        source,
    };
    let mut command = inside().map_err(failed)?;
    if format == Format::Json {
        command.args(["--format", "json"]);
    }
    match command.status().as_ref().map(ExitStatus::code) {
        Ok(Some(0)) => Ok(Exit::Fine),
        Ok(Some(1)) => Ok(Exit::Findings),
        Ok(_) => Err(Failure::usage(
            "no network namespace can be made with `unshare --net`",
        )),
        Err(error) => Err(failed(error.kind().into())),
    }
}

/// Whether the effective user is root, proc_pid_status(5).
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}

fn print(findings: &Findings, console: &mut Console) -> Result<(), Failure> {
    console.line(&format!("kernel {}", findings.kernel))?;
    for row in &findings.checks {
        let (verdict, name) = (row.verdict.word(), row.check.name);
        console.line(&format!("  {verdict:<7}  {name:<15}  {}", row.found))?;
        if row.verdict != Verdict::Good {
            console.line(&format!("{:27}({})", "", row.check.matters))?;
        }
    }
    console.line("")?;
    for note in &findings.advice.notes {
        console.line(&format!("- {note}"))?;
    }
    Ok(())
}

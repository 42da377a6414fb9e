//! `epochgate compile`: proven rules and the script that deploys them.

use std::path::{Path, PathBuf};

use super::{finding, kind};
use crate::backend::Kind;
use crate::cli::{Artefact, Console, PolicyFile, is_standard, make_directory, write_all};
use crate::compile::{Compiled, Request, compile};
use crate::device::Device;
use crate::exit::{self, Exit, Failure};

/// Compile a policy to kernel rules and a deploy script.
///
/// The rules are read back and proved equal to the policy for every possible frame before anything
/// is written. The files are `VIF.nft` or `VIF.tc` for the rules and `VIF.sh` for the script, which
/// holds the rules as well.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// Which kind of rules to make.
    #[arg(long, value_parser = kind(), default_value_t = Kind::Nft)]
    backend: Kind,
    /// The VM's interface, whose ingress is what the VM sends.
    #[arg(long, value_name = "NAME", default_value = "vif1.0", value_parser = Device::new)]
    vif: Device,
    /// The interface that holds frames; made by the script [default: `ifb-` and the vif].
    #[arg(long, value_name = "NAME", value_parser = Device::new)]
    ifb: Option<Device>,
    /// What to write [default: both into a directory, the rules to standard output].
    #[arg(long, value_enum)]
    emit: Option<Emit>,
    /// A directory for the files, made if it is not there; `-` is standard output.
    #[arg(short, long, value_name = "DIR", default_value = "-")]
    output: PathBuf,
}

/// One of the artefacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Emit {
    /// What `nft -f` or `tc -batch` loads.
    Rules,
    /// The shell script that installs, watches and removes them.
    Script,
}

/// Compiles the policy and writes what was asked for.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let ifb = args
        .ifb
        .clone()
        .unwrap_or_else(|| Device::ifb_for(&args.vif));
    if ifb == args.vif {
        return Err(Failure::usage(
            "`--vif` and `--ifb` name the same interface",
        ));
    }
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let name = Path::new(file.source.name())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let request = Request {
        policy,
        name: &name,
        text: file.source.text(),
        backend: args.backend,
        vif: args.vif.clone(),
        ifb,
    };
    match compile(&request) {
        Ok(compiled) => write(args, &compiled, console),
        Err(error) => {
            for report in finding::not_compiled(policy, &file.source, &error) {
                console.report(Some(&file.source), &report)?;
            }
            Ok(Exit::Findings)
        }
    }
}

fn write(args: &Args, compiled: &Compiled, console: &mut Console) -> Result<Exit, Failure> {
    if is_standard(&args.output) {
        console.raw(match args.emit {
            None | Some(Emit::Rules) => &compiled.rules,
            Some(Emit::Script) => &compiled.script,
        })?;
        return Ok(Exit::Fine);
    }
    let suffix = match args.backend {
        Kind::Nft => "nft",
        Kind::U32 => "tc",
    };
    let place = |suffix: &str| args.output.join(format!("{}.{suffix}", args.vif));
    let rules = Artefact {
        path: place(suffix),
        content: &compiled.rules,
        executable: false,
    };
    let script = Artefact {
        path: place("sh"),
        content: &compiled.script,
        executable: true,
    };
    let artefacts = match args.emit {
        None => vec![rules, script],
        Some(Emit::Rules) => vec![rules],
        Some(Emit::Script) => vec![script],
    };
    make_directory(&args.output)?;
    write_all(&artefacts)?;
    for artefact in &artefacts {
        console.line(&format!("{}", artefact.path.display()))?;
    }
    console.line(&format!(
        "proved equal to the policy for every frame ({} nodes)",
        compiled.proof.nodes
    ))?;
    Ok(Exit::Fine)
}

//! `epochgate compile`: proven rules and the script that deploys them.

mod auto;

use std::path::{Path, PathBuf};

use self::auto::Choice;
use super::finding;
use crate::backend::bpf::{Instruction, assembly, bytecode};
use crate::backend::{Kind, Loader};
use crate::cli::{Artefact, Console, PolicyFile, is_standard, make_directory, write_all};
use crate::compile::{
    CompileError, Compiled, Hook, Request, compile_for, compile_program, compile_xen_hook,
};
use crate::device::Device;
use crate::exit::{self, Exit, Failure};
use crate::script::Gate;
use crate::verify::Proof;

/// Compile a policy to kernel rules and a deploy script.
///
/// The rules are read back and proved equal to the policy for every possible frame before anything
/// is written. The files are `VIF.nft` or `VIF.tc` for the rules and `VIF.sh` for the script, which
/// holds the rules as well. `--emit xen-hook` writes `xen-hook.sh`, which works for any vif.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// Which kind of rules to make; `auto` asks the running kernel which it takes, and makes the first of
    /// those that can express the policy.
    #[arg(long, value_parser = Choice::parser(), default_value = "nft")]
    backend: Choice,
    /// What holds the frames: Linux's plug, or our kernel module `sch_epochgate`.
    #[arg(long, value_enum, default_value_t = Holder::Plug)]
    gate: Holder,
    /// The VM's interface, whose ingress is what the VM sends [default: vif1.0].
    #[arg(long, value_name = "NAME", value_parser = Device::new)]
    vif: Option<Device>,
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

/// The qdisc that holds the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Holder {
    Plug,
    Epochgate,
}

impl From<Holder> for Gate {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Plug => Self::Plug,
            Holder::Epochgate => Self::Epochgate,
        }
    }
}

/// One of the artefacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Emit {
    /// What `nft -f` or `tc -batch` loads.
    Rules,
    /// The shell script that installs, watches and removes them.
    Script,
    /// The script that `xl remus -N` calls for each vif of a Xen guest.
    XenHook,
    /// The program of the bpf back end in numbers, as `tc ... bpf bytecode` takes it.
    Bytecode,
    /// The same as assembly, with a word on what each load is about.
    Asm,
}

/// Compiles the policy and writes what was asked for.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let hook = args.emit == Some(Emit::XenHook);
    if hook && (args.vif.is_some() || args.ifb.is_some()) {
        return Err(Failure::Usage {
            message: String::from("`--emit xen-hook` takes neither `--vif` nor `--ifb`"),
            help: Some(String::from(
                "leave them out: libxl names the vif when it calls the hook",
            )),
        });
    }
    if hook && args.gate == Holder::Epochgate {
        return Err(Failure::Usage {
            message: String::from("libxl drives nothing but a plug, so a hook has no other gate"),
            help: Some(String::from(
                "leave `--gate` out, and load the module in the place of plug: `insmod sch_epochgate.ko kind=plug`",
            )),
        });
    }
    let program = matches!(args.emit, Some(Emit::Bytecode | Emit::Asm));
    if program && args.backend != Choice::Only(Kind::Bpf) {
        return Err(Failure::Usage {
            message: String::from("only the bpf back end makes a program"),
            help: Some(String::from("add `--backend bpf`")),
        });
    }
    let vif = match &args.vif {
        Some(vif) => vif.clone(),
        None => Device::new("vif1.0").map_err(|error| Failure::usage(error.to_string()))?,
    };
    let ifb = args.ifb.clone().unwrap_or_else(|| Device::ifb_for(&vif));
    if ifb == vif {
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
    let candidates = args.backend.candidates();
    let mut refused = Vec::new();
    let mut kinds = candidates.kinds.iter().peekable();
    while let Some(&backend) = kinds.next() {
        let request = Request {
            policy,
            name: &name,
            text: file.source.text(),
            backend,
            vif: vif.clone(),
            ifb: ifb.clone(),
        };
        match make(args, &request) {
            Ok(made) => {
                if let Some(why) = candidates.why(backend, &refused) {
                    console.note(&why)?;
                }
                return write(args, &request, &made, console);
            }
            Err(CompileError::Refused(refusal)) if kinds.peek().is_some() => refused.push(refusal),
            Err(error) => {
                for report in finding::not_compiled(policy, &file.source, &error) {
                    console.report(Some(&file.source), &report)?;
                }
                return Ok(Exit::Findings);
            }
        }
    }
    console.report(None, &candidates.none())?;
    Ok(Exit::Findings)
}

/// What was asked for, proved.
enum Made {
    Hook(Hook),
    Program(Vec<Instruction>, Proof),
    Rules(Compiled),
}

fn make(args: &Args, request: &Request<'_>) -> Result<Made, CompileError> {
    Ok(match args.emit {
        Some(Emit::XenHook) => Made::Hook(compile_xen_hook(request)?),
        Some(Emit::Bytecode | Emit::Asm) => {
            let (code, proof) = compile_program(request)?;
            Made::Program(code, proof)
        }
        None | Some(Emit::Rules | Emit::Script) => {
            Made::Rules(compile_for(request, args.gate.into())?)
        }
    })
}

fn write(
    args: &Args,
    request: &Request<'_>,
    made: &Made,
    console: &mut Console,
) -> Result<Exit, Failure> {
    match made {
        Made::Hook(hook) => write_hook(args, hook, console),
        Made::Program(code, proof) => write_program(args, &request.vif, code, *proof, console),
        Made::Rules(compiled) => write_rules(args, request, compiled, console),
    }
}

fn write_hook(args: &Args, hook: &Hook, console: &mut Console) -> Result<Exit, Failure> {
    if is_standard(&args.output) {
        console.raw(&hook.script)?;
        return Ok(Exit::Fine);
    }
    let artefact = Artefact {
        path: args.output.join("xen-hook.sh"),
        content: hook.script.as_bytes(),
        executable: true,
    };
    put(args, &[artefact], hook.proof, console)
}

fn write_program(
    args: &Args,
    vif: &Device,
    code: &[Instruction],
    proof: Proof,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let (text, suffix) = match args.emit {
        Some(Emit::Asm) => (assembly(code), "asm"),
        _ => (bytecode(code) + "\n", "bpf"),
    };
    if is_standard(&args.output) {
        console.raw(&text)?;
        return Ok(Exit::Fine);
    }
    let artefact = Artefact {
        path: args.output.join(format!("{vif}.{suffix}")),
        content: text.as_bytes(),
        executable: false,
    };
    put(args, &[artefact], proof, console)
}

fn write_rules(
    args: &Args,
    request: &Request<'_>,
    compiled: &Compiled,
    console: &mut Console,
) -> Result<Exit, Failure> {
    if is_standard(&args.output) {
        console.raw(if args.emit == Some(Emit::Script) {
            &compiled.script
        } else {
            &compiled.rules
        })?;
        return Ok(Exit::Fine);
    }
    let suffix = match request.backend.loader() {
        Loader::Nft => "nft",
        Loader::Tc => "tc",
    };
    let place = |suffix: &str| args.output.join(format!("{}.{suffix}", request.vif));
    let rules = Artefact {
        path: place(suffix),
        content: compiled.rules.as_bytes(),
        executable: false,
    };
    let script = Artefact {
        path: place("sh"),
        content: compiled.script.as_bytes(),
        executable: true,
    };
    let artefacts = match args.emit {
        Some(Emit::Rules) => vec![rules],
        Some(Emit::Script) => vec![script],
        _ => vec![rules, script],
    };
    put(args, &artefacts, compiled.proof, console)
}

fn put(
    args: &Args,
    artefacts: &[Artefact<'_>],
    proof: Proof,
    console: &mut Console,
) -> Result<Exit, Failure> {
    make_directory(&args.output)?;
    write_all(artefacts)?;
    for artefact in artefacts {
        console.line(&format!("{}", artefact.path.display()))?;
    }
    console.line(&format!(
        "proved equal to the policy for every frame ({} nodes)",
        proof.nodes
    ))?;
    Ok(Exit::Fine)
}

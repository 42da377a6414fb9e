//! `epochgate audit`: the rules that run, held against the policy; and what has come loose.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::{finding, kind};
use crate::audit::{
    Audit, AuditError, BadListing, Effect, Finding, Listing, Numbers, Output, Subject, audit,
    commands, status_command,
};
use crate::backend::Kind;
use crate::cli::{Artefact, Console, PolicyFile, bytes, is_standard, write_all};
use crate::device::Device;
use crate::exit::{self, Exit, Failure};
use crate::frame_text::describe;
use crate::render::{Report, hex, visible};

/// Prove that the rules in the kernel equal the policy, and find what has come loose.
///
/// Reads back what runs at the ingress of the VM's interface and compares it with the policy for
/// every frame that reaches it. Finds rules that are gone, of somebody else, or not asked any more,
/// redirects that lead nowhere, and a gate that is down, open or missing. It only looks.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// The VM's interface [default: vif1.0, or the one of the listing].
    #[arg(long, value_name = "NAME", value_parser = Device::new)]
    vif: Option<Device>,
    /// The interface that holds frames [default: `ifb-` and the vif, or the one of the listing].
    #[arg(long, value_name = "NAME", value_parser = Device::new)]
    ifb: Option<Device>,
    /// The kind of rules that should be there [default: what the alias of the IFB says].
    #[arg(long, value_parser = kind())]
    backend: Option<Kind>,
    /// Judge a listing that `--dump` or the deploy script's `audit --dump` has written.
    #[arg(long, value_name = "FILE", conflicts_with = "dump")]
    listing: Option<PathBuf>,
    /// Write what was looked at to this file as well.
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines; findings go to standard error.
    Human,
    /// One JSON object with everything.
    Json,
}

/// Looks, judges, and prints.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let listing = listing(args)?;
    if let Some(path) = &args.dump {
        let content = listing.write();
        write_all(&[Artefact {
            path: path.clone(),
            content: content.as_bytes(),
            executable: false,
        }])?;
    }
    let subject = Subject {
        policy,
        vif: listing.vif.clone(),
        ifb: listing.ifb.clone(),
        backend: args.backend,
    };
    let audit = audit(&subject, &listing).map_err(|error| failure(&error))?;
    let reports = audit
        .findings
        .iter()
        .map(|found| report(found, policy, &file.source));
    match args.format {
        Format::Json => console.raw(&json(&subject, &audit))?,
        Format::Human => {
            for report in reports {
                console.report(Some(&file.source), &report)?;
            }
            summary(&subject, &audit, console)?;
        }
    }
    Ok(match audit.findings.is_empty() {
        true => Exit::Fine,
        false => Exit::Findings,
    })
}

fn listing(args: &Args) -> Result<Listing, Failure> {
    let Some(path) = &args.listing else {
        let vif = match &args.vif {
            Some(vif) => vif.clone(),
            None => Device::new("vif1.0").map_err(|bad| Failure::usage(bad.to_string()))?,
        };
        let ifb = args.ifb.clone().unwrap_or_else(|| Device::ifb_for(&vif));
        return Ok(look(vif, ifb));
    };
    if is_standard(path) && is_standard(&args.policy) {
        return Err(Failure::usage(
            "the policy and the listing can't both be standard input",
        ));
    }
    let text = String::from_utf8(bytes(path)?).map_err(|_| unreadable(path, "it is not UTF-8"))?;
    let listing = Listing::read(&text).map_err(|bad| unreadable(path, &bad.to_string()))?;
    let named = [(&args.vif, &listing.vif), (&args.ifb, &listing.ifb)];
    for (asked, there) in named {
        if let Some(asked) = asked.as_ref().filter(|asked| *asked != there) {
            let message = format!("the listing is about `{there}`, not about `{asked}`");
            return Err(Failure::usage(message));
        }
    }
    Ok(listing)
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::Usage {
        message: format!("`{}` is no listing of an audit: {why}", path.display()),
        help: Some(String::from(
            "`epochgate audit --dump FILE` and the script's `audit --dump FILE` write one",
        )),
    }
}

fn failure(error: &AuditError) -> Failure {
    let help = match error {
        AuditError::Listing(BadListing::Failed { .. }) => {
            Some("this needs root, and the tools ip, tc and nft".to_owned())
        }
        _ => None,
    };
    Failure::Usage {
        message: format!("cannot audit: {error}"),
        help,
    }
}

/// Runs the commands. What fails is for the judge to weigh: not every one must succeed.
fn look(vif: Device, ifb: Device) -> Listing {
    /// As the shell has it when there is no such program.
    const NOT_FOUND: u8 = 127;
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let status = gate_status(&ifb);
    let outputs = commands(&vif, &ifb)
        .into_iter()
        .map(|words| {
            let mut words = words.into_iter();
            let program = words.next().unwrap_or_default();
            let arguments: Vec<String> = words.collect();
            let output = Command::new(&program)
                .args(&arguments)
                .env("LC_ALL", "C")
                .env("PATH", &path)
                .output();
            let command = format!("{program} {}", arguments.join(" "));
            match output {
                Ok(output) => Output {
                    command,
                    text: String::from_utf8_lossy(&output.stdout).into_owned(),
                    code: output
                        .status
                        .code()
                        .and_then(|code| u8::try_from(code).ok())
                        .unwrap_or(u8::MAX),
                },
                Err(_) => Output {
                    command,
                    text: String::new(),
                    code: NOT_FOUND,
                },
            }
        })
        .chain([status])
        .collect();
    Listing { vif, ifb, outputs }
}

/// What this program itself would print.
fn gate_status(ifb: &Device) -> Output {
    let status = super::gate::status(ifb);
    Output {
        command: status_command(ifb),
        code: u8::from(status.is_err()),
        text: status.unwrap_or_default(),
    }
}

fn report(
    found: &Finding,
    policy: &policy_lang::Policy,
    source: &policy_lang::source::SourceFile,
) -> Report {
    let code = found.code;
    let report = Report::error(format!("{}: {}", code.effect().words(), found.seen))
        .code(code.as_str())
        .note(code.why());
    let report = match &found.frame {
        Some(frame) => report
            .frame(frame.frame.clone())
            .note(format!(
                "the policy says {}: {}",
                frame.policy.verdict.keyword(),
                finding::decided_by(policy, source, frame.policy)
            ))
            .note(format!("the rules say: {}", finding::fate(&frame.rules))),
        None => report,
    };
    report.help(code.help())
}

fn summary(subject: &Subject<'_>, audit: &Audit, console: &mut Console) -> Result<(), Failure> {
    let Numbers {
        held_packets,
        held_bytes,
        dropped,
        overlimits,
    } = audit.numbers;
    let (vif, ifb, backend) = (&subject.vif, &subject.ifb, audit.backend);
    console.line(&format!(
        "{ifb} holds {held_packets} packets, {held_bytes} bytes; dropped {dropped}, overlimits \
         {overlimits}"
    ))?;
    let outcome = match (audit.proved, audit.findings.len()) {
        (Some(nodes), _) => format!(
            "the running rules equal the policy for every frame that reaches them ({nodes} nodes)"
        ),
        (None, 1) => String::from("1 finding"),
        (None, more) => format!("{more} findings"),
    };
    console.line(&format!("{vif} ({backend}): {outcome}"))
}

#[derive(Serialize)]
struct Outcome<'a> {
    vif: &'a str,
    ifb: &'a str,
    backend: &'a str,
    equal: bool,
    gate: Numbers,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    code: &'a str,
    effect: Effect,
    seen: &'a str,
    why: &'a str,
    help: &'a str,
    frame: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    text: String,
    hex: String,
    policy: &'static str,
    rules: String,
}

fn json(subject: &Subject<'_>, audit: &Audit) -> String {
    let outcome = Outcome {
        vif: subject.vif.as_str(),
        ifb: subject.ifb.as_str(),
        backend: audit.backend.name(),
        equal: audit.proved.is_some(),
        gate: audit.numbers,
        findings: audit
            .findings
            .iter()
            .map(|found| Found {
                code: found.code.as_str(),
                effect: found.code.effect(),
                seen: &found.seen,
                why: found.code.why(),
                help: found.code.help(),
                frame: found.frame.as_ref().map(|shown| Shown {
                    text: visible(&describe(&shown.frame)),
                    hex: hex(&shown.frame),
                    policy: shown.policy.verdict.keyword(),
                    rules: finding::fate(&shown.rules),
                }),
            })
            .collect(),
    };
    // Nothing in these records can fail to become JSON: they are strings and numbers.
    serde_json::to_string(&outcome).unwrap_or_default() + "\n"
}

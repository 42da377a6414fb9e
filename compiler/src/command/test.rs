//! `epochgate test`: a policy tried with frames at its own edges.

use std::path::{Path, PathBuf};

use policy_lang::policy::Policy;
use policy_lang::source::SourceFile;

use super::{finding, kind};
use crate::backend::Kind;
use crate::cli::{Console, PolicyFile};
use crate::compile::{CompileError, Request, make_rules, read_back};
use crate::device::Device;
use crate::exit::{self, Exit, Failure};
use crate::render::{Report, visible};
use crate::trial::{self, Candidate, Hits, Trial};
use crate::verify::in_space;

/// Try a policy with frames made at its own edges.
///
/// The frames are judged by the policy itself and by the rules of each back end, read back. If
/// they differ, the smallest frame that shows it is printed. The same seed gives the same frames.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// How many frames to make.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    frames: u64,
    /// Where the frames start.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only the rules of this back end [default: of each that can express the policy].
    #[arg(long, value_parser = kind())]
    backend: Option<Kind>,
}

/// Makes the rules, tries them, and prints what was covered.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let source = &file.source;
    let mut exit = Exit::Fine;
    let (mut rules, mut refused) = (Vec::new(), Vec::new());
    for backend in args
        .backend
        .map_or_else(|| Kind::ALL.to_vec(), |only| vec![only])
    {
        let request =
            request(policy, source, backend).map_err(|bad| Failure::usage(bad.to_string()))?;
        match make_rules(&request) {
            Ok(text) => rules.push((request, text)),
            // A back end that says that it can't is no finding, unless it was asked for.
            Err(CompileError::Refused(refusal)) if args.backend.is_none() => {
                let (term, reason) = (refusal.term, refusal.reason);
                refused.push(format!("{backend}: refuses `{term}`: {reason}"));
            }
            Err(error) => {
                for report in finding::not_compiled(policy, source, &error) {
                    console.report(Some(source), &report)?;
                }
                exit = Exit::Findings;
            }
        }
    }
    let result = {
        let mut progress = console.progress("frames tried");
        in_space(|space| -> Result<Trial, CompileError> {
            let mut candidates = Vec::new();
            for (request, text) in &rules {
                let outcome = read_back(request.backend, space, text, &request.vif)?;
                candidates.push(Candidate {
                    outcome,
                    ifb: request.ifb.clone(),
                });
            }
            let plan = (args.frames, args.seed);
            Ok(trial::run(space, policy, &candidates, plan, |done| {
                progress.update(done, args.frames);
            })?)
        })
    };
    let trial = match result {
        Ok(trial) => trial,
        Err(error) => {
            for report in finding::not_compiled(policy, source, &error) {
                console.report(Some(source), &report)?;
            }
            return Ok(Exit::Findings);
        }
    };
    console.raw(&coverage(policy, source, &trial, args.seed))?;
    for ((request, _), found) in rules.iter().zip(&trial.mismatches) {
        let verdict = if found.is_some() {
            "differs"
        } else {
            "agrees on every frame"
        };
        console.line(&format!("{}: {verdict}", request.backend))?;
        if let Some(found) = found {
            let report = finding::differs(policy, source, found);
            console.report(Some(source), &report)?;
            exit = Exit::Findings;
        }
    }
    refused.iter().try_for_each(|line| console.line(line))?;
    if trial.frames == 0 {
        console.report(None, &Report::warning("no frame was tried"))?;
    }
    Ok(exit)
}

/// What to make rules for: no names of devices matter here.
fn request<'a>(
    policy: &'a Policy,
    source: &'a SourceFile,
    backend: Kind,
) -> Result<Request<'a>, crate::device::BadDevice> {
    let vif = Device::new("vif1.0")?;
    Ok(Request {
        policy,
        name: source.name(),
        text: source.text(),
        backend,
        ifb: Device::ifb_for(&vif),
        vif,
    })
}

/// How many frames each rule decided.
fn coverage(policy: &Policy, source: &SourceFile, trial: &Trial, seed: u64) -> String {
    let file = Path::new(source.name()).display();
    let mut lines = vec![format!("{file}: {} frames, seed {seed}", trial.frames)];
    for (index, (rule, hits)) in policy.rules.iter().zip(&trial.rules).enumerate() {
        let brief = finding::brief(source, rule.span);
        let decided = match hits {
            Hits::Frames(hits) => hits.to_string(),
            Hits::Unreachable => String::from("none can"),
        };
        lines.push(format!("{decided:>10}  rule {}, {brief}", index + 1));
    }
    lines.push(format!(
        "{:>10}  no rule, default {}",
        trial.default,
        policy.default.keyword()
    ));
    lines.iter().map(|line| visible(line) + "\n").collect()
}

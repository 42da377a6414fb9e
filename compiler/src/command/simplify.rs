//! `epochgate simplify`: an equal policy with fewer rules.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use policy_lang::Policy;
use policy_lang::source::SourceFile;
use policy_lang::syntax::{parse, print};

use super::finding;
use crate::cli::{Console, PolicyFile, is_standard, replace};
use crate::exit::{self, Exit, Failure};
use crate::render::Report;
use crate::simplify::{Gone, STEPS, Simplified, SimplifyError, Why, simplify};
use crate::verify::in_space;

/// Write an equal policy with fewer rules.
///
/// Rules without which the policy is the same are left out, and rules that differ only in the values
/// of one field are joined. What is printed is proved equal to the policy for every frame, and is in
/// the canonical form. Standard error tells what is gone and why. A rule with `because` stays as long
/// as it decides about anything.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// Print no policy; exit with 1 if there is a simpler one.
    #[arg(long, conflicts_with = "in_place")]
    check: bool,
    /// Write the simpler policy in the place of the given one.
    #[arg(short, long)]
    in_place: bool,
}

/// Simplifies the policy.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    if args.in_place && is_standard(&args.policy) {
        return Err(Failure::usage("standard input has no place to write to"));
    }
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let source = &file.source;
    let done = AtomicU64::new(0);
    let all = (policy.rules.len() * STEPS) as u64;
    let found = console.counting("rules tried", (&done, Some(all)), || {
        in_space(|space| simplify(space, source, policy, &done))
    });
    let simple = match found {
        Ok(simple) => simple,
        Err(error) => {
            console.report(Some(source), &no_policy(&error))?;
            return Ok(Exit::Findings);
        }
    };
    for gone in &simple.gone {
        console.remark(source, gone.span, &why(policy, source, gone))?;
    }
    if args.check {
        return check(source, policy, &simple, console);
    }
    // A policy that is simple already keeps whatever else its form has.
    let text = if simple.gone.is_empty() {
        print(&parse(source).0)
    } else {
        simple.text
    };
    if !args.in_place {
        console.raw(&text)?;
    } else if text != source.text() {
        replace(&args.policy, &text)?;
    }
    Ok(Exit::Fine)
}

/// Says whether there is a simpler policy.
fn check(
    source: &SourceFile,
    policy: &Policy,
    simple: &Simplified,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let name = source.name();
    if simple.gone.is_empty() {
        console.line(&format!("{name}: no simpler policy found"))?;
        return Ok(Exit::Fine);
    }
    let (before, after) = (policy.rules.len(), simple.rules);
    console.line(&format!(
        "{name}: {after} of {before} rules are enough{}",
        if after == before {
            ", and less besides"
        } else {
            ""
        }
    ))?;
    Ok(Exit::Findings)
}

fn no_policy(error: &SimplifyError) -> Report {
    let bug = "this is a bug in epochgate; please report it with the policy";
    match error {
        SimplifyError::Full(full) => finding::too_complicated(full),
        SimplifyError::Unreadable(_) => Report::error(error.to_string()).help(bug),
        SimplifyError::Differs { frame } => Report::error(error.to_string())
            .frame(frame.clone())
            .help(bug),
    }
}

/// Why a statement is gone, in a line.
fn why(policy: &Policy, source: &SourceFile, gone: &Gone) -> String {
    let text = finding::words(source, gone.span);
    let place = |rule: usize| {
        let span = policy.rules.get(rule).map(|rule| rule.span);
        let line = source.place(span.unwrap_or_default().start).line;
        format!("rule {} in line {line}", rule + 1)
    };
    match &gone.why {
        Why::NeverDecides { rule } => {
            format!("rule {} never decided: {text}", rule + 1)
        }
        Why::Redundant { rule } => {
            format!("the policy is the same without rule {}: {text}", rule + 1)
        }
        Why::Merged { rule, with, field } => format!(
            "rule {} is joined with {}, which had another `{field}`: {text}",
            rule + 1,
            place(*with)
        ),
        Why::UnusedName(name) => format!("nothing uses `{name}`: {text}"),
        Why::AllowedForNothing(code) => format!("`{code}` finds nothing any more: {text}"),
    }
}

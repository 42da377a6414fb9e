//! `epochgate check`: is this a policy, are its expectations true, and does every rule decide?

use std::path::PathBuf;

use policy_lang::check::overlap::unreachable_rules;
use policy_lang::policy::Verdict;
use policy_lang::source::SourceFile;
use policy_lang::{Policy, SpaceFull};

use super::finding;
use crate::cli::{Console, PolicyFile, report_all};
use crate::exit::{self, Exit, Failure};
use crate::lint::{allowances, lints};
use crate::render::Report;
use crate::verify::{in_space, verify_expectations};

/// Check policies and prove their expectations.
///
/// Every `expect` statement is proved for all frames that it describes. One that is not true is
/// shown with a frame as the proof. Lints find what is seldom meant, such as a protocol with state
/// that bypasses; `allow LINT because "...";` in a policy says that it is meant.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// Policies to check; `-` is standard input.
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// Let warnings fail the check as errors do.
    #[arg(long)]
    deny_warnings: bool,
    /// Leave out the lints: findings about what is allowed and yet seldom meant.
    #[arg(long)]
    no_lints: bool,
}

/// Checks each policy and prints one line about it.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let mut exit = Exit::Fine;
    for path in &args.policies {
        let file = PolicyFile::open(path, console)?;
        let broken = match &file.policy {
            Some(policy) => prove(policy, &file.source, console)?,
            None => 0,
        };
        let idle = match &file.policy {
            Some(policy) => warn_of_idle_rules(policy, &file.source, console)?,
            None => 0,
        };
        let seldom_meant = match &file.policy {
            Some(policy) if !args.no_lints => lint(policy, &file.source, console)?,
            _ => 0,
        };
        let warnings = file.warnings + idle + seldom_meant;
        let denied = args.deny_warnings && warnings > 0;
        if file.errors + broken > 0 || denied {
            exit = Exit::Findings;
        }
        let summary = match &file.policy {
            Some(policy) if broken == 0 => describe(policy),
            _ => count(file.errors + broken, "error"),
        };
        let warnings = match warnings {
            0 => String::new(),
            some => format!(", {}", count(some, "warning")),
        };
        console.line(&format!("{}: {summary}{warnings}", file.source.name()))?;
    }
    Ok(exit)
}

/// Proves the expectations and reports those that are not true; how many that are.
fn prove(policy: &Policy, source: &SourceFile, console: &mut Console) -> Result<usize, Failure> {
    match in_space(|space| verify_expectations(space, policy)) {
        Ok(broken) => {
            for broken in &broken {
                console.report(Some(source), &finding::broken(policy, source, broken))?;
            }
            Ok(broken.len())
        }
        Err(full) => {
            console.report(Some(source), &finding::too_complicated(&full))?;
            Ok(1)
        }
    }
}

/// Warns of rules that never decide; how many there are. Where the sets of the rules outgrow all
/// spaces nothing is said: the policy is right without it, and `compile` tells of its size.
fn warn_of_idle_rules(
    policy: &Policy,
    source: &SourceFile,
    console: &mut Console,
) -> Result<usize, Failure> {
    let found = in_space(|space| unreachable_rules(policy, space)).unwrap_or_default();
    report_all(source, &found, console)?;
    Ok(found.len())
}

/// Reports what the lints find and the policy does not allow, and what it allows for nothing; how
/// many findings that are.
fn lint(policy: &Policy, source: &SourceFile, console: &mut Console) -> Result<usize, Failure> {
    let found = match in_space(|space| lints(space, policy)) {
        Ok(found) => found,
        // The proof of the expectations has said so.
        Err(SpaceFull::Stack(_)) => return Ok(0),
        Err(SpaceFull::Nodes(_)) => {
            console.report(Some(source), &finding::not_linted())?;
            return Ok(1);
        }
    };
    let allowed = allowances(source);
    let mut count = 0;
    for lint in &found {
        if allowed.iter().all(|allowance| allowance.code != lint.code) {
            count += 1;
            console.report(Some(source), &finding::lint(lint))?;
        }
    }
    for allowance in &allowed {
        let code = &allowance.code;
        let message = if !allowance.is_known() {
            format!("there is no lint `{code}`")
        } else if found.iter().all(|lint| lint.code != *code) {
            format!("`{code}` finds nothing here")
        } else {
            continue;
        };
        count += 1;
        let report = Report::warning(message).at(allowance.span, "allowed for nothing");
        console.report(Some(source), &report)?;
    }
    Ok(count)
}

/// A policy in one line.
fn describe(policy: &Policy) -> String {
    let default = match (policy.default, policy.default_span) {
        (verdict, Some(_)) => verdict.keyword(),
        (Verdict::Buffer, None) => "buffer (not stated)",
        (Verdict::Bypass, None) => "bypass (not stated)",
    };
    let expectations = match policy.expectations.len() {
        0 => String::from("no expectations"),
        some => count(some, "expectation") + " proved",
    };
    format!(
        "{}, default {default}, {expectations}",
        count(policy.rules.len(), "rule")
    )
}

/// `1 rule`, `2 rules`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

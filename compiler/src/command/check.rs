//! `epochgate check`: is this a policy, are its expectations true, and does every rule decide?

use std::path::PathBuf;

use policy_lang::check::overlap::unreachable_rules;
use policy_lang::policy::Verdict;
use policy_lang::source::{SourceFile, Span};
use policy_lang::{Policy, SpaceFull};

use super::finding;
use crate::cli::{Console, PolicyFile, bit_rate, report_all};
use crate::exit::{self, Exit, Failure};
use crate::lint::{Allowance, Lint, NEVER_DECIDES, allowances, lints, overflow};
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
    /// How much the VM sends that is held, such as `100Mbit/s`: warn if the gate's limit is too small
    /// for it.
    #[arg(long, value_name = "RATE", value_parser = byte_rate_of_link, conflicts_with = "no_lints")]
    rate: Option<u64>,
}

/// So many protocols that one statement lets pass are one warning.
const TOGETHER: usize = 3;

/// Bytes a second of a rate in bits.
fn byte_rate_of_link(text: &str) -> Result<u64, String> {
    let bytes = bit_rate(text)? / 8.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 1000Gbit/s"
    )]
    Ok(bytes.ceil() as u64)
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
        let warned = match &file.policy {
            Some(policy) => warn(policy, &file.source, args, console)?,
            None => 0,
        };
        let warnings = file.warnings + warned;
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

/// Warns of rules that never decide, unless the policy allows them, and, with `lints`, of what the
/// lints find and the policy does not allow; then also of what it allows for nothing. How many
/// findings that are.
fn warn(
    policy: &Policy,
    source: &SourceFile,
    args: &Args,
    console: &mut Console,
) -> Result<usize, Failure> {
    let allowed = allowances(source);
    let is_allowed = |code: &str| allowed.iter().any(|allowance| allowance.code == code);
    // Where the sets of the rules outgrow all spaces nothing is said: the policy is right without it,
    // and `compile` tells of its size.
    let idle = in_space(|space| unreachable_rules(policy, space)).unwrap_or_default();
    let mut count = 0;
    if !is_allowed(NEVER_DECIDES) {
        count += idle.len();
        report_all(source, &idle, console)?;
    }
    if args.no_lints {
        return Ok(count);
    }
    let mut found = in_space(|space| lints(space, policy));
    if let (Ok(found), Some(rate)) = (&mut found, args.rate) {
        found.extend(overflow(policy, rate));
    }
    let reports = judged(found, &allowed, !idle.is_empty());
    for report in &reports {
        console.report(Some(source), report)?;
    }
    Ok(count + reports.len())
}

/// What there is to say of what the lints found; `idle` is whether rules never decide.
fn judged(found: Result<Vec<Lint>, SpaceFull>, allowed: &[Allowance], idle: bool) -> Vec<Report> {
    let found = match found {
        Ok(found) => found,
        // The proof of the expectations has said so.
        Err(SpaceFull::Stack(_)) => return Vec::new(),
        Err(SpaceFull::Nodes(_)) => return vec![finding::not_linted()],
    };
    let is_allowed = |lint: &&Lint| allowed.iter().any(|allowance| allowance.code == lint.code);
    let told: Vec<&Lint> = found.iter().filter(|lint| !is_allowed(lint)).collect();
    let mut reports = Vec::new();
    let mut together: Vec<Option<Span>> = Vec::new();
    for lint in &told {
        let is_beside = |other: &&&Lint| is_stateful(other) && other.span == lint.span;
        let beside: Vec<&Lint> = told.iter().filter(is_beside).copied().collect();
        if !is_stateful(lint) || beside.len() < TOGETHER {
            reports.push(finding::lint(lint));
        } else if !together.contains(&lint.span) {
            together.push(lint.span);
            reports.push(finding::lints_together(&beside));
        }
    }
    for allowance in allowed {
        let code = &allowance.code;
        let fires = found.iter().any(|lint| lint.code == *code) || code == NEVER_DECIDES && idle;
        let message = if !allowance.is_known() {
            format!("there is no lint `{code}`")
        } else if !fires {
            format!("`{code}` finds nothing here")
        } else {
            continue;
        };
        reports.push(Report::warning(message).at(allowance.span, "allowed for nothing"));
    }
    reports
}

/// Whether a lint is about a protocol with state.
fn is_stateful(lint: &Lint) -> bool {
    lint.code.starts_with("L02")
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

#[cfg(test)]
mod tests {
    use super::*;
    use policy_lang::{Space, check};

    const HUGE: &str = "bypass udp src { 10.0.0.1, 10.7.0.9 } dport { 1, 77, 900 } rtp;";

    /// What is said of a policy whose sets may take so many nodes.
    fn said(text: &str, nodes: usize) -> Vec<String> {
        let source = SourceFile::new("case", text);
        let (policy, errors) = check(&source);
        let policy = policy.unwrap_or_else(|| panic!("{text}: {errors:?}"));
        let space = Space::new(nodes).unwrap();
        let reports = judged(lints(&space, &policy), &allowances(&source), false);
        reports.into_iter().map(|report| report.message).collect()
    }

    #[test]
    fn a_policy_that_is_too_large_for_the_lints_is_named_and_no_more() {
        let text = format!("{HUGE} allow L0301 because \"shown\"; allow L0402 because \"no\";");
        let warnings = said(&text, 1 << 11);
        assert_eq!(warnings, ["the policy is too complicated for the lints"]);
        let warnings = said(&text, 1 << 20);
        assert!(warnings.contains(&String::from("`L0402` finds nothing here")));
    }

    #[test]
    fn protocols_of_one_rule_are_one_warning_and_are_allowed_one_by_one() {
        let all = said("bypass udp;", 1 << 20);
        assert!(
            all.contains(&String::from("8 protocols with state bypass")),
            "{all:?}"
        );
        let mut text = String::from("bypass udp;");
        for code in 2..=7 {
            text += &format!("allow L020{code} because \"meant\";");
        }
        let some = said(&text, 1 << 20);
        assert!(some.contains(&String::from("OpenVPN bypasses")), "{some:?}");
        assert!(
            some.contains(&String::from("STUN or DTLS bypasses")),
            "{some:?}"
        );
        assert!(
            some.iter().all(|one| !one.contains("protocols")),
            "{some:?}"
        );
    }
}

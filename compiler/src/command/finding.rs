//! What the proofs and the back ends find, as reports.

use policy_lang::policy::Policy;
use policy_lang::set::STACK_SIZE;
use policy_lang::source::{SourceFile, Span};
use policy_lang::{Decision, Reason, SpaceFull};

use crate::backend::Refusal;
use crate::compile::CompileError;
use crate::frame_text::describe;
use crate::lint::Lint;
use crate::lower::TooManyAlternatives;
use crate::render::{Report, place};
use crate::verify::{Broken, Counterexample, Fate};

/// The code of a warning that stands for several lints of this hundred.
const TOGETHER: &str = "L0200";

/// Rules shorter than this are quoted whole.
const QUOTED: usize = 80;

/// An `expect` statement is not true.
pub(crate) fn broken(policy: &Policy, source: &SourceFile, broken: &Broken) -> Report {
    let claim = policy.expectations.get(broken.expectation);
    let span = claim.map_or_else(Span::default, |claim| claim.span);
    let wanted = claim.map_or("", |claim| claim.verdict.keyword());
    let found = broken.decision.verdict.keyword();
    let report = Report::error(format!(
        "the expectation is not true: the verdict is {found}"
    ))
    .code("E0501")
    .at(span, format!("claims {wanted} for every such frame"))
    .frame(broken.frame.clone());
    with_decision(report, policy, source, broken.decision)
}

/// Adds what decided about a frame: the rule as a second place.
fn with_decision(
    report: Report,
    policy: &Policy,
    source: &SourceFile,
    decision: Decision,
) -> Report {
    match decided_at(policy, decision) {
        Some(span) => report.also(span, "this decides about the frame below"),
        None => report.note(decided_by(policy, source, decision)),
    }
}

/// The statement that decided.
fn decided_at(policy: &Policy, decision: Decision) -> Option<Span> {
    match decision.reason {
        Reason::Rule(index) => policy.rules.get(index).map(|rule| rule.span),
        Reason::Default => policy.default_span,
        Reason::NothingMatched => None,
    }
}

/// What decided, in words: the rule with its text and place.
pub(crate) fn decided_by(policy: &Policy, source: &SourceFile, decision: Decision) -> String {
    match (decision.reason, decided_at(policy, decision)) {
        (Reason::Rule(index), Some(span)) => format!("rule {}, {}", index + 1, quote(source, span)),
        (Reason::Default, Some(span)) => {
            format!("no rule matches, {}", quote(source, span))
        }
        _ => String::from("no rule matches, and no default is stated"),
    }
}

/// A statement in backticks and its place.
pub(crate) fn quote(source: &SourceFile, span: Span) -> String {
    format!("{} ({})", words(source, span), place(source, span))
}

/// A statement in backticks.
pub(crate) fn words(source: &SourceFile, span: Span) -> String {
    let words: Vec<&str> = source.slice(span).split_whitespace().collect();
    format!("`{}`", shortened(words.join(" ")))
}

/// A statement without its reason, for tables about a single policy.
pub(crate) fn brief(source: &SourceFile, span: Span) -> String {
    let words: Vec<&str> = source
        .slice(span)
        .split_whitespace()
        .take_while(|word| *word != "because")
        .collect();
    let line = source.place(span.start).line;
    format!("line {line}: {}", shortened(words.join(" ")))
}

/// `text`, or its beginning if it is long.
fn shortened(mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(QUOTED) {
        text.truncate(cut);
        text.push_str("...");
    }
    text
}

/// A lint found something.
pub(crate) fn lint(found: &Lint) -> Report {
    let mut report = Report::warning(found.message.clone()).code(found.code);
    if let Some(span) = found.span {
        report = report.at(span, "");
    }
    if let Some((span, what)) = &found.also {
        report = report.also(*span, what.clone());
    }
    report.notes.clone_from(&found.notes);
    report.help.clone_from(&found.help);
    match found.frames.as_slice() {
        [] => report,
        [only] => report.frame(only.clone()),
        several => several.iter().zip(1..).fold(report, |report, (frame, at)| {
            report.note(format!("frame {at}: {}", describe(frame)))
        }),
    }
}

/// Protocols with state that one statement lets pass, in one warning. Each of them is allowed by its
/// own code.
pub(crate) fn lints_together(found: &[&Lint]) -> Report {
    let mut report = Report::warning(format!("{} protocols with state bypass", found.len()));
    if let Some(span) = found.first().and_then(|first| first.span) {
        report = report.at(span, "");
    }
    for lint in found {
        let frame = lint.frames.first().map(|frame| describe(frame));
        report = report.note(format!(
            "{}: {}: {}",
            lint.code,
            lint.message,
            frame.unwrap_or_default()
        ));
    }
    report
        .code(TOGETHER)
        .note("peers may have seen of each what is taken back by a failover")
        .help("hold them with rules in front; `allow` takes the single codes")
}

/// The lints need too much memory. The policy may be right all the same.
pub(crate) fn not_linted() -> Report {
    Report::warning("the policy is too complicated for the lints").help(
        "name fewer different sets of addresses and ports, or leave the lints out: `--no-lints`",
    )
}

/// The proof needs too much memory.
pub(crate) fn too_complicated(full: &SpaceFull) -> Report {
    match full {
        SpaceFull::Nodes(_) => {
            Report::error(format!("the policy is too complicated to prove: {full}"))
                .help("fewer different sets of addresses and ports make smaller proofs")
        }
        SpaceFull::Stack(_) => Report::error(format!("the policy can't be proved here: {full}"))
            .help(format!(
                "a smaller one is enough for most policies: {STACK_SIZE}=67108864"
            )),
    }
    .code("E0603")
}

fn refused(refusal: &Refusal) -> Report {
    let report = Report::error(refusal.to_string()).code("E0601");
    let report = match refusal.span {
        Some(span) => report.at(span, format!("`{}` is the trouble", refusal.term)),
        None => report,
    };
    match refusal.instead {
        Some(other) => report.help(format!("the {other} back end can: `--backend {other}`")),
        None => report,
    }
}

fn too_many(error: &TooManyAlternatives) -> Report {
    Report::error(error.to_string())
        .code("E0602")
        .at(error.span, "")
        .help("several rules with the same verdict say the same and stay small")
}

/// Rules and policy disagree about a frame.
pub(crate) fn differs(policy: &Policy, source: &SourceFile, found: &Counterexample) -> Report {
    let report = Report::error("the rules that were made differ from the policy")
        .code("E0901")
        .frame(found.frame.clone())
        .note(format!(
            "the policy says {}: {}",
            found.policy.verdict.keyword(),
            decided_by(policy, source, found.policy)
        ))
        .note(format!("the rules say: {}", fate(&found.rules)));
    report.help("this is a bug in epochgate; please report it with the policy")
}

/// What becomes of a frame, in words.
pub(crate) fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Bypass => String::from("bypass"),
        Fate::Held(device) => format!("held in {device}"),
        Fate::Dropped => String::from("dropped"),
        Fate::Unsure => String::from("treated in one way by some kernels and in another by others"),
    }
}

/// Why a policy did not compile.
pub(crate) fn not_compiled(
    policy: &Policy,
    source: &SourceFile,
    error: &CompileError,
) -> Vec<Report> {
    match error {
        CompileError::Broken(all) => all.iter().map(|one| broken(policy, source, one)).collect(),
        CompileError::Refused(refusal) => vec![refused(refusal)],
        CompileError::TooManyAlternatives(error) => vec![too_many(error)],
        CompileError::Differs(found) => vec![differs(policy, source, found)],
        CompileError::TooComplicated(full) => vec![too_complicated(full)],
        CompileError::Limit { .. } => vec![Report::error(error.to_string()).code("E0604")],
        // The command line offers only back ends with a script.
        CompileError::Unreadable(_) | CompileError::Script(_) => vec![
            Report::error(error.to_string())
                .code("E0902")
                .help("this is a bug in epochgate; please report it with the policy"),
        ],
    }
}

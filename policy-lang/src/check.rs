//! From a syntax tree to a checked policy: names resolved, values read, contradictions refused.
//!
//! `resolve` orders the `let`s and says what each stands for, `types` and `literal` turn spelt
//! values into sets of field values, `lower` builds conditions from terms, `never` finds those
//! that no packet can fulfil, `gate` reads the settings. A fault in one statement hides none in
//! another; what depends on a faulty definition is left out silently, since it has been reported.
//! [`join`] joins written sets for whoever changes a tree.
//! [`overlap`] looks at the rules of a checked policy together, and is asked separately.

#![expect(
    clippy::result_large_err,
    reason = "an error ends the reading of one statement"
)]

mod constant;
mod gate;
mod guess;
pub mod join;
mod literal;
mod lower;
mod never;
pub mod overlap;
mod resolve;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::policy::{Condition, Expectation, Gate, Policy, Rule, Verdict};
use crate::source::{SourceFile, Span};
use crate::syntax::parse;
use crate::syntax::tree::{self, File, StatementKind};

/// Most conditions and ranges in a policy once names are filled in.
pub const MAX_EXPANSION: usize = 2_000_000;
/// Deepest nesting of a condition or a set once names are filled in.
pub const MAX_EXPANDED_DEPTH: usize = 256;

/// Reads and checks a policy. There is a policy exactly if no diagnostic is an error; the
/// diagnostics are in the order of the text; after [`crate::diagnostic::MAX_FINDINGS`] errors one
/// says that there may be more.
#[must_use]
pub fn check(source: &SourceFile) -> (Option<Policy>, Vec<Diagnostic>) {
    let (tree, found) = parse(source);
    let mut checker = Checker::new(source);
    found.into_iter().for_each(|found| checker.sink.push(found));
    checker.define_names(&tree);
    let policy = checker.policy(&tree);
    checker.report_unused(&tree);
    let diagnostics = checker.sink.finish();
    let failed = diagnostics.iter().any(Diagnostic::is_error);
    ((!failed).then_some(policy), diagnostics)
}

/// What is known while a policy is checked.
struct Checker<'a> {
    source: &'a SourceFile,
    sink: Sink,
    names: BTreeMap<&'a str, resolve::Entry<'a>>,
    /// Named sets as values of a kind of field, so that each is read and reported once per kind.
    typed: BTreeMap<(&'a str, types::Kind), Option<types::Values>>,
    /// Names on a cycle.
    cyclic: BTreeSet<&'a str>,
    /// Names whose definitions could not be read.
    broken_names: BTreeSet<&'a str>,
    /// Conditions and ranges made so far.
    spent: usize,
    never: never::Prover,
}

impl<'a> Checker<'a> {
    fn new(source: &'a SourceFile) -> Self {
        Self {
            source,
            sink: Sink::default(),
            names: BTreeMap::new(),
            typed: BTreeMap::new(),
            cyclic: BTreeSet::new(),
            broken_names: BTreeSet::new(),
            spent: 0,
            never: never::Prover::default(),
        }
    }

    fn policy(&mut self, tree: &'a File) -> Policy {
        let mut policy = Policy {
            rules: Vec::new(),
            default: Verdict::Buffer,
            default_span: None,
            expectations: Vec::new(),
            gate: Gate::default(),
        };
        let mut gate_span = None;
        for statement in &tree.statements {
            if self.sink.is_full() {
                break;
            }
            let span = statement.span;
            match &statement.kind {
                StatementKind::Rule(rule) => {
                    let condition = match &rule.condition {
                        Some(condition) => self.condition(condition),
                        None => Some(Condition::Always),
                    };
                    policy.rules.extend(condition.map(|condition| Rule {
                        verdict: verdict(&rule.verdict),
                        condition,
                        because: rule.because.as_ref().map(|reason| reason.text.clone()),
                        span,
                    }));
                }
                StatementKind::Expect(expect) => {
                    let condition = self.condition(&expect.condition);
                    policy
                        .expectations
                        .extend(condition.map(|condition| Expectation {
                            verdict: verdict(&expect.verdict),
                            condition,
                            span,
                        }));
                }
                StatementKind::Default(word) => match policy.default_span {
                    None => {
                        policy.default = verdict(word);
                        policy.default_span = Some(span);
                    }
                    Some(first) => self.twice(Code::DuplicateDefault, "two defaults", first, span),
                },
                StatementKind::Gate(gate) => match gate_span {
                    None => {
                        gate_span = Some(span);
                        policy.gate = self.gate(gate);
                    }
                    Some(first) => self.twice(Code::DuplicateGate, "two gate blocks", first, span),
                },
                StatementKind::Let(_) | StatementKind::Allow(_) | StatementKind::Broken { .. } => {}
            }
        }
        policy
    }

    /// Reports a second thing of which there can be only one.
    fn twice(&mut self, code: Code, message: impl Into<String>, first: Span, second: Span) {
        self.sink.push(
            Diagnostic::new(code, message, second)
                .label("again here")
                .also(first, "first here"),
        );
    }

    /// Accounts for something that grows the policy; reports and answers false once it is too large.
    fn spend(&mut self, size: usize, span: Span) -> bool {
        let before = self.spent;
        self.spent = self.spent.saturating_add(size);
        if before <= MAX_EXPANSION && self.spent > MAX_EXPANSION {
            let message = "policy too large once its names are filled in";
            self.sink.push(
                Diagnostic::new(Code::ExpansionTooLarge, message, span)
                    .label("here it grows beyond the limit"),
            );
        }
        self.spent <= MAX_EXPANSION
    }
}

fn verdict(word: &tree::Verdict) -> Verdict {
    if word.bypass {
        Verdict::Bypass
    } else {
        Verdict::Buffer
    }
}

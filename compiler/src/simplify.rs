//! An equal policy with the fewest rules found.
//!
//! Two steps take turns until neither finds anything: [`sweep`] leaves out rules without which the
//! policy is the same, [`merge`] joins rules that differ only in the values of one field. Which rules
//! are left depends on the order in which they are tried, so several orders are, and the one that
//! leaves the fewest rules counts. What comes out is printed, read again and compared with the policy
//! over all frames; nothing that is not equal is answered.

mod merge;
mod rebuild;
mod sweep;

use std::sync::atomic::{AtomicU64, Ordering};

use policy_lang::diagnostic::Diagnostic;
use policy_lang::policy::{Policy, Verdict};
use policy_lang::source::{SourceFile, Span};
use policy_lang::syntax::parse;
use policy_lang::syntax::tree::{Condition, StatementKind};
use policy_lang::{PacketSet, Space, SpaceFull};

use crate::verify::MaybeFull;

/// A simpler policy, equal to the one that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simplified {
    /// Its text in the canonical form.
    pub text: String,
    /// How many rules it has.
    pub rules: usize,
    /// What is no longer there, in the order of the given text.
    pub gone: Vec<Gone>,
}

/// A statement that is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Where it stood.
    pub span: Span,
    /// Why it could go.
    pub why: Why,
}

/// Why a statement could go. Rules are numbered from 0 in the given policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The rules in front of rule `rule` match all of its frames.
    NeverDecides {
        /// The rule that is gone.
        rule: usize,
    },
    /// What rule `rule` decided, the rules behind it and the default decide the same way.
    Redundant {
        /// The rule that is gone.
        rule: usize,
    },
    /// Rule `rule` was joined with `with`: they differed only in the values of `field`.
    Merged {
        /// The rule that is gone.
        rule: usize,
        /// The rule that now has its values as well.
        with: usize,
        /// The field, as the language calls it.
        field: &'static str,
    },
    /// Nothing uses this name.
    UnusedName(String),
    /// What this lint found is gone.
    AllowedForNothing(String),
}

/// Why there is no simpler policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimplifyError {
    /// The sets outgrew their space.
    #[error(transparent)]
    Full(#[from] SpaceFull),
    /// The simpler text is no policy: a bug in Epochgate.
    #[error("the simpler policy can't be read: {0}")]
    Unreadable(String),
    /// The simpler policy is not equal: a bug in Epochgate.
    #[error("the simpler policy differs from the one that was given")]
    Differs {
        /// A frame that shows it.
        frame: Vec<u8>,
    },
}

impl MaybeFull for SimplifyError {
    fn is_full(&self) -> bool {
        matches!(self, Self::Full(SpaceFull::Nodes(_)))
    }
}

/// A rule on its way.
#[derive(Clone, Debug)]
struct Line {
    /// Its number in the given policy.
    rule: usize,
    /// The numbers of those that were joined with it, with the field that they differed in.
    joined: Vec<(usize, &'static str)>,
    verdict: Verdict,
    because: Option<String>,
    condition: Option<Condition>,
    set: PacketSet,
}

/// What is left of the rules, and why the others are gone.
#[derive(Clone, Debug)]
struct Left {
    lines: Vec<Line>,
    gone: Vec<Why>,
}

/// From which end rules are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Front,
    Back,
}

/// The orders that are tried: of rules in a sweep, and of terms in a merge.
const ORDERS: [[From; 2]; 4] = [
    [From::Back, From::Front],
    [From::Back, From::Back],
    [From::Front, From::Front],
    [From::Front, From::Back],
];

/// How many steps [`simplify`] counts up for each rule, at most: one for each order.
pub const STEPS: usize = ORDERS.len();

/// Simplifies `policy`, which is what `source` says. Counts up `done` on the way, to about [`STEPS`]
/// for each rule.
///
/// # Errors
///
/// [`SimplifyError`]; then nothing is known of a simpler policy.
pub fn simplify(
    space: &Space,
    source: &SourceFile,
    policy: &Policy,
    done: &AtomicU64,
) -> Result<Simplified, SimplifyError> {
    done.store(0, Ordering::Relaxed);
    let (tree, _) = parse(source);
    let lines = lines(space, policy, &tree)?;
    let count = lines.len();
    let mut best: Option<Left> = None;
    for [rules, terms] in ORDERS {
        let mut left = Left {
            lines: lines.clone(),
            gone: Vec::new(),
        };
        loop {
            let before = left.lines.len();
            sweep::sweep(space, &mut left, policy.default, rules)?;
            merge::merge(space, &mut left, terms)?;
            if left.lines.len() == before {
                break;
            }
        }
        let fewer = |best: &Left| left.lines.len() < best.lines.len();
        if best.as_ref().is_none_or(fewer) {
            best = Some(left);
        }
        done.fetch_add(count as u64, Ordering::Relaxed);
    }
    let left = best.unwrap_or(Left {
        lines,
        gone: Vec::new(),
    });
    rebuild::rebuild(space, source, policy, tree, &left)
}

/// The rules of a policy with what they match.
fn lines(
    space: &Space,
    policy: &Policy,
    tree: &policy_lang::syntax::tree::File,
) -> Result<Vec<Line>, SpaceFull> {
    let written = tree.statements.iter().filter_map(|one| match &one.kind {
        StatementKind::Rule(rule) => Some(rule),
        _ => None,
    });
    policy
        .rules
        .iter()
        .zip(written)
        .enumerate()
        .map(|(at, (rule, written))| {
            Ok(Line {
                rule: at,
                joined: Vec::new(),
                verdict: rule.verdict,
                because: rule.because.clone(),
                condition: written.condition.clone(),
                set: space.condition(&rule.condition)?,
            })
        })
        .collect()
}

/// The findings of a text in one line, for a message.
fn in_a_line(found: &[Diagnostic]) -> String {
    let texts: Vec<String> = found
        .iter()
        .filter(|found| found.is_error())
        .map(|found| format!("{}: {}", found.code, found.message))
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;

//! From what is left of the rules to a text, which is read again and compared.
//!
//! Comments go where the thing goes that they stand at; a block of them that an empty line parts from
//! the statement behind it is about more than that statement, and stays.

use std::collections::BTreeMap;

use policy_lang::check::check;
use policy_lang::diagnostic::Code;
use policy_lang::policy::Policy;
use policy_lang::source::SourceFile;
use policy_lang::syntax::print;
use policy_lang::syntax::tree::{Comment, File, Statement, StatementKind};
use policy_lang::{Space, SpaceFull};

use super::{Gone, Left, Simplified, SimplifyError, Why, in_a_line};
use crate::lint::{allowances, lints};

/// Lints about single rules: what they find may be gone. The others are about verdicts, which are
/// the same.
const ABOUT_RULES: [&str; 4] = ["L0101", "L0102", "L0403", "W0302"];

/// Writes the policy with these rules.
pub(super) fn rebuild(
    space: &Space,
    source: &SourceFile,
    policy: &Policy,
    tree: File,
    left: &Left,
) -> Result<Simplified, SimplifyError> {
    let mut gone = reasons(policy, left);
    let mut tree = with_rules(tree, left);
    let read = |tree: &File| {
        let written = SourceFile::new(source.name(), print(tree));
        let (policy, found) = check(&written);
        match policy {
            Some(policy) => Ok((written, policy, found)),
            None => Err(SimplifyError::Unreadable(in_a_line(&found))),
        }
    };
    // A name that only unused names use is unused once they are gone.
    let (written, simple) = loop {
        let (written, policy, found) = read(&tree)?;
        let unused: Vec<String> = found
            .iter()
            .filter(|found| found.code == Code::UnusedLet)
            .map(|found| written.slice(found.primary.span).to_owned())
            .collect();
        if unused.is_empty() {
            break (written, policy);
        }
        tree = without(tree, |statement| match &statement.kind {
            StatementKind::Let(definition) if unused.contains(&definition.name.text) => {
                gone.push(Gone {
                    span: statement.span,
                    why: Why::UnusedName(definition.name.text.clone()),
                });
                true
            }
            _ => false,
        });
    };
    let idle = allowed_for_nothing(space, &written, &simple)?;
    tree = without(tree, |statement| match &statement.kind {
        StatementKind::Allow(allow) if idle.contains(&allow.lint.text) => {
            gone.push(Gone {
                span: statement.span,
                why: Why::AllowedForNothing(allow.lint.text.clone()),
            });
            true
        }
        _ => false,
    });
    let (written, simple, _) = read(&tree)?;
    let [was, is] = [space.bypass_of(policy)?, space.bypass_of(&simple)?];
    if let Some(frame) = space.difference(&was, &is)? {
        return Err(SimplifyError::Differs { frame });
    }
    gone.sort_by_key(|gone| gone.span);
    Ok(Simplified {
        text: written.text().to_owned(),
        rules: simple.rules.len(),
        gone,
    })
}

/// Why rules are gone, with their places.
fn reasons(policy: &Policy, left: &Left) -> Vec<Gone> {
    let joined = left.lines.iter().flat_map(|line| {
        line.joined.iter().map(|(rule, field)| Why::Merged {
            rule: *rule,
            with: line.rule,
            field,
        })
    });
    left.gone
        .iter()
        .cloned()
        .chain(joined)
        .map(|why| {
            let rule = match why {
                Why::NeverDecides { rule } | Why::Redundant { rule } | Why::Merged { rule, .. } => {
                    policy.rules.get(rule)
                }
                Why::UnusedName(_) | Why::AllowedForNothing(_) => None,
            };
            Gone {
                span: rule.map(|rule| rule.span).unwrap_or_default(),
                why,
            }
        })
        .collect()
}

/// The tree with what is left of its rules. Comments at a rule that was joined go to the rule that it
/// was joined with.
fn with_rules(tree: File, left: &Left) -> File {
    // For each rule of the given policy, the one that it was joined with.
    let with: BTreeMap<usize, usize> = left
        .lines
        .iter()
        .flat_map(|line| line.joined.iter().map(|(rule, _)| (*rule, line.rule)))
        .collect();
    let rules = tree
        .statements
        .iter()
        .filter(|statement| matches!(statement.kind, StatementKind::Rule(_)));
    let mut comments: BTreeMap<usize, Vec<Comment>> = BTreeMap::new();
    for (rule, statement) in rules.enumerate() {
        if let Some(with) = with.get(&rule) {
            let all = comments.entry(*with).or_default();
            all.extend(own_comments(statement));
        }
    }
    let mut next = 0;
    let mut lines = left.lines.iter().peekable();
    let mut tree = without(tree, |statement| {
        if !matches!(statement.kind, StatementKind::Rule(_)) {
            return false;
        }
        let rule = next;
        next += 1;
        lines.next_if(|line| line.rule == rule).is_none()
    });
    let mut lines = left.lines.iter();
    for statement in &mut tree.statements {
        if let StatementKind::Rule(written) = &mut statement.kind
            && let Some(line) = lines.next()
        {
            written.condition.clone_from(&line.condition);
            let theirs = comments.remove(&line.rule);
            statement.before.extend(theirs.unwrap_or_default());
        }
    }
    tree
}

/// Where the comments begin that stand at the statement itself and not in front of a gap.
fn own(statement: &Statement) -> usize {
    if statement.gap {
        return statement.before.len();
    }
    let gap = statement.before.iter().rposition(|comment| comment.gap);
    gap.unwrap_or(0)
}

/// The comments at a statement, as they go with it to another one.
fn own_comments(statement: &Statement) -> Vec<Comment> {
    let above = statement.before.iter().skip(own(statement));
    let texts = above.map(|comment| comment.text.clone());
    texts
        .chain(statement.after.clone())
        .map(|text| Comment { gap: false, text })
        .collect()
}

/// The tree without the statements that `goes` says. Comments that are about more than such a
/// statement stay, and so does an empty line in front of it.
fn without(tree: File, mut goes: impl FnMut(&Statement) -> bool) -> File {
    let mut statements: Vec<Statement> = Vec::new();
    let mut stay: Vec<Comment> = Vec::new();
    let mut gap = false;
    for (at, mut statement) in tree.statements.into_iter().enumerate() {
        if goes(&statement) {
            gap |= statement.gap || statement.before.first().is_some_and(|first| first.gap);
            // What a file begins with is about the file.
            if at > 0 {
                let own = own(&statement);
                statement.before.truncate(own);
            }
            stay.append(&mut statement.before);
            continue;
        }
        if gap || !stay.is_empty() {
            match statement.before.first_mut() {
                Some(first) => first.gap = true,
                None => statement.gap = true,
            }
        }
        gap = false;
        stay.append(&mut statement.before);
        statement.before = std::mem::take(&mut stay);
        statements.push(statement);
    }
    let mut end = tree.end;
    if let (false, Some(first)) = (stay.is_empty(), end.first_mut()) {
        first.gap = true;
    }
    stay.append(&mut end);
    File {
        statements,
        end: stay,
    }
}

/// What the policy allows of the lints about rules that finds nothing in it.
fn allowed_for_nothing(
    space: &Space,
    source: &SourceFile,
    policy: &Policy,
) -> Result<Vec<String>, SpaceFull> {
    let mut allowed: Vec<String> = allowances(source)
        .into_iter()
        .map(|allowance| allowance.code)
        .filter(|code| ABOUT_RULES.contains(&code.as_str()))
        .collect();
    if !allowed.is_empty() {
        // No rule is left that never decides.
        let found = lints(space, policy)?;
        allowed.retain(|code| found.iter().all(|lint| lint.code != *code));
    }
    Ok(allowed)
}

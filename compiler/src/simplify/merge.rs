//! Rules that differ only in the values of one field, joined to one rule.
//!
//! Such rules have the same verdict, the same reason or none, and the same terms but for the values of
//! one field, which a set can hold together: `sport 5004` and `sport 5006` are `sport { 5004, 5006 }`.
//! One of the two moves to the other's place, if no rule with the other verdict that it passes matches
//! any of its frames. Conditions with `or`, and those with comments inside, stay as they were written.

use std::collections::BTreeMap;

use policy_lang::check::join::joined;
use policy_lang::syntax::factor_text;
use policy_lang::syntax::tree::{Atom, Condition, Factor, Field, Set, TermKind};
use policy_lang::{Space, SpaceFull};

use super::{From, Left, Line};

/// Most values of a set that is made here; longer ones belong into a `let`, which only a person can
/// name.
const MOST_VALUES: usize = 4096;

/// A rule that others are joined with.
struct Group {
    /// Which factor of its condition gets the values of the others.
    factor: usize,
    field: Field,
    /// The rules, by their places; the first is where they all go.
    members: Vec<usize>,
    values: usize,
}

/// Joins rules. `from` says which of their terms is left open first, to look for others that differ
/// in it.
pub(super) fn merge(space: &Space, left: &mut Left, from: From) -> Result<(), SpaceFull> {
    let keys: Vec<Vec<(usize, String)>> = left.lines.iter().map(|line| keys(line, from)).collect();
    // By key, the rule that others are joined with, and which factor is left open there.
    let mut open: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    let mut taken = vec![false; left.lines.len()];
    for (at, own) in keys.iter().enumerate() {
        for (factor, key) in own {
            let Some(&(first, there)) = open.get(key.as_str()) else {
                continue;
            };
            // A rule that already has the values of others differs from what its other keys say.
            if groups
                .get(&first)
                .is_some_and(|group| group.factor != there)
            {
                continue;
            }
            if !may_move(space, left, [first, at])? {
                continue;
            }
            let group = groups.entry(first).or_insert_with(|| Group {
                factor: there,
                field: Field::Sport,
                members: vec![first],
                values: values(left, first, there),
            });
            let more = values(left, at, *factor);
            if group.values + more > MOST_VALUES {
                continue;
            }
            if let Some((field, _)) = term(left, at, *factor) {
                group.field = field;
                group.values += more;
                group.members.push(at);
                if let Some(line) = taken.get_mut(at) {
                    *line = true;
                }
                break;
            }
        }
        if taken.get(at) == Some(&false) {
            for (factor, key) in own {
                open.entry(key).or_insert((at, *factor));
            }
        }
    }
    for (first, group) in groups {
        if group.members.len() > 1 {
            join(space, left, first, &group, &keys)?;
        }
    }
    let mut taken = taken.into_iter();
    left.lines.retain(|_| taken.next() == Some(false));
    Ok(())
}

/// The rule at `at` may move in front to `first`: of the rules between them, none with the other
/// verdict matches any of its frames. Also those count that go away themselves: the rule that one of
/// them is joined with may stand between the two.
fn may_move(space: &Space, left: &Left, [first, at]: [usize; 2]) -> Result<bool, SpaceFull> {
    let Some(moving) = left.lines.get(at) else {
        return Ok(false);
    };
    for line in left.lines.iter().take(at).skip(first + 1) {
        if line.verdict != moving.verdict && !space.intersection(&line.set, &moving.set)?.is_empty()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives the first rule of a group the values of the others.
fn join(
    space: &Space,
    left: &mut Left,
    first: usize,
    group: &Group,
    keys: &[Vec<(usize, String)>],
) -> Result<(), SpaceFull> {
    let wanted = keys
        .get(first)
        .and_then(|own| own.iter().find(|(factor, _)| *factor == group.factor));
    let same = |at: usize| {
        let own = keys.get(at)?;
        let found = own
            .iter()
            .find(|(_, key)| Some(key) == wanted.map(|(_, key)| key));
        found.map(|(factor, _)| *factor)
    };
    let sets: Vec<Set> = group
        .members
        .iter()
        .filter_map(|&at| Some(term(left, at, same(at)?)?.1.clone()))
        .collect();
    let frames: Vec<_> = group
        .members
        .iter()
        .filter_map(|&at| left.lines.get(at))
        .map(|line| line.set.clone())
        .collect();
    let others: Vec<(usize, &'static str)> = group
        .members
        .iter()
        .skip(1)
        .filter_map(|&at| left.lines.get(at))
        .flat_map(|line| {
            let own = (line.rule, group.field.as_str());
            std::iter::once(own).chain(line.joined.iter().copied())
        })
        .collect();
    let frames = space.union_all(frames)?;
    if let Some(line) = left.lines.get_mut(first) {
        line.set = frames;
        line.joined.extend(others);
        let factor = line
            .condition
            .as_mut()
            .and_then(|condition| condition.alternatives.first_mut())
            .and_then(|conjunction| conjunction.factors.get_mut(group.factor));
        if let Some(Factor {
            atom: Atom::Term(term),
            ..
        }) = factor
            && let TermKind::Field { set, field, .. } = &mut term.kind
        {
            *set = joined(&sets, *field);
        }
    }
    Ok(())
}

/// The factors of a condition without `or`.
fn factors(condition: &Condition) -> Option<&[Factor]> {
    match condition.alternatives.as_slice() {
        [only] => Some(&only.factors),
        _ => None,
    }
}

/// The field and the values of a factor, if that is what it is.
fn term(left: &Left, at: usize, factor: usize) -> Option<(Field, &Set)> {
    let condition = left.lines.get(at)?.condition.as_ref()?;
    field(factors(condition)?.get(factor)?)
}

fn field(factor: &Factor) -> Option<(Field, &Set)> {
    match &factor.atom {
        Atom::Term(term) if factor.negations == 0 => match &term.kind {
            TermKind::Field { field, set, .. } => Some((*field, set)),
            _ => None,
        },
        _ => None,
    }
}

/// How many values a factor names.
fn values(left: &Left, at: usize, factor: usize) -> usize {
    fn count(set: &Set) -> usize {
        match set {
            Set::Braces { items, .. } => items.iter().map(|item| count(&item.set)).sum(),
            Set::Element(_) => 1,
        }
    }
    term(left, at, factor).map_or(0, |(_, set)| count(set))
}

/// For each factor that could hold more values, what a rule that could be joined must have too.
fn keys(line: &Line, from: From) -> Vec<(usize, String)> {
    let parts = line
        .condition
        .as_ref()
        .and_then(factors)
        .unwrap_or_default();
    let texts: Option<Vec<String>> = parts.iter().map(factor_text).collect();
    let Some(texts) = texts else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (at, factor) in parts.iter().enumerate() {
        let Some((field, _)) = field(factor) else {
            continue;
        };
        let mut others: Vec<&str> = texts
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, text)| text.as_str())
            .collect();
        others.sort_unstable();
        let (verdict, word) = (line.verdict.keyword(), field.as_str());
        // A reason has no line feed.
        let reason = line
            .because
            .as_ref()
            .map_or_else(String::new, |why| format!("\"{why}"));
        keys.push((
            at,
            format!("{verdict}\n{word}\n{}\n{reason}", others.join("\n")),
        ));
    }
    if from == From::Back {
        keys.reverse();
    }
    keys
}

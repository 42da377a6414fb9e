//! Rules that never decide, because the rules in front of them match all of their packets.
//!
//! Apart from [`check`](super::check()), because it looks at all rules together and so takes
//! longer: a caller that goes on to compile need not wait for it.

use crate::diagnostic::{Code, Diagnostic, MAX_FINDINGS};
use crate::policy::{Policy, Rule};
use crate::set::{PacketSet, Space, SpaceFull};

/// Most earlier rules that a finding points at.
const MOST_BLAMED: usize = 3;

/// Warns of every rule that decides about no packet, at most [`MAX_FINDINGS`] of them, in the
/// order of the rules.
///
/// # Errors
///
/// [`SpaceFull`] if the sets of the rules outgrow their space.
pub fn unreachable_rules(policy: &Policy, space: &Space) -> Result<Vec<Diagnostic>, SpaceFull> {
    let sets: Result<Vec<_>, _> = policy
        .rules
        .iter()
        .map(|rule| space.condition(&rule.condition))
        .collect();
    let sets = sets?;
    let mut covered = Vec::new();
    search(space, &sets, 0, &space.none(), &mut covered)?;
    covered
        .into_iter()
        .filter_map(|at| {
            let (earlier, rest) = policy.rules.split_at_checked(at)?;
            Some(report(space, rest.first()?, sets.get(at)?, earlier, &sets))
        })
        .collect()
}

/// Collects the indices of the rules that add nothing to `before`, and answers what all of them
/// match. Halving keeps the unions small, as in folding.
fn search(
    space: &Space,
    sets: &[PacketSet],
    first: usize,
    before: &PacketSet,
    covered: &mut Vec<usize>,
) -> Result<PacketSet, SpaceFull> {
    match sets {
        [] => Ok(space.none()),
        [one] => {
            if covered.len() < MAX_FINDINGS && space.minus(one, before)?.is_empty() {
                covered.push(first);
            }
            Ok(one.clone())
        }
        _ => {
            let (left, right) = sets.split_at(sets.len() / 2);
            let middle = first + left.len();
            let left = search(space, left, first, before, covered)?;
            let before = space.union(before, &left)?;
            let right = search(space, right, middle, &before, covered)?;
            space.union(&left, &right)
        }
    }
}

fn report(
    space: &Space,
    rule: &Rule,
    set: &PacketSet,
    earlier: &[Rule],
    sets: &[PacketSet],
) -> Result<Diagnostic, SpaceFull> {
    let found = Diagnostic::new(Code::NeverDecides, "this rule never decides", rule.span);
    if set.is_empty() {
        return Ok(found
            .label("no packet fulfils its condition")
            .help("delete it"));
    }
    let mut found = found
        .label("all its packets are decided before it")
        .help("delete it, or move it in front of the others");
    let mut left = set.clone();
    for (earlier, matched) in earlier.iter().zip(sets) {
        if found.secondary.len() == MOST_BLAMED || left.is_empty() {
            break;
        }
        if !space.intersection(&left, matched)?.is_empty() {
            left = space.minus(&left, matched)?;
            let verdict = earlier.verdict.keyword();
            found = found.also(earlier.span, format!("`{verdict}` for some of them"));
        }
    }
    if let ([only], true) = (found.secondary.as_mut_slice(), left.is_empty()) {
        only.message = only.message.replace("some", "all");
    }
    Ok(found)
}

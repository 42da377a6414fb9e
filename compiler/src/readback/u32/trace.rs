//! Which filters a frame goes through, and which of them decides.
//!
//! The same walk as in [`super::meaning`], one filter after the other, followed by one frame.

use std::collections::BTreeMap;

use policy_lang::Space;

use super::ast::{Action, Classifier, Filters, HashKey, Pref};
use super::meaning::Walker;
use super::view::View;
use crate::readback::{ReadbackError, Step};

/// The filters that lead to what becomes of `frame`, the last of them decides; empty if none does.
pub(super) fn steps(
    space: &Space,
    filters: &Filters,
    frame: &[u8],
) -> Result<Vec<Step>, ReadbackError> {
    let mut steps = Vec::new();
    let mut prefs = &filters.prefs;
    // A second change of chain is not followed, as in the sets.
    for _ in 0..2 {
        match chain(space, filters, prefs, frame, &mut steps)? {
            Some(Action::Goto(next)) => match filters.chains.get(&next) {
                Some(known) => prefs = known,
                None => return Ok(steps),
            },
            Some(_) => return Ok(steps),
            // It passes, and what led here is of no account.
            None => return Ok(Vec::new()),
        }
    }
    Ok(steps)
}

/// What the preferences of a chain do with the frame; `None` if none decides.
fn chain(
    space: &Space,
    filters: &Filters,
    prefs: &BTreeMap<u16, Pref>,
    frame: &[u8],
    steps: &mut Vec<Step>,
) -> Result<Option<Action>, ReadbackError> {
    for pref in prefs.values() {
        for (view, asked) in View::asked(space, pref.protocol)? {
            if !space.contains(&asked, frame) {
                continue;
            }
            match &pref.classifier {
                Classifier::Matchall { action: None, .. } => {}
                Classifier::Matchall {
                    source,
                    action: Some(action),
                } => {
                    steps.push(source.step());
                    return Ok(Some(action.clone()));
                }
                Classifier::Bpf {
                    source,
                    program,
                    action: Some(action),
                } => {
                    let matched = program.matched(space, &asked);
                    let matched = matched.map_err(|unknown| source.unknown(unknown))?;
                    if space.contains(&matched, frame) {
                        steps.push(source.step());
                        return Ok(Some(action.clone()));
                    }
                }
                Classifier::Bpf { action: None, .. } => {}
                Classifier::Flower {
                    action,
                    filters: flowers,
                } => {
                    for flower in flowers.values() {
                        let (_, matching) = flower.keys.matching(space)?;
                        if space.contains(&matching, frame) {
                            steps.push(flower.source.step());
                            return Ok(Some(action.clone()));
                        }
                    }
                }
                Classifier::U32 { root } => {
                    let mut walker = Walker::new(space, filters, view)?;
                    let start = steps.len();
                    let root = (*root, HashKey::default(), 0);
                    if let Some(Some(action)) = table(&mut walker, root, frame, steps)? {
                        return Ok(Some(action));
                    }
                    steps.truncate(start);
                }
            }
        }
    }
    Ok(None)
}

/// How the walk through a table ends for the frame: not at all, without an action, or with one.
fn table(
    walker: &mut Walker<'_>,
    (id, hash, depth): (u16, HashKey, usize),
    frame: &[u8],
    steps: &mut Vec<Step>,
) -> Result<Option<Option<Action>>, ReadbackError> {
    let filters = walker.filters;
    let Some(table) = filters.tables.get(&id) else {
        return Ok(None);
    };
    for (&(bucket, _), knode) in &table.knodes {
        let chosen = walker.choosing(bucket, hash, table.buckets)?;
        if !chosen.is_some_and(|chosen| walker.space.contains(&chosen, frame)) {
            continue;
        }
        let walk = walker.knode(knode, depth)?;
        if !walker.space.contains(&walk.ended, frame) {
            continue;
        }
        steps.push(knode.source.step());
        if let Some(link) = knode.link {
            let hashed = filters.tables.get(&link).is_some_and(|t| t.buckets > 1);
            let hash = if hashed {
                knode.hash
            } else {
                HashKey::default()
            };
            let inside = self::table(walker, (link, hash, depth + 1), frame, steps)?;
            if inside.is_some() {
                return Ok(inside);
            }
        }
        let acted = walk.acted.iter();
        let mut acted = acted.filter(|(_, set)| walker.space.contains(set, frame));
        return Ok(Some(acted.next().map(|(action, _)| action.clone())));
    }
    Ok(None)
}

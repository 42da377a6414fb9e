//! Which rules a frame goes through, and which of them decides.
//!
//! The same evaluation as in [`super::meaning`], one rule after the other, watched by one frame.

use policy_lang::Space;

use super::ast::{Chain, Ruleset, Statement, Verdict};
use super::lookup::Stop;
use super::meaning::{Fate, Run, hooked, shapes};

/// The lines of the rules that lead to what becomes of `frame`, the last of them decides; empty if
/// no rule does.
pub(super) fn lines(
    space: &Space,
    rules: &Ruleset,
    device: &str,
    frame: &[u8],
) -> Result<Vec<usize>, Stop> {
    let shapes = shapes(space)?;
    let mut lines = Vec::new();
    for (table, name, hook) in hooked(rules, device)? {
        let mut run = Run::new(space, table, &shapes);
        // Afterwards every chain that is called is known, and calls are not watched twice.
        run.chain(name, hook.line)?;
        run.watched = Some(frame.to_vec());
        let mut path = Vec::new();
        let Some(chain) = table.chains.get(name) else {
            continue;
        };
        match walk(&mut run, chain, frame, &mut path)? {
            // The next hook sees what this one accepts.
            Some(Fate::Accept) => lines = path,
            Some(Fate::Drop | Fate::Forward(_)) => return Ok(path),
            _ if hook.drops_by_default => return Ok(Vec::new()),
            _ => {}
        }
    }
    Ok(lines)
}

/// How the walk through a chain ends for the frame; `None` at its end.
fn walk<'rules>(
    run: &mut Run<'rules>,
    chain: &'rules Chain,
    frame: &[u8],
    path: &mut Vec<usize>,
) -> Result<Option<Fate>, Stop> {
    let start = path.len();
    for rule in &chain.rules {
        run.hits.clear();
        let decided = run.rule(rule)?;
        path.push(rule.line);
        for verdict in std::mem::take(&mut run.hits) {
            match &verdict {
                Verdict::Accept => return Ok(Some(Fate::Accept)),
                Verdict::Drop => return Ok(Some(Fate::Drop)),
                Verdict::Return => {
                    path.truncate(start);
                    return Ok(None);
                }
                Verdict::Continue => {}
                Verdict::Jump(name) | Verdict::Goto(name) => {
                    let ended = match run.table.chains.get(name) {
                        Some(inner) => walk(run, inner, frame, path)?,
                        None => None,
                    };
                    if ended.is_some() {
                        return Ok(ended);
                    }
                    if matches!(verdict, Verdict::Goto(_)) {
                        path.truncate(start);
                        return Ok(None);
                    }
                }
            }
        }
        let forwards = |statement: &Statement| match statement {
            Statement::Forward(device) => Some(Fate::Forward(device.clone())),
            _ => None,
        };
        if let Some(fate) = rule.statements.iter().find_map(forwards)
            && let Some(frames) = decided.fates.get(&fate)
            && run.space.contains(frames, frame)
        {
            return Ok(Some(fate));
        }
        path.pop();
    }
    path.truncate(start);
    Ok(None)
}

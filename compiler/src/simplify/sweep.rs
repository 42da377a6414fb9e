//! Rules without which the policy is the same.
//!
//! One sweep goes through all rules from one end and leaves out each that may go, given what it has
//! left out so far. As in the lints, halving keeps the operands of like size. A rule with a reason
//! stays as long as it decides about anything: it stands there for its reader.

use policy_lang::policy::Verdict;
use policy_lang::set::Decided;
use policy_lang::{PacketSet, Space, SpaceFull};

use super::{From, Left, Line, Why};

/// Leaves out rules, tried one by one from the end that `from` says.
pub(super) fn sweep(
    space: &Space,
    left: &mut Left,
    default: Verdict,
    from: From,
) -> Result<(), SpaceFull> {
    let after = match default {
        Verdict::Buffer => space.none(),
        Verdict::Bypass => space.all(),
    };
    let mut run = Run {
        space,
        from,
        why: Vec::with_capacity(left.lines.len()),
    };
    run.part(&left.lines, [&space.none(), &after])?;
    let mut why = run.why;
    if from == From::Back {
        why.reverse();
    }
    let lines = std::mem::take(&mut left.lines);
    for (line, why) in lines.into_iter().zip(why) {
        match why {
            None => left.lines.push(line),
            Some(idle) => {
                let of = |rule| match idle {
                    Idle::NeverDecides => Why::NeverDecides { rule },
                    Idle::Redundant => Why::Redundant { rule },
                };
                left.gone.push(of(line.rule));
                left.gone
                    .extend(line.joined.iter().map(|(rule, _)| of(*rule)));
            }
        }
    }
    Ok(())
}

/// Why a rule may go.
#[derive(Clone, Copy)]
enum Idle {
    NeverDecides,
    Redundant,
}

struct Run<'a> {
    space: &'a Space,
    from: From,
    /// For each rule in the order in which they are tried.
    why: Vec<Option<Idle>>,
}

impl Run<'_> {
    /// Tries the rules of `lines`, given what those in front of them match and what those behind them
    /// let pass; answers what is left of them does.
    fn part(
        &mut self,
        lines: &[Line],
        [before, after]: [&PacketSet; 2],
    ) -> Result<Decided, SpaceFull> {
        let space = self.space;
        let nothing = || Decided {
            matched: space.none(),
            bypass: space.none(),
        };
        match lines {
            [] => Ok(nothing()),
            [line] => {
                let idle = self.idle(line, before, after)?;
                self.why.push(idle);
                match idle {
                    Some(_) => Ok(nothing()),
                    None => space.decided(line.set.clone(), line.verdict),
                }
            }
            _ => {
                let (front, back) = lines.split_at(lines.len() / 2);
                let behind =
                    |back: &Decided| space.union(&back.bypass, &space.minus(after, &back.matched)?);
                let (front, back) = match self.from {
                    From::Front => {
                        let behind = behind(&fold(space, back)?)?;
                        let front = self.part(front, [before, &behind])?;
                        let before = space.union(before, &front.matched)?;
                        let back = self.part(back, [&before, after])?;
                        (front, back)
                    }
                    From::Back => {
                        let all = space.union(before, &fold(space, front)?.matched)?;
                        let back = self.part(back, [&all, after])?;
                        let front = self.part(front, [before, &behind(&back)?])?;
                        (front, back)
                    }
                };
                space.first_match(&front, &back)
            }
        }
    }

    fn idle(
        &self,
        line: &Line,
        before: &PacketSet,
        after: &PacketSet,
    ) -> Result<Option<Idle>, SpaceFull> {
        let decided = self.space.minus(&line.set, before)?;
        if decided.is_empty() {
            return Ok(Some(Idle::NeverDecides));
        }
        if line.because.is_some() {
            return Ok(None);
        }
        let otherwise = match line.verdict {
            Verdict::Buffer => self.space.intersection(&decided, after)?,
            Verdict::Bypass => self.space.minus(&decided, after)?,
        };
        Ok(otherwise.is_empty().then_some(Idle::Redundant))
    }
}

/// What rules do as one.
fn fold(space: &Space, lines: &[Line]) -> Result<Decided, SpaceFull> {
    let one = |line: &Line| space.decided(line.set.clone(), line.verdict);
    space.first_match_all(lines.iter().map(one).collect::<Result<_, _>>()?)
}

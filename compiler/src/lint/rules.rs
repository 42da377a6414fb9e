//! Lints about single rules.

use policy_lang::field::Field;
use policy_lang::policy::{Condition, Rule, Test, Verdict};
use policy_lang::set::Decided;
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, SpaceFull};

use super::{Lint, Scene};

/// Most rules that are named.
const MOST: usize = 100;
/// A set of as many ports is taken for a range that media use.
const MEDIA_PORTS: u128 = 16;

/// Rules that decide about frames, all of which the rules behind them would treat alike. A rule
/// with a reason stands for its reader, and one that decides about nothing is another finding.
pub(super) fn redundant(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let all = scene.space.all();
    let default = match scene.policy.default {
        Verdict::Buffer => scene.space.none(),
        Verdict::Bypass => all,
    };
    let rules: Vec<(&Rule, &PacketSet)> = scene.policy.rules.iter().zip(&scene.sets).collect();
    let mut found = Vec::new();
    search(scene, &rules, [&scene.space.none(), &default], &mut found)?;
    Ok(found)
}

/// Looks at `rules`, given what the ones before them match and what those behind let pass; answers
/// what they do as one. Halving keeps the operands of like size.
fn search(
    scene: &Scene<'_>,
    rules: &[(&Rule, &PacketSet)],
    [before, after]: [&PacketSet; 2],
    found: &mut Vec<Lint>,
) -> Result<(), SpaceFull> {
    let space = scene.space;
    match rules {
        [] => Ok(()),
        [(rule, set)] => {
            let decided = space.minus(set, before)?;
            let otherwise = match rule.verdict {
                Verdict::Buffer => space.intersection(&decided, after)?,
                Verdict::Bypass => space.minus(&decided, after)?,
            };
            let idle = decided.is_empty() || rule.because.is_some();
            if otherwise.is_empty() && !idle && found.len() < MOST {
                let mut lint = Lint::new("L0101", "without this rule the policy is the same");
                lint.span = Some(rule.span);
                lint.help.push(String::from(
                    "delete it, or say with `because` why it stands here",
                ));
                found.push(lint);
            }
            Ok(())
        }
        _ => {
            let (left, right) = rules.split_at(rules.len() / 2);
            let one =
                |(rule, set): &(&Rule, &PacketSet)| space.decided((*set).clone(), rule.verdict);
            let fold = |half: &[(&Rule, &PacketSet)]| -> Result<Decided, SpaceFull> {
                space.first_match_all(half.iter().map(one).collect::<Result<_, _>>()?)
            };
            let second = fold(right)?;
            let behind = space.union(&second.bypass, &space.minus(after, &second.matched)?)?;
            search(scene, left, [before, &behind], found)?;
            let in_front = space.union(before, &fold(left)?.matched)?;
            search(scene, right, [&in_front, after], found)
        }
    }
}

/// Rules that hold only part of what they name, because a rule in front that is about something else
/// lets the rest pass. To let a special case pass in front of a rule that holds all around it is what
/// the order of rules is for, and to hold less than a rule behind lets pass is on the safe side.
pub(super) fn partly_passed(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let rules: Vec<(usize, &Rule, &PacketSet)> = scene
        .policy
        .rules
        .iter()
        .zip(&scene.sets)
        .enumerate()
        .map(|(at, (rule, set))| (at, rule, set))
        .collect();
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let nothing = Decided {
        matched: scene.space.none(),
        bypass: scene.space.none(),
    };
    let mut passed = Vec::new();
    let (_, tree) = decided_before(scene, &rules, &nothing, &mut passed)?;
    let mut found = Vec::new();
    for (at, frames) in passed {
        let (Some(rule), Some(set)) = (scene.policy.rules.get(at), scene.sets.get(at)) else {
            continue;
        };
        let Some(first) = tree.first_across(scene, [&frames, set], at)? else {
            continue;
        };
        let Some((other, theirs)) = scene.policy.rules.get(first).zip(scene.sets.get(first)) else {
            continue;
        };
        let mut lint = Lint::new("L0102", "this rule holds only part of what it names");
        lint.span = Some(rule.span);
        lint.also = Some((other.span, String::from("this lets some of it pass before")));
        lint.help.push(String::from(
            "move it in front of the other, or let the other pass only what this one does not name",
        ));
        let frames = scene.space.intersection(&frames, theirs)?;
        lint.frames.extend(scene.space.shortest(&frames)?);
        found.push(lint);
        if found.len() == MOST {
            break;
        }
    }
    Ok(found)
}

/// The rules that let frames pass, and what they match as one, for searches.
struct Passing {
    all: PacketSet,
    what: Half,
}

/// What a part of the rules is made of.
enum Half {
    Rule(usize),
    Both(Box<[Passing; 2]>),
}

impl Passing {
    /// The first rule before `end` that matches some of `frames` and something besides `set`.
    fn first_across(
        &self,
        scene: &Scene<'_>,
        [frames, set]: [&PacketSet; 2],
        end: usize,
    ) -> Result<Option<usize>, SpaceFull> {
        let space = scene.space;
        if space.intersection(&self.all, frames)?.is_empty()
            || space.minus(&self.all, set)?.is_empty()
        {
            return Ok(None);
        }
        match &self.what {
            Half::Rule(at) => Ok((*at < end).then_some(*at)),
            Half::Both(halves) => {
                for half in halves.iter() {
                    if let Some(found) = half.first_across(scene, [frames, set], end)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Notes for each rule that holds frames and decides about some which of its frames rules in front let
/// pass; answers what all of the rules do, and those of them that let frames pass.
fn decided_before(
    scene: &Scene<'_>,
    rules: &[(usize, &Rule, &PacketSet)],
    before: &Decided,
    passed: &mut Vec<(usize, PacketSet)>,
) -> Result<(Decided, Passing), SpaceFull> {
    let space = scene.space;
    match rules {
        [(at, rule, set)] => {
            if rule.verdict == Verdict::Buffer {
                let frames = space.intersection(set, &before.bypass)?;
                if !frames.is_empty() && !space.minus(set, &before.matched)?.is_empty() {
                    passed.push((*at, frames));
                }
            }
            let own = space.decided((*set).clone(), rule.verdict)?;
            let passing = Passing {
                all: own.bypass.clone(),
                what: Half::Rule(*at),
            };
            Ok((own, passing))
        }
        _ => {
            let (left, right) = rules.split_at(rules.len() / 2);
            let (first, left) = decided_before(scene, left, before, passed)?;
            let middle = space.first_match(before, &first)?;
            let (second, right) = decided_before(scene, right, &middle, passed)?;
            let passing = Passing {
                all: space.union(&left.all, &right.all)?,
                what: Half::Both(Box::new([left, right])),
            };
            Ok((space.first_match(&first, &second)?, passing))
        }
    }
}

/// Rules that let a range of ports pass as destination, where nothing passes that has it as source.
pub(super) fn only_as_destination(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let mut found = Vec::new();
    for rule in &scene.policy.rules {
        if rule.verdict != Verdict::Bypass || found.len() == MOST {
            continue;
        }
        let Some(range) = destination_only(&rule.condition) else {
            continue;
        };
        let space = scene.space;
        let source = space.test(&Test::Field(Field::Sport, range.clone()))?;
        let destination = space.test(&Test::Field(Field::Dport, range.clone()))?;
        let other_way = space.minus(&source, &destination)?;
        // A range of all ports has no other way.
        let Some(frame) = space.shortest(&other_way)? else {
            continue;
        };
        if space.intersection(&other_way, &scene.bypass)?.is_empty() {
            let mut lint = Lint::new("L0403", "media ports are named only as destination");
            lint.span = Some(rule.span);
            lint.notes.push(String::from(
                "the rules see what the VM sends: a server's own ports are the source there, and the \
                 destination is what each phone has chosen",
            ));
            lint.help.push(String::from(
                "name the range with `sport` if it is the VM's",
            ));
            lint.frames.push(frame);
            found.push(lint);
        }
    }
    Ok(found)
}

/// The range of destination ports that a condition asks for, if it asks for no source port.
fn destination_only(condition: &Condition) -> Option<&ValueSet> {
    let parts = match condition {
        Condition::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut range = None;
    for part in parts {
        if let Condition::Test { test, .. } = part {
            match test {
                Test::Field(Field::Sport, _) | Test::EitherPort(_) => return None,
                Test::Field(Field::Dport, ports) => range = Some(ports),
                _ => {}
            }
        }
    }
    let ports = |set: &ValueSet| -> u128 {
        let sizes = set.ranges().iter().map(|range| range.high - range.low + 1);
        sizes.sum()
    };
    range.filter(|range| ports(range) >= MEDIA_PORTS)
}

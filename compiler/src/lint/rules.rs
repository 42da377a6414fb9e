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

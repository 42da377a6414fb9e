//! Changes of a policy after which a frame gets the other verdict.

use policy_lang::classify::holds;
use policy_lang::field::{Family, Field, Transport};
use policy_lang::packet::Packet;
use policy_lang::policy::{Condition, Policy, Rule, Verdict};
use policy_lang::source::SourceFile;
use policy_lang::{Space, SpaceFull, check, classify};

use super::super::value;

/// A change of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// These rules, by their indices, are left out.
    Remove(Vec<usize>),
    /// A rule moves.
    Move {
        /// The index of the rule.
        rule: usize,
        /// The index of the rule that it then stands in front of.
        before: usize,
    },
    /// This rule comes first.
    Add(String),
}

/// A change of a policy with what else it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The change.
    pub edit: Edit,
    /// Another frame, of another flow, that gets another verdict as well; `None` if there is none.
    pub besides: Option<Vec<u8>>,
}

/// Small changes of `policy` after which it says otherwise about `frame`, those that leave out or move
/// rules first.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn policy_changes(
    space: &Space,
    policy: &Policy,
    frame: &[u8],
) -> Result<Vec<PolicyChange>, SpaceFull> {
    let verdict = classify(policy, frame).verdict;
    let packet = Packet::new(frame);
    let matching: Vec<(usize, Verdict)> = policy
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| holds(&rule.condition, packet))
        .map(|(at, rule)| (at, rule.verdict))
        .collect();
    let mut edits = Vec::new();
    let against: Vec<usize> = matching
        .iter()
        .take_while(|(_, of)| *of == verdict)
        .map(|(at, _)| *at)
        .collect();
    let first = against.first().copied();
    if first.is_some() {
        edits.push(Edit::Remove(against));
    }
    let other = matching.iter().find(|(_, of)| *of != verdict);
    if let (Some(before), Some((rule, _))) = (first, other) {
        edits.push(Edit::Move {
            rule: *rule,
            before,
        });
    }
    let flow = flow(packet);
    let to = match verdict {
        Verdict::Buffer => Verdict::Bypass,
        Verdict::Bypass => Verdict::Buffer,
    };
    edits.extend(
        flow.as_ref()
            .map(|flow| Edit::Add(format!("{} {flow};", to.keyword()))),
    );
    let flow = match flow.as_deref().and_then(condition) {
        Some(flow) => space.condition(&flow)?,
        None => space.none(),
    };
    let before = space.bypass_of(policy)?;
    let mut changes = Vec::new();
    for edit in edits {
        let Some(new) = edited(policy, &edit) else {
            continue;
        };
        if classify(&new, frame).verdict == verdict {
            continue;
        }
        let after = space.bypass_of(&new)?;
        let opened = space.minus(&after, &before)?;
        let closed = space.minus(&before, &after)?;
        let all = space.union(&opened, &closed)?;
        changes.push(PolicyChange {
            besides: space.shortest(&space.minus(&all, &flow)?)?,
            edit,
        });
    }
    Ok(changes)
}

/// The policy after a change.
fn edited(policy: &Policy, edit: &Edit) -> Option<Policy> {
    let mut new = policy.clone();
    match edit {
        Edit::Remove(rules) => {
            let mut at = 0;
            new.rules.retain(|_| {
                at += 1;
                !rules.contains(&(at - 1))
            });
        }
        Edit::Move { rule, before } => {
            if *rule >= new.rules.len() {
                return None;
            }
            let moved = new.rules.remove(*rule);
            new.rules.insert((*before).min(new.rules.len()), moved);
        }
        Edit::Add(text) => {
            let (added, _) = check(&SourceFile::new("the rule", text.clone()));
            new.rules.insert(0, added?.rules.pop()?);
        }
    }
    Some(new)
}

fn condition(text: &str) -> Option<Condition> {
    let (read, _) = check(&SourceFile::new("the flow", format!("buffer {text};")));
    let rule: Rule = read?.rules.pop()?;
    Some(rule.condition)
}

/// The flow of a packet as a condition: its addresses, and what the language tells flows apart by.
fn flow(packet: Packet<'_>) -> Option<String> {
    let term = |field: Field| {
        let found = packet.read(field)?;
        Some(format!("{} {}", field.name(), value::bare(field, found)))
    };
    let of = |head: &str, fields: &[Field]| {
        let terms: Option<Vec<String>> = fields.iter().map(|field| term(*field)).collect();
        Some(format!("{head}{}", terms?.join(" ")))
    };
    let Some(family) = packet.family() else {
        return of("", &[Field::Ethertype, Field::SrcMac, Field::DstMac]);
    };
    let (ip, src, dst) = match family {
        Family::V4 => ("ip", Field::Src4, Field::Dst4),
        Family::V6 => ("ip6", Field::Src6, Field::Dst6),
    };
    match packet.transport() {
        Some(transport @ (Transport::Icmp | Transport::Icmp6)) => of(
            &format!("{} ", value::transport(transport)),
            &[src, dst, Field::IcmpType, Field::IcmpCode],
        ),
        Some(transport) => of(
            &format!("{} ", value::transport(transport)),
            &[src, Field::Sport, dst, Field::Dport],
        ),
        None => of(&format!("{ip} "), &[Field::Protocol, src, dst]),
    }
}

//! Why a frame gets its verdict, and which rule came closest to deciding otherwise.
//!
//! The verdict is [`classify`]'s. The near miss is found by counting, for each rule that was asked
//! before, how many of its terms would have to come out differently for the rule to match. What it
//! takes for the other verdict is in [`why`].

mod reason;
mod value;
pub mod why;

use std::cmp::Reverse;

use policy_lang::classify::{classify, test_holds};
use policy_lang::packet::Packet;
use policy_lang::policy::{Condition, Policy};
use policy_lang::source::Span;
use policy_lang::{Decision, classify::Reason};

/// The verdict on a frame with its story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the policy says.
    pub decision: Decision,
    /// The rule that nearly decided instead, if one came near.
    pub near: Option<NearMiss>,
}

/// A rule that did not match, though part of it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// Index of the rule in the policy.
    pub rule: usize,
    /// The terms that stood in the way; never empty.
    pub failed: Vec<FailedTerm>,
}

/// A term that came out the wrong way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTerm {
    /// The term in the policy text.
    pub span: Span,
    /// Why, such as `dport is 5060, not in 16384-32767`.
    pub why: String,
}

/// Explains what `policy` does with `frame`.
#[must_use]
pub fn explain(policy: &Policy, frame: &[u8]) -> Explanation {
    let decision = classify(policy, frame);
    // Rules behind the deciding one were never asked.
    let asked = match decision.reason {
        Reason::Rule(index) => index,
        Reason::Default | Reason::NothingMatched => policy.rules.len(),
    };
    let packet = Packet::new(frame);
    let near = policy
        .rules
        .iter()
        .take(asked)
        .enumerate()
        .map(|(index, rule)| (index, rule, measure(&rule.condition, packet, true)))
        .filter(|(.., distance)| distance.met > 0 && !distance.failed.is_empty())
        // The first of the nearest; among equals one that would have changed the verdict.
        .min_by_key(|(_, rule, distance)| {
            (
                distance.failed.len(),
                rule.verdict == decision.verdict,
                Reverse(distance.met),
            )
        })
        .map(|(rule, _, distance)| NearMiss {
            rule,
            failed: distance.failed,
        });
    Explanation { decision, near }
}

/// How far a condition is from coming out as wanted.
#[derive(Default)]
struct Distance {
    /// Terms that came out right.
    met: usize,
    /// Terms that did not.
    failed: Vec<FailedTerm>,
}

/// Measures how far `condition` is from being `wanted` for `packet`, along its nearest branch.
fn measure(condition: &Condition, packet: Packet<'_>, wanted: bool) -> Distance {
    match condition {
        Condition::Always if wanted => Distance::default(),
        Condition::Always => {
            Distance::of(Span::default(), String::from("it holds for every frame"))
        }
        Condition::Test { test, span } => match (test_holds(test, packet), wanted) {
            (true, true) | (false, false) => Distance {
                met: 1,
                failed: Vec::new(),
            },
            (false, true) => Distance::of(*span, reason::fails(test, packet)),
            (true, false) => Distance::of(*span, reason::holds(test, packet)),
        },
        Condition::Not(inner) => measure(inner, packet, !wanted),
        Condition::All(parts) if wanted => every(parts, packet, wanted),
        Condition::Any(parts) if !wanted => every(parts, packet, wanted),
        Condition::All(parts) | Condition::Any(parts) => nearest(parts, packet, wanted),
    }
}

/// All of the parts have to come out as wanted.
fn every(parts: &[Condition], packet: Packet<'_>, wanted: bool) -> Distance {
    let mut sum = Distance::default();
    for part in parts {
        let distance = measure(part, packet, wanted);
        sum.met += distance.met;
        // A keyword such as `icmp` is two tests that can fail for one reason.
        for term in distance.failed {
            if !sum.failed.iter().any(|known| known.why == term.why) {
                sum.failed.push(term);
            }
        }
    }
    sum
}

/// One of the parts has to come out as wanted.
fn nearest(parts: &[Condition], packet: Packet<'_>, wanted: bool) -> Distance {
    parts
        .iter()
        .map(|part| measure(part, packet, wanted))
        .min_by_key(|distance| (distance.failed.len(), Reverse(distance.met)))
        .unwrap_or_default()
}

impl Distance {
    fn of(span: Span, why: String) -> Self {
        Self {
            met: 0,
            failed: vec![FailedTerm { span, why }],
        }
    }
}

#[cfg(test)]
mod tests;

//! From a policy to a rule program.
//!
//! The policy is specialised for each kind of packet that its terms can tell apart. For one kind,
//! it is known which headers are there, so that every test becomes true, false or a value set, and
//! conditions become lists of boxes. Kinds that come out like the kind that they would fall
//! through to are left out.

mod boxes;
mod specialise;

use std::collections::BTreeSet;

use policy_lang::field::{Family, Field, Layer, Transport};
use policy_lang::policy::{Media, Policy, Test};
use policy_lang::source::Span;

pub(crate) use boxes::simplified;

use crate::ir::{Block, FieldBox, FlatRule, Guard, Program, Shape};

/// Most boxes that one rule may become for one kind of packet.
pub const MOST_BOXES: usize = 20_000;

/// Most pairs of boxes that are compared to find rules without effect; such a rule does no harm.
const MOST_COMPARISONS: usize = 200_000;

/// A rule's condition has too many alternatives to become rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the condition of rule {rule} has more than {MOST_BOXES} alternatives once it is multiplied out", rule = .rule + 1)]
pub struct TooManyAlternatives {
    /// Index of the rule.
    pub rule: usize,
    /// The rule in the text.
    pub span: Span,
}

/// Lowers a policy to a program that decides as the policy does.
///
/// # Errors
///
/// [`TooManyAlternatives`] if a condition explodes when it is multiplied out.
pub fn lower(policy: &Policy) -> Result<Program, TooManyAlternatives> {
    let asked = Asked::by(policy);
    let tags: &[Option<bool>] = if asked.tag {
        &[Some(true), Some(false)]
    } else {
        &[None]
    };
    let mut blocks = Vec::new();
    for &tagged in tags {
        let mut widest_first: Vec<Block> = Vec::new();
        for shape in asked.shapes() {
            let known = Guard { tagged, shape };
            let block = block(policy, known)?;
            let next = widest_first
                .iter()
                .rev()
                .find(|wider| covers(wider.guard.shape, shape));
            // A block that decides as the one it would fall through to is not needed.
            if next.is_none_or(|next| specialise::narrow(next, known) != block) {
                widest_first.push(block);
            }
        }
        blocks.extend(widest_first.into_iter().rev());
    }
    Ok(Program { blocks })
}

/// The rules of the policy for packets of one kind.
fn block(policy: &Policy, known: Guard) -> Result<Block, TooManyAlternatives> {
    let mut rules = Vec::new();
    for (source, rule) in policy.rules.iter().enumerate() {
        let formula = specialise::formula(&rule.condition, known);
        let boxes = boxes::alternatives(&formula, MOST_BOXES).ok_or(TooManyAlternatives {
            rule: source,
            span: rule.span,
        })?;
        rules.push(FlatRule {
            verdict: rule.verdict,
            boxes,
            source,
        });
    }
    Ok(trimmed(Block {
        guard: known,
        rules,
        default: policy.default,
    }))
}

/// Leaves out what can't decide: rules without boxes, all behind a rule that matches everything,
/// and rules that change nothing.
fn trimmed(mut block: Block) -> Block {
    block.rules.retain(|rule| !rule.boxes.is_empty());
    let mut block = block.settled();
    without_effect(&mut block);
    block
}

/// Takes out rules that decide as the default does and stand before no rule of the other verdict
/// that they share a packet with.
fn without_effect(block: &mut Block) {
    let default = block.default;
    let mut others: Vec<FieldBox> = Vec::new();
    let mut budget = MOST_COMPARISONS;
    let mut kept: Vec<FlatRule> = Vec::with_capacity(block.rules.len());
    while let Some(rule) = block.rules.pop() {
        if rule.verdict != default {
            others.extend(rule.boxes.iter().cloned());
            kept.push(rule);
            continue;
        }
        let shares_a_packet =
            |one: &FieldBox| others.iter().any(|other| one.intersection(other).is_some());
        budget = budget.saturating_sub(rule.boxes.len() * others.len());
        if budget == 0 || rule.boxes.iter().any(shares_a_packet) {
            kept.push(rule);
        }
    }
    kept.reverse();
    block.rules = kept;
}

/// Whether a packet with the headers of `narrow` also has those of `wide`.
fn covers(wide: Shape, narrow: Shape) -> bool {
    match (wide, narrow) {
        (Shape::Any, _) => true,
        (Shape::Ip(a), Shape::Ip(b) | Shape::Plain { family: b, .. }) => a == b,
        (
            Shape::Plain {
                family: a,
                transport: s,
                payload: m,
            },
            Shape::Plain {
                family: b,
                transport: t,
                payload: n,
            },
        ) => a == b && s == t && m <= n,
        (Shape::Plain { .. }, _) | (Shape::Ip(_), Shape::Any) => false,
    }
}

/// What a policy's terms ask about, as far as it decides which kinds of packets there are.
#[derive(Debug, Default)]
struct Asked {
    tag: bool,
    ip: bool,
    transports: BTreeSet<Transport>,
    payloads: BTreeSet<usize>,
}

impl Asked {
    fn by(policy: &Policy) -> Self {
        let mut asked = Self::default();
        for rule in &policy.rules {
            let tests = rule.condition.tests();
            tests.for_each(|(test, _)| asked.test(test));
        }
        asked
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Tagged => self.tag = true,
            Test::Ip(_) | Test::Fragment => self.ip = true,
            Test::Field(field, _) => self.layer(field.layer()),
            Test::EitherPort(_) => self.layer(Field::Sport.layer()),
            Test::Media(media) => self.media(*media),
            Test::RtpPayloadType(_) => self.media(Media::Rtp),
        }
    }

    fn media(&mut self, media: Media) {
        self.layer(Layer::Payload);
        self.payloads.insert(media.header_len());
    }

    fn layer(&mut self, layer: Layer) {
        match layer {
            Layer::Ethernet => {}
            Layer::Tag => self.tag = true,
            Layer::Ip(_) => self.ip = true,
            Layer::Transport(any_of) => self.transports.extend(any_of),
            Layer::Payload => {
                self.transports.insert(Transport::Udp);
            }
        }
    }

    /// The kinds of packets, each after those that it would fall through to.
    fn shapes(&self) -> Vec<Shape> {
        let mut shapes = vec![Shape::Any];
        if !self.ip && self.transports.is_empty() {
            return shapes;
        }
        for family in Family::ALL.into_iter().rev() {
            shapes.push(Shape::Ip(family));
            let transports = self.transports.iter().rev().filter(|t| t.runs_over(family));
            for &transport in transports {
                shapes.push(Shape::Plain {
                    family,
                    transport,
                    payload: 0,
                });
                if transport == Transport::Udp {
                    let longer = self.payloads.iter();
                    shapes.extend(longer.map(|&payload| Shape::Plain {
                        family,
                        transport,
                        payload,
                    }));
                }
            }
        }
        shapes
    }
}

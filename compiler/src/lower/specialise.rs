//! What a condition says about one kind of packet.
//!
//! With the headers known, a test is true, false, or about the value of one field that is there.

use policy_lang::field::{Family, Field, Layer, NEXT_HEADER_FRAGMENT, Transport};
use policy_lang::policy::{Condition, Media, Test, rtp_second_byte};
use policy_lang::values::ValueSet;

use super::trimmed;
use crate::ir::{Block, FieldBox, FlatRule, Guard, Shape};

/// A condition about the fields of one kind of packet, with negation pushed into the value sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formula {
    /// Always or never.
    Constant(bool),
    /// The field's value is in the set, which is neither empty nor full.
    In(Field, ValueSet),
    /// All of these.
    All(Vec<Self>),
    /// Any of these.
    Any(Vec<Self>),
}

/// The condition as packets of one kind see it.
pub(super) fn formula(condition: &Condition, known: Guard) -> Formula {
    specialise(condition, known, true)
}

/// With `wanted` false: the complement of the condition.
fn specialise(condition: &Condition, known: Guard, wanted: bool) -> Formula {
    let each = |parts: &[Condition]| parts.iter().map(|p| specialise(p, known, wanted)).collect();
    match condition {
        Condition::Always => Formula::Constant(wanted),
        Condition::Not(inner) => specialise(inner, known, !wanted),
        Condition::All(parts) if wanted => Formula::All(each(parts)),
        Condition::Any(parts) if !wanted => Formula::All(each(parts)),
        Condition::All(parts) | Condition::Any(parts) => Formula::Any(each(parts)),
        Condition::Test { test, .. } => specialise_test(test, known, wanted),
    }
}

fn specialise_test(test: &Test, known: Guard, wanted: bool) -> Formula {
    let family = family(known.shape);
    match test {
        // Guards leave the tag open only if no test asks for it.
        Test::Tagged => Formula::Constant((known.tagged == Some(true)) == wanted),
        Test::Ip(asked) => Formula::Constant((family == Some(*asked)) == wanted),
        Test::Fragment => match family {
            Some(Family::V4) => field_in(
                Field::FragmentBits,
                &ValueSet::range(1, 0x3fff),
                known,
                wanted,
            ),
            Some(Family::V6) => {
                let next = ValueSet::single(NEXT_HEADER_FRAGMENT.into());
                field_in(Field::Protocol, &next, known, wanted)
            }
            None => Formula::Constant(!wanted),
        },
        Test::Field(field, values) => field_in(*field, values, known, wanted),
        Test::EitherPort(values) => {
            let ports = [Field::Sport, Field::Dport].map(|f| field_in(f, values, known, wanted));
            if wanted {
                Formula::Any(ports.into())
            } else {
                Formula::All(ports.into())
            }
        }
        Test::Media(media) => media_is(*media, &media.second_byte(), known, wanted),
        Test::RtpPayloadType(types) => media_is(Media::Rtp, &rtp_second_byte(types), known, wanted),
    }
}

fn media_is(media: Media, second_byte: &ValueSet, known: Guard, wanted: bool) -> Formula {
    // Longer payloads have a block of their own, which comes first.
    let there = matches!(known.shape, Shape::Plain { transport: Transport::Udp, payload, .. }
        if payload >= media.header_len());
    if !there {
        return Formula::Constant(!wanted);
    }
    let parts = vec![
        field_in(Field::PayloadFirst, &media.first_byte(), known, wanted),
        field_in(Field::PayloadSecond, second_byte, known, wanted),
    ];
    if wanted {
        Formula::All(parts)
    } else {
        Formula::Any(parts)
    }
}

/// Whether the field is there with a value in `values`, or the complement of that.
fn field_in(field: Field, values: &ValueSet, known: Guard, wanted: bool) -> Formula {
    if !is_there(field, known) {
        return Formula::Constant(!wanted);
    }
    let width = field.width();
    let values = if wanted {
        values.clone()
    } else {
        values.complement(width)
    };
    match value_of(field, known) {
        Some(value) => Formula::Constant(values.contains(value)),
        None if values.intersection(&ValueSet::full(width)).is_empty() => Formula::Constant(false),
        None if values.is_full(width) => Formula::Constant(true),
        None => Formula::In(field, values),
    }
}

fn family(shape: Shape) -> Option<Family> {
    match shape {
        Shape::Any => None,
        Shape::Ip(family) | Shape::Plain { family, .. } => Some(family),
    }
}

fn is_there(field: Field, known: Guard) -> bool {
    match field.layer() {
        Layer::Ethernet => true,
        Layer::Tag => known.tagged == Some(true),
        Layer::Ip(asked) => {
            family(known.shape).is_some_and(|family| asked.is_none_or(|asked| asked == family))
        }
        Layer::Transport(any_of) => {
            matches!(known.shape, Shape::Plain { transport, .. } if any_of.contains(&transport))
        }
        Layer::Payload => {
            matches!(
                known.shape,
                Shape::Plain {
                    transport: Transport::Udp,
                    ..
                }
            )
        }
    }
}

/// The one value that a field has in all packets of a kind.
fn value_of(field: Field, known: Guard) -> Option<u128> {
    match (field, known.shape) {
        (Field::Ethertype, Shape::Ip(family) | Shape::Plain { family, .. }) => {
            Some(family.ethertype().into())
        }
        (Field::Protocol, Shape::Plain { transport, .. }) => Some(transport.protocol().into()),
        (Field::FragmentBits, Shape::Plain { .. }) => Some(0),
        _ => None,
    }
}

/// What `block` does to those of its packets that are of the narrower kind `known`.
pub(super) fn narrow(block: &Block, known: Guard) -> Block {
    let narrow_box = |one: &FieldBox| {
        let mut fields = one.fields.clone();
        let mut possible = true;
        fields.retain(|field, values| match value_of(*field, known) {
            Some(value) => {
                possible &= values.contains(value);
                false
            }
            None => true,
        });
        possible.then_some(FieldBox { fields })
    };
    let rules = block.rules.iter().map(|rule| FlatRule {
        verdict: rule.verdict,
        boxes: super::boxes::simplified(rule.boxes.iter().filter_map(narrow_box).collect()),
        source: rule.source,
    });
    trimmed(Block {
        guard: known,
        rules: rules.collect(),
        default: block.default,
    })
}

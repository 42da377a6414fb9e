//! The meaning of a policy: what happens to one frame. Everything else is judged by this.
//!
//! Written for reading, straight from the frame's bytes. DESIGN section 2 is the specification.
//! [`table`] is the fast way, which must come to the same.

pub mod headers;
pub mod table;

use crate::field::Field;
use crate::packet::Packet;
use crate::policy::{Condition, Media, Policy, Test, Verdict, rtp_second_byte};

/// The verdict on a frame, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the frame.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// What decided about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The rule at this index is the first whose condition holds.
    Rule(usize),
    /// No rule matched, and the policy states a default.
    Default,
    /// No rule matched and no default is stated, so the frame is held.
    NothingMatched,
}

/// Decides about `frame`: the first rule whose condition holds, else the default.
#[must_use]
pub fn classify(policy: &Policy, frame: &[u8]) -> Decision {
    let packet = Packet::new(frame);
    let first = policy
        .rules
        .iter()
        .enumerate()
        .find(|(_, rule)| holds(&rule.condition, packet));
    match first {
        Some((index, rule)) => Decision {
            verdict: rule.verdict,
            reason: Reason::Rule(index),
        },
        None if policy.default_span.is_some() => Decision {
            verdict: policy.default,
            reason: Reason::Default,
        },
        None => Decision {
            verdict: policy.default,
            reason: Reason::NothingMatched,
        },
    }
}

/// Whether `condition` holds for `packet`.
#[must_use]
pub fn holds(condition: &Condition, packet: Packet<'_>) -> bool {
    match condition {
        Condition::Always => true,
        Condition::Test { test, .. } => test_holds(test, packet),
        Condition::Not(inner) => !holds(inner, packet),
        Condition::All(parts) => parts.iter().all(|part| holds(part, packet)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, packet)),
    }
}

/// Whether a single test holds for `packet`; false if the header it is about is not there.
#[must_use]
pub fn test_holds(test: &Test, packet: Packet<'_>) -> bool {
    let field_in = |field, set: &crate::values::ValueSet| {
        packet.read(field).is_some_and(|value| set.contains(value))
    };
    let payload_is = |media: Media| {
        packet
            .payload()
            .is_some_and(|payload| payload.len() >= media.header_len())
            && field_in(Field::PayloadFirst, &media.first_byte())
            && field_in(Field::PayloadSecond, &media.second_byte())
    };
    match test {
        Test::Tagged => packet.tagged(),
        Test::Ip(family) => packet.family() == Some(*family),
        Test::Fragment => packet.fragment(),
        Test::Field(field, set) => field_in(*field, set),
        Test::EitherPort(set) => field_in(Field::Sport, set) || field_in(Field::Dport, set),
        Test::Media(media) => payload_is(*media),
        Test::RtpPayloadType(types) => {
            payload_is(Media::Rtp) && field_in(Field::PayloadSecond, &rtp_second_byte(types))
        }
    }
}

//! What a frame must look like to come near a condition: values for the fields it asks about.

use std::collections::BTreeMap;

use policy_lang::field::{Family, Field, Layer, Transport};
use policy_lang::policy::{Condition, Media, Test, rtp_second_byte};
use policy_lang::values::ValueSet;

use super::random::Random;

/// Wishes for a frame. They may contradict each other; then the first one counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Aim {
    /// Values that fields should have.
    pub(super) fields: BTreeMap<Field, ValueSet>,
    /// The family of the IP header.
    pub(super) family: Option<Family>,
    /// Whether the transparent tag is there.
    pub(super) tagged: Option<bool>,
    /// Whether it is a fragment.
    pub(super) fragment: Option<bool>,
    /// Bytes that the payload should have.
    pub(super) payload: usize,
}

impl Aim {
    /// Wishes for a frame for which `condition` comes out as `wanted`.
    pub(super) fn at(condition: &Condition, wanted: bool, random: &mut Random) -> Self {
        let mut aim = Self::default();
        aim.condition(condition, wanted, random);
        aim
    }

    fn condition(&mut self, condition: &Condition, wanted: bool, random: &mut Random) {
        match condition {
            Condition::Always => {}
            Condition::Test { test, .. } => self.test(test, wanted, random),
            Condition::Not(inner) => self.condition(inner, !wanted, random),
            Condition::All(parts) if wanted => self.every(parts, wanted, random),
            Condition::Any(parts) if !wanted => self.every(parts, wanted, random),
            Condition::All(parts) | Condition::Any(parts) => {
                if let Some(part) = parts.get(random.below(parts.len())) {
                    self.condition(part, wanted, random);
                }
            }
        }
    }

    fn every(&mut self, parts: &[Condition], wanted: bool, random: &mut Random) {
        for part in parts {
            self.condition(part, wanted, random);
        }
    }

    fn test(&mut self, test: &Test, wanted: bool, random: &mut Random) {
        match test {
            Test::Tagged => self.tagged = self.tagged.or(Some(wanted)),
            Test::Ip(family) => {
                let other = if *family == Family::V4 {
                    Family::V6
                } else {
                    Family::V4
                };
                self.family = self.family.or(Some(if wanted { *family } else { other }));
            }
            Test::Fragment => self.fragment = self.fragment.or(Some(wanted)),
            Test::Field(field, set) => self.field(*field, set, wanted),
            Test::EitherPort(set) if wanted => {
                let port = if random.chance(1, 2) {
                    Field::Sport
                } else {
                    Field::Dport
                };
                self.field(port, set, true);
            }
            Test::EitherPort(set) => {
                self.field(Field::Sport, set, false);
                self.field(Field::Dport, set, false);
            }
            Test::Media(media) => self.media(*media, &media.second_byte(), wanted),
            Test::RtpPayloadType(types) => {
                self.media(Media::Rtp, &rtp_second_byte(types), wanted);
            }
        }
    }

    fn media(&mut self, media: Media, second: &ValueSet, wanted: bool) {
        self.payload = self.payload.max(media.header_len());
        if wanted || second.is_full(8) {
            self.field(Field::PayloadFirst, &media.first_byte(), wanted);
        }
        self.field(Field::PayloadSecond, second, wanted || second.is_full(8));
    }

    /// Wishes for a value, and for the headers without which the field is not there.
    fn field(&mut self, field: Field, set: &ValueSet, wanted: bool) {
        let set = if wanted {
            set.clone()
        } else {
            set.complement(field.width())
        };
        self.narrow(field, &set);
        let protocols = |any_of: &[Transport]| {
            any_of.iter().fold(ValueSet::empty(), |set, transport| {
                set.union(&ValueSet::single(transport.protocol().into()))
            })
        };
        match field.layer() {
            Layer::Ethernet | Layer::Ip(None) => {}
            Layer::Tag => self.tagged = self.tagged.or(Some(true)),
            Layer::Ip(family) => self.family = self.family.or(family),
            Layer::Transport(any_of) => {
                self.narrow(Field::Protocol, &protocols(any_of));
            }
            Layer::Payload => {
                self.payload = self.payload.max(2);
                self.narrow(Field::Protocol, &protocols(&[Transport::Udp]));
            }
        }
    }

    fn narrow(&mut self, field: Field, set: &ValueSet) {
        let known = self
            .fields
            .entry(field)
            .or_insert_with(|| ValueSet::full(field.width()));
        let both = known.intersection(set);
        if !both.is_empty() {
            *known = both;
        }
    }
}

//! From conditions and policies to the frames they mean.
//!
//! The counterpart of [`crate::classify`], which decides about one frame: built from the same
//! header table, checked against it by property tests.

use super::known::About;
use super::{Decided, PacketSet, Space, SpaceFull};
use crate::field::{Base, Family, Field, Layer, NEXT_HEADER_FRAGMENT, Place, Transport};
use crate::policy::{Condition, Media, Policy, Test, Verdict, rtp_second_byte};
use crate::values::ValueSet;

impl Space {
    /// The frames that the policy lets pass. All others are held.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn bypass_of(&self, policy: &Policy) -> Result<PacketSet, SpaceFull> {
        let rules: Result<Vec<Decided>, SpaceFull> = policy
            .rules
            .iter()
            .map(|rule| self.decided(self.condition(&rule.condition)?, rule.verdict))
            .collect();
        let decided = self.first_match_all(rules?)?;
        match policy.default {
            Verdict::Buffer => Ok(decided.bypass),
            Verdict::Bypass => self.union(&decided.bypass, &self.complement(&decided.matched)?),
        }
    }

    /// One rule: it matches `matched` and lets all of it pass or none.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn decided(&self, matched: PacketSet, verdict: Verdict) -> Result<Decided, SpaceFull> {
        let bypass = match verdict {
            Verdict::Buffer => self.none(),
            Verdict::Bypass => matched.clone(),
        };
        Ok(Decided { matched, bypass })
    }

    /// The frames that a condition holds for.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn condition(&self, condition: &Condition) -> Result<PacketSet, SpaceFull> {
        match condition {
            Condition::Always => Ok(self.all()),
            Condition::Test { test, .. } => self.test(test),
            Condition::Not(inner) => self.complement(&self.condition(inner)?),
            Condition::All(parts) => {
                let mut set = self.all();
                for part in parts {
                    set = self.intersection(&set, &self.condition(part)?)?;
                }
                Ok(set)
            }
            Condition::Any(parts) => {
                let sets: Result<Vec<_>, _> = parts.iter().map(|p| self.condition(p)).collect();
                self.union_all(sets?)
            }
        }
    }

    /// The frames that a single test holds for.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn test(&self, test: &Test) -> Result<PacketSet, SpaceFull> {
        let set = match test {
            Test::Tagged => self.tagged(),
            Test::Ip(family) => self.ip(*family),
            Test::Fragment => {
                let v4 =
                    self.field_of(Field::FragmentBits, Family::V4, &ValueSet::range(1, 0x3fff));
                let next = ValueSet::single(NEXT_HEADER_FRAGMENT.into());
                self.union(&v4?, &self.field_of(Field::Protocol, Family::V6, &next)?)
            }
            Test::Field(field, values) => self.field(*field, values),
            Test::EitherPort(values) => self.union(
                &self.field(Field::Sport, values)?,
                &self.field(Field::Dport, values)?,
            ),
            Test::Media(media) => self.media(*media, &media.second_byte()),
            Test::RtpPayloadType(types) => self.media(Media::Rtp, &rtp_second_byte(types)),
        }?;
        self.intersection(&set, &self.all)
    }

    /// The frames with a whole IP header of `family`.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn ip(&self, family: Family) -> Result<PacketSet, SpaceFull> {
        self.known
            .or_make(About::Ip(family), || self.make_ip(family))
    }

    fn make_ip(&self, family: Family) -> Result<PacketSet, SpaceFull> {
        let first_byte = match family {
            Family::V4 => ValueSet::range(0x45, 0x4f),
            Family::V6 => ValueSet::range(0x60, 0x6f),
        };
        let announced = self.bits_in(
            Place {
                base: Base::Type,
                bit: 0,
                width: 16,
            },
            &ValueSet::single(family.ethertype().into()),
        )?;
        let version = self.bits_in(
            Place {
                base: Base::Network,
                bit: 0,
                width: 8,
            },
            &first_byte,
        )?;
        let there = self.intersection(&version, &self.at_least(family.header_len())?)?;
        self.intersection(&announced, &there)
    }

    /// The plain packets of `family` with the whole header of `transport`, and `more` bytes behind.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn plain(
        &self,
        family: Family,
        transport: Transport,
        more: usize,
    ) -> Result<PacketSet, SpaceFull> {
        self.known
            .or_make(About::Plain(family, transport, more), || {
                self.make_plain(family, transport, more)
            })
    }

    fn make_plain(
        &self,
        family: Family,
        transport: Transport,
        more: usize,
    ) -> Result<PacketSet, SpaceFull> {
        if !transport.runs_over(family) {
            return Ok(self.none());
        }
        let protocol = ValueSet::single(transport.protocol().into());
        let named = self.field_of(Field::Protocol, family, &protocol)?;
        let long_enough = self.at_least(family.header_len() + transport.header_len() + more)?;
        let set = self.intersection(&named, &long_enough)?;
        if family == Family::V6 {
            return Ok(set);
        }
        let header = self.bits_in(
            Place {
                base: Base::Network,
                bit: 0,
                width: 8,
            },
            &ValueSet::single(0x45),
        )?;
        let whole = self.field_of(Field::FragmentBits, family, &ValueSet::single(0))?;
        self.intersection(&set, &self.intersection(&header, &whole)?)
    }

    fn field(&self, field: Field, values: &ValueSet) -> Result<PacketSet, SpaceFull> {
        if field.place(Family::V4) == field.place(Family::V6) {
            return self.field_of(field, Family::V4, values);
        }
        let v4 = self.field_of(field, Family::V4, values)?;
        self.union(&v4, &self.field_of(field, Family::V6, values)?)
    }

    /// The frames that have `field` as packets of `family` have it, with a value in `values`.
    fn field_of(
        &self,
        field: Field,
        family: Family,
        values: &ValueSet,
    ) -> Result<PacketSet, SpaceFull> {
        let Some(place) = field.place(family) else {
            return Ok(self.none());
        };
        let there = match field.layer() {
            Layer::Ethernet => self.all(),
            Layer::Tag => self.tagged()?,
            Layer::Ip(_) => self.ip(family)?,
            Layer::Transport(any_of) => {
                self.known.or_make(About::AnyPlain(family, any_of), || {
                    let plain: Result<Vec<_>, _> = any_of
                        .iter()
                        .map(|&transport| self.plain(family, transport, 0))
                        .collect();
                    self.union_all(plain?)
                })?
            }
            Layer::Payload => self.plain(family, Transport::Udp, 0)?,
        };
        self.intersection(&there, &self.bits_in(place, values)?)
    }

    fn media(&self, media: Media, second_byte: &ValueSet) -> Result<PacketSet, SpaceFull> {
        let mut sets = Vec::new();
        for family in Family::ALL {
            let first = self.field_of(Field::PayloadFirst, family, &media.first_byte())?;
            let second = self.field_of(Field::PayloadSecond, family, second_byte)?;
            let there = self.plain(family, Transport::Udp, media.header_len())?;
            sets.push(self.intersection(&there, &self.intersection(&first, &second)?)?);
        }
        self.union_all(sets)
    }
}

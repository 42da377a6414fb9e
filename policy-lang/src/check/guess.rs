//! A frame that fulfils a condition, guessed from its terms.
//!
//! Most conditions can be fulfilled, and for most a frame is found by giving each field a value
//! that its terms allow. The guess is put through the reference meaning, so a hit is certain and
//! costs microseconds; a miss says nothing, and the packet sets have to answer.

use std::collections::BTreeMap;

use crate::classify::holds;
use crate::field::{
    Base, ETHERNET_LEN, ETHERTYPE_VLAN, Family, Field, Layer, NEXT_HEADER_FRAGMENT, TAG_LEN,
    Transport,
};
use crate::packet::Packet;
use crate::policy::{Condition, Media, Test, rtp_second_byte};
use crate::values::ValueSet;

/// Bytes behind the IP header: room for every fixed header that a term asks for.
const ROOM: usize = 64;

/// A frame for which all of the conditions hold, if one is found.
pub(super) fn example(conditions: &[Condition]) -> Option<Vec<u8>> {
    let kinds = Family::ALL
        .into_iter()
        .flat_map(|family| [(family, false), (family, true)]);
    kinds
        .filter_map(|(family, tagged)| guess(conditions, family, tagged))
        .find(|frame| {
            conditions
                .iter()
                .all(|condition| holds(condition, Packet::new(frame)))
        })
}

/// What is wanted of a frame of one family.
struct Wanted {
    family: Family,
    fields: BTreeMap<Field, ValueSet>,
    /// Sets that one of the ports is to be in.
    either: Vec<ValueSet>,
}

fn guess(conditions: &[Condition], family: Family, tagged: bool) -> Option<Vec<u8>> {
    let mut wanted = Wanted {
        family,
        fields: BTreeMap::new(),
        either: Vec::new(),
    };
    conditions
        .iter()
        .for_each(|condition| wanted.condition(condition, true));
    wanted.choose_ports();
    wanted.frame(tagged)
}

impl Wanted {
    fn condition(&mut self, condition: &Condition, positive: bool) {
        match condition {
            Condition::Always => {}
            Condition::Test { test, .. } => self.test(test, positive),
            Condition::Not(inner) => self.condition(inner, !positive),
            Condition::All(parts) if positive => {
                parts.iter().for_each(|part| self.condition(part, true));
            }
            Condition::Any(parts) if !positive => {
                parts.iter().for_each(|part| self.condition(part, false));
            }
            Condition::Any(parts) => {
                let possible = parts.iter().find(|part| self.is_possible(part));
                possible
                    .into_iter()
                    .for_each(|part| self.condition(part, true));
            }
            // The last term is mostly the one that says more: in `not (udp dport 5)` the port.
            Condition::All(parts) => {
                parts
                    .iter()
                    .next_back()
                    .into_iter()
                    .for_each(|part| self.condition(part, false));
            }
        }
    }

    /// Whether packets of the family can fulfil a condition, as far as its terms show.
    fn is_possible(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Test {
                test: Test::Field(field, _),
                ..
            } => field.place(self.family).is_some(),
            Condition::Test {
                test: Test::Ip(family),
                ..
            } => *family == self.family,
            Condition::All(parts) => parts.iter().all(|part| self.is_possible(part)),
            _ => true,
        }
    }

    fn test(&mut self, test: &Test, positive: bool) {
        match (test, positive) {
            (Test::Field(field, set), true) => self.narrow(*field, set),
            // A field that is not there fulfils a negation as well, but is harder to arrange.
            (Test::Field(field, set), false) if field.place(self.family).is_some() => {
                self.narrow(*field, &set.complement(field.width()));
            }
            (Test::EitherPort(set), true) => self.either.push(set.clone()),
            (Test::Media(media), true) => self.media(*media, &media.second_byte()),
            (Test::RtpPayloadType(types), true) => self.media(Media::Rtp, &rtp_second_byte(types)),
            (Test::Fragment, true) => match self.family {
                Family::V4 => self.narrow(Field::FragmentBits, &ValueSet::single(1)),
                Family::V6 => {
                    self.narrow(
                        Field::Protocol,
                        &ValueSet::single(NEXT_HEADER_FRAGMENT.into()),
                    );
                }
            },
            (Test::Ip(_), true) => {
                let announced = ValueSet::single(self.family.ethertype().into());
                self.narrow(Field::Ethertype, &announced);
            }
            _ => {}
        }
    }

    /// Puts each set of [`Test::EitherPort`] on a port that is still free for it.
    fn choose_ports(&mut self) {
        for set in std::mem::take(&mut self.either) {
            let taken = |known: &ValueSet| known.intersection(&set).is_empty();
            let field = match self.fields.get(&Field::Dport).is_some_and(taken) {
                true => Field::Sport,
                false => Field::Dport,
            };
            self.narrow(field, &set);
        }
    }

    fn media(&mut self, media: Media, second: &ValueSet) {
        self.narrow(Field::PayloadFirst, &media.first_byte());
        self.narrow(Field::PayloadSecond, second);
    }

    /// Adds that the field is in the set, and that the headers are there which it needs.
    fn narrow(&mut self, field: Field, set: &ValueSet) {
        match self.fields.get_mut(&field) {
            Some(known) => *known = known.intersection(set),
            None => {
                self.fields.insert(field, set.clone());
                let transports = match field.layer() {
                    Layer::Transport(transports) => transports,
                    Layer::Payload => &[Transport::Udp],
                    Layer::Ethernet | Layer::Tag | Layer::Ip(_) => &[],
                };
                let over = transports.iter().filter(|one| one.runs_over(self.family));
                let numbers = over.map(|one| u128::from(one.protocol()));
                let set = numbers.fold(ValueSet::empty(), |set, number| {
                    set.union(&ValueSet::single(number))
                });
                if !set.is_empty() {
                    self.narrow(Field::Protocol, &set);
                }
                if !matches!(field.layer(), Layer::Ethernet | Layer::Tag) {
                    let announced = ValueSet::single(self.family.ethertype().into());
                    self.narrow(Field::Ethertype, &announced);
                }
            }
        }
    }

    /// The frame with the lowest value that is wanted in each field.
    fn frame(&self, tagged: bool) -> Option<Vec<u8>> {
        let type_at = ETHERNET_LEN - 2 + if tagged { TAG_LEN } else { 0 };
        let network_at = type_at + 2;
        let mut frame = vec![0; network_at + self.family.header_len() + ROOM];
        if tagged {
            put(
                &mut frame,
                (ETHERNET_LEN - 2) * 8,
                16,
                ETHERTYPE_VLAN.into(),
            )?;
        }
        put(&mut frame, type_at * 8, 16, self.family.ethertype().into())?;
        // Version, and for IPv4 a header of five words.
        let first = match self.family {
            Family::V4 => 0x45,
            Family::V6 => 0x60,
        };
        put(&mut frame, network_at * 8, 8, first)?;
        for (field, set) in &self.fields {
            let place = field.place(self.family)?;
            let base = match place.base {
                Base::Frame => 0,
                Base::Tag if tagged => ETHERNET_LEN,
                Base::Tag => return None,
                Base::Type => type_at,
                Base::Network => network_at,
            };
            let value = set.ranges().first()?.low;
            put(&mut frame, base * 8 + place.bit, place.width, value)?;
        }
        Some(frame)
    }
}

/// Writes the lowest `width` bits of `value` from bit `at` on, most significant first.
fn put(frame: &mut [u8], at: usize, width: u32, value: u128) -> Option<()> {
    for (at, shift) in (at..).zip((0..width).rev()) {
        let byte = frame.get_mut(at / 8)?;
        let mask = 0x80 >> (at % 8);
        match value >> shift & 1 {
            0 => *byte &= !mask,
            _ => *byte |= mask,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::source::SourceFile;

    #[test]
    fn ordinary_conditions_are_guessed() {
        for text in [
            "udp dport 5060",
            "tcp flags syn+ack src 2001:db8::/32",
            "icmp type 8",
            "icmp6 type 128 code 0",
            "vlan 5 arp",
            "untagged not tcp",
            "rtp pt 8 dst { 10.0.0.0/8, 2001:db8::/32 }",
            "proto esp dscp ef ttl 1-5",
            "fragment ip6",
            "fragment ip",
            "port 53 dport 1000-2000",
            "not (tcp or udp) ip",
            "not (tcp sport 5) tcp",
            "src mac 00:16:3e:00:00:00-00:16:3e:ff:ff:ff ethertype 0x88cc",
        ] {
            let source = SourceFile::new("test", format!("buffer {text};"));
            let policy = check(&source).0.expect("a policy");
            let condition = policy.rules.first().map(|rule| rule.condition.clone());
            assert!(
                example(condition.as_slice()).is_some(),
                "no frame for {text}"
            );
        }
    }
}

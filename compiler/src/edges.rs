//! Frames at the edges of a policy, the same for the same seed.
//!
//! Most are aimed at a rule: its own values, and those just beside them, in every shape that could
//! be mistaken for the right one: fragments, IP options, extension headers, tags of all kinds,
//! frames cut at any byte. The rest are aimed at nothing.

mod aim;
mod build;
mod random;

use std::collections::BTreeMap;

use policy_lang::field::{ETHERNET_LEN, ETHERTYPE_VLAN, Family, Field, Transport};
use policy_lang::policy::{Condition, Policy, Test};
use policy_lang::values::{ValueSet, max_value};

use aim::Aim;
use build::{Body, Plan};
use random::Random;

/// An endless source of frames.
#[derive(Debug)]
pub struct Edges<'a> {
    policy: &'a Policy,
    pools: BTreeMap<Field, Vec<u128>>,
    random: Random,
}

impl<'a> Edges<'a> {
    /// Frames for `policy`; for the same seed always the same ones.
    #[must_use]
    pub fn new(policy: &'a Policy, seed: u64) -> Self {
        let mut pools: BTreeMap<Field, Vec<u128>> = Field::ALL
            .into_iter()
            .map(|field| (field, usual(field).to_vec()))
            .collect();
        let conditions = policy.rules.iter().map(|rule| &rule.condition);
        let expected = policy.expectations.iter().map(|claim| &claim.condition);
        for condition in conditions.chain(expected) {
            collect(condition, &mut pools);
        }
        for pool in pools.values_mut() {
            pool.sort_unstable();
            pool.dedup();
        }
        Self {
            policy,
            pools,
            random: Random::new(seed),
        }
    }

    /// The next frame, of at least 14 bytes.
    pub fn frame(&mut self) -> Vec<u8> {
        let aim = self.aim();
        let plan = self.plan(&aim);
        let mut frame = plan.frame();
        if self.random.chance(1, 24) {
            // A header that contradicts itself: ethertype, version, header length or what is there
            // behind a tag.
            let at = self
                .random
                .pick(&[12, 13, 14, 14, 14, 16, 17, 18, 18, 20])
                .unwrap_or(0);
            let drawn = self.random.bits(8).to_be_bytes();
            if let (Some(byte), Some(new)) = (frame.get_mut(at), drawn.last()) {
                *byte = *new;
            }
        }
        frame
    }

    /// Wishes for the next frame: near a rule or an expectation, or none.
    fn aim(&mut self) -> Aim {
        let (rules, claims) = (self.policy.rules.len(), self.policy.expectations.len());
        let drawn = self.random.below(rules + claims + 1);
        let condition = match self.policy.rules.get(drawn) {
            Some(rule) => Some(&rule.condition),
            None => self
                .policy
                .expectations
                .get(drawn - rules)
                .map(|claim| &claim.condition),
        };
        let wanted = self.random.chance(7, 8);
        condition.map_or_else(Aim::default, |it| Aim::at(it, wanted, &mut self.random))
    }

    fn plan(&mut self, aim: &Aim) -> Plan {
        let mut values = BTreeMap::new();
        for field in Field::ALL {
            values.insert(field, self.value(field, aim));
        }
        let ordinary = self.random.chance(5, 8);
        let body = self.body(aim, ordinary, &mut values);
        let fragment = aim
            .fragment
            .unwrap_or_else(|| !ordinary && self.random.chance(1, 4));
        if !fragment && !aim.fields.contains_key(&Field::FragmentBits) {
            values.insert(Field::FragmentBits, 0);
        } else if fragment && values.get(&Field::FragmentBits) == Some(&0) {
            values.insert(Field::FragmentBits, 0x2000);
        }
        let tags = self.tags(aim, ordinary);
        let rest = match self.random.below(4) {
            0 => aim.payload,
            1 => aim.payload.saturating_sub(1),
            2 => aim.payload + self.random.below(3),
            _ => self.random.below(48),
        };
        let payload = (0..rest)
            .map(|at| u8::try_from(at % 251).unwrap_or_default())
            .collect();
        let cut =
            (!ordinary && self.random.chance(1, 3)).then(|| ETHERNET_LEN + self.random.below(100));
        Plan {
            values,
            tags,
            body,
            payload,
            cut,
        }
    }

    /// A value of `field`: where the aim ends, just beside it, or one that is used to mean something.
    fn value(&mut self, field: Field, aim: &Aim) -> u128 {
        let max = max_value(field.width());
        if let Some(set) = aim.fields.get(&field)
            && self.random.chance(15, 16)
        {
            return self.member(set);
        }
        match self.pools.get(&field) {
            Some(pool) if self.random.chance(15, 16) => self.random.pick(pool).unwrap_or(0) & max,
            _ => self.random.bits(field.width()),
        }
    }

    /// A value of a set, mostly at the border of one of its ranges.
    fn member(&mut self, set: &ValueSet) -> u128 {
        let Some(range) = self.random.pick(set.ranges()) else {
            return 0;
        };
        match self.random.below(4) {
            0 => range.low,
            1 => range.high,
            _ => {
                let width = range.high - range.low;
                let drawn = self.random.bits(128);
                range.low + width.checked_add(1).map_or(drawn, |count| drawn % count)
            }
        }
    }

    fn body(&mut self, aim: &Aim, ordinary: bool, values: &mut BTreeMap<Field, u128>) -> Body {
        let asked = aim.fields.contains_key(&Field::Ethertype);
        let about_ip = aim.family.is_some() || aim.fields.contains_key(&Field::Protocol);
        let ethertype = values.get(&Field::Ethertype).copied().unwrap_or_default();
        let announced = Family::ALL
            .into_iter()
            .find(|f| u128::from(f.ethertype()) == ethertype);
        let other = if asked {
            announced.is_none()
        } else {
            !about_ip && self.random.chance(1, 4)
        };
        if other {
            return Body::Other;
        }
        let protocol = values.get(&Field::Protocol).copied().unwrap_or_default();
        let only = Transport::ALL
            .into_iter()
            .find(|t| u128::from(t.protocol()) == protocol);
        let drawn = if self.random.chance(1, 2) {
            Family::V4
        } else {
            Family::V6
        };
        let family = aim
            .family
            .or_else(|| announced.filter(|_| asked))
            .unwrap_or_else(|| match only {
                Some(transport) if !transport.runs_over(drawn) => {
                    if drawn == Family::V4 {
                        Family::V6
                    } else {
                        Family::V4
                    }
                }
                _ => drawn,
            });
        let fragment = aim.fragment == Some(true);
        match family {
            _ if ordinary && !fragment => Body::Ip(family),
            Family::V4 if self.random.chance(1, 4) => {
                Body::Options(u8::try_from(1 + self.random.below(10)).unwrap_or(1))
            }
            Family::V6 if fragment => Body::Extension(44),
            Family::V6 if self.random.chance(1, 2) => {
                Body::Extension(self.random.pick(&[0, 43, 44, 60, 135]).unwrap_or(0))
            }
            _ => Body::Ip(family),
        }
    }

    fn tags(&mut self, aim: &Aim, ordinary: bool) -> Vec<(u16, u16)> {
        // The control information: sometimes a priority, sometimes the drop-eligible bit.
        let control = self
            .random
            .pick(&[0, 1, 0x0064, 0x6001, 0x1fff, 0xffff])
            .unwrap_or(0);
        let one = (ETHERTYPE_VLAN, control);
        match aim.tagged {
            Some(true) if ordinary => return vec![one],
            Some(false) if ordinary => return Vec::new(),
            _ => {}
        }
        match self.random.below(if ordinary { 16 } else { 40 }) {
            0 | 1 => vec![one],
            16 => vec![(0x88a8, control)],
            17 => vec![(0x9100, control)],
            18 => vec![one, (ETHERTYPE_VLAN, 2)],
            19 => vec![(0x88a8, control), (ETHERTYPE_VLAN, 2)],
            20 => vec![one, (0x88a8, 2)],
            _ => Vec::new(),
        }
    }
}

/// Adds the borders of every set in `condition`, and the values just beside them.
fn collect(condition: &Condition, pools: &mut BTreeMap<Field, Vec<u128>>) {
    let mut add = |field: Field, set: &ValueSet| {
        let pool = pools.entry(field).or_default();
        for range in set.ranges() {
            let beside = [range.low.wrapping_sub(1), range.high.wrapping_add(1)];
            pool.extend(beside.into_iter().chain([range.low, range.high]));
        }
    };
    for (test, _) in condition.tests() {
        match test {
            Test::Tagged | Test::Ip(_) | Test::Fragment | Test::Media(_) => {}
            Test::Field(field, set) => add(*field, set),
            Test::EitherPort(set) => {
                add(Field::Sport, set);
                add(Field::Dport, set);
            }
            Test::RtpPayloadType(types) => add(Field::PayloadSecond, types),
        }
    }
}

/// Values that mean something to a kernel or to the language.
fn usual(field: Field) -> &'static [u128] {
    match field {
        Field::SrcMac | Field::DstMac => &[
            0x0200_0000_0001,
            0x0016_3e00_0001,
            0xffff_ffff_ffff,
            0x0180_c200_000e,
            0x0100_5e00_0001,
        ],
        Field::VlanId => &[0, 1, 100, 4095],
        Field::Ethertype => &[
            0, 0x0026, 0x05ff, 0x0600, 0x0800, 0x0806, 0x8100, 0x86dd, 0x8847, 0x88a8, 0x88cc,
            0x9100, 0xffff,
        ],
        Field::Protocol => &[0, 1, 4, 6, 17, 41, 44, 47, 50, 58, 59, 60, 132, 136, 255],
        Field::Src4 | Field::Dst4 => &[0, 0x0a00_0002, 0xc000_0209, 0xe000_0001, 0xffff_ffff],
        Field::Src6 | Field::Dst6 => &[
            0,
            1,
            0x2001_0db8_0000_0000_0000_0000_0000_0001,
            0xfe80_0000_0000_0000_0000_0000_0000_0001,
            0xff02_0000_0000_0000_0000_0000_0000_0001,
            0x0000_0000_0000_0000_0000_ffff_0a00_0002,
        ],
        Field::Dscp => &[0, 34, 46, 63],
        Field::Ecn => &[0, 1, 2, 3],
        Field::Ttl => &[0, 1, 64, 255],
        Field::FragmentBits => &[0, 1, 185, 0x1fff, 0x2000, 0x2001, 0x3fff],
        Field::Sport | Field::Dport => &[0, 53, 1024, 5060, 16384, 32767, 0x4141, 65535],
        Field::TcpFlags => &[0, 2, 4, 16, 17, 18, 24, 255],
        Field::IcmpType => &[0, 3, 8, 128, 129, 133, 134, 135, 136],
        Field::IcmpCode => &[0, 1, 4, 255],
        Field::PayloadFirst => &[0, 3, 4, 16, 19, 20, 63, 64, 79, 80, 127, 128, 191, 192, 255],
        Field::PayloadSecond => &[0, 8, 127, 128, 136, 191, 192, 200, 201, 223, 224, 255],
    }
}

#[cfg(test)]
mod tests;

//! What nft puts in front of a typed expression, so that it is not read from another protocol.
//!
//! Found out with `nft --debug=netlink` of 1.0.6: `ip` and `ip6` imply `meta protocol`, `vlan`
//! implies `ether type 8021q`, `ether` implies an Ethernet device; each only unless the rule has
//! said so before. Behind an `ether` expression, `ip` implies `ether type ip` instead. A listing
//! hides these tests again, and then nobody can tell which of the two a rule has: such rules are
//! refused.

use super::ast::{Operator, Part, Right, Scalar, Statement};
use super::fields::{Field, Protocol};
use super::values::Datatype;

/// A test that nft adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Implied {
    /// `meta protocol` is this.
    Protocol(u16),
    /// `ether type` is that of an 802.1Q tag.
    Tag,
}

/// What the rule has said about protocols so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    ethernet: bool,
    outer: Option<u128>,
    inner: Option<u128>,
}

const TAGS: [u128; 2] = [0x8100, 0x88a8];

impl Context {
    /// What nft puts in front of `statement`, which is noted.
    pub(super) fn step(&mut self, statement: &Statement) -> Result<Vec<Implied>, String> {
        let key = match statement {
            Statement::Match { key, .. } | Statement::Map { key, .. } => key.as_slice(),
            Statement::Verdict(_) | Statement::Forward(_) => &[],
        };
        let mut implied = Vec::new();
        for part in key {
            implied.extend(self.part(part)?);
        }
        if let Statement::Match {
            key,
            operator: Operator::Equal,
            right: Right::Value(Scalar::Exact(word)),
        } = statement
        {
            self.note(key, word);
        }
        Ok(implied)
    }

    fn part(&mut self, part: &Part) -> Result<Option<Implied>, String> {
        let Field::Payload {
            typed: Some(protocol),
            ..
        } = part.field
        else {
            return Ok(None);
        };
        let tagged = self.outer.is_some_and(|outer| TAGS.contains(&outer));
        match protocol {
            Protocol::Ethernet => {
                self.ethernet = true;
                Ok(None)
            }
            Protocol::Vlan => {
                self.ethernet = true;
                if tagged {
                    return Ok(None);
                }
                self.outer = Some(TAGS[0]);
                Ok(Some(Implied::Tag))
            }
            Protocol::Ipv4 | Protocol::Ipv6 => {
                let ethertype = if protocol == Protocol::Ipv4 {
                    0x0800
                } else {
                    0x86dd
                };
                let said = self.inner.or_else(|| self.outer.filter(|_| !tagged));
                if said.is_some_and(|said| said != u128::from(ethertype)) {
                    return Err("the rule asks for two protocols at once".to_owned());
                }
                if said.is_none() && self.ethernet && !tagged {
                    return Err(
                        "behind an `ether` expression, a listing does not tell whether \
                                `meta protocol` or `ether type` is tested: say it, or use `@ll`"
                            .to_owned(),
                    );
                }
                self.inner = Some(u128::from(ethertype));
                Ok(said.is_none().then_some(Implied::Protocol(ethertype)))
            }
        }
    }

    /// Takes note of a test for one protocol.
    fn note(&mut self, key: &[Part], word: &str) {
        let [Part { field, mask: None }] = key else {
            return;
        };
        let value = Datatype::EtherType.value(word);
        match field {
            Field::Protocol => self.inner = value,
            Field::Payload {
                typed: Some(Protocol::Ethernet),
                datatype: Datatype::EtherType,
                ..
            } => self.outer = value,
            Field::Payload {
                typed: Some(Protocol::Vlan),
                datatype: Datatype::EtherType,
                ..
            } => self.inner = value,
            _ => {}
        }
    }
}

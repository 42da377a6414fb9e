//! What words stand for: numbers, addresses, and the names that nft prints for some of them.
//!
//! Names are those of nft 1.0.6 (`nft describe`), protocol names those of IANA's registry as
//! `/etc/protocols` has them. A word that is not known is an error, never a guess.

use std::net::{Ipv4Addr, Ipv6Addr};

use policy_lang::values::{Range, ValueSet, max_value};

use super::ast::Scalar;

/// What kind of value a field has; it decides which names and notations it may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Datatype {
    Integer,
    Ipv4,
    Ipv6,
    Mac,
    EtherType,
    Protocol,
    Dscp,
    Ecn,
}

impl Datatype {
    /// The type and width that a set declares as `type NAME`.
    pub(super) fn named(name: &str) -> Option<(Self, Option<u32>)> {
        Some(match name {
            "integer" => (Self::Integer, None),
            "ipv4_addr" => (Self::Ipv4, Some(32)),
            "ipv6_addr" => (Self::Ipv6, Some(128)),
            "ether_addr" => (Self::Mac, Some(48)),
            "ether_type" => (Self::EtherType, Some(16)),
            "inet_proto" => (Self::Protocol, Some(8)),
            "inet_service" => (Self::Integer, Some(16)),
            "dscp" => (Self::Dscp, Some(6)),
            "ecn" => (Self::Ecn, Some(2)),
            _ => return None,
        })
    }

    fn symbols(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Integer | Self::Ipv4 | Self::Ipv6 | Self::Mac => &[],
            Self::EtherType => ETHER_TYPES,
            Self::Protocol => PROTOCOLS,
            Self::Dscp => DSCP,
            Self::Ecn => ECN,
        }
    }

    /// The number that `word` stands for.
    pub(super) fn value(self, word: &str) -> Option<u128> {
        let symbol = self.symbols().iter().find(|(name, _)| *name == word);
        symbol
            .map(|(_, value)| u128::from(*value))
            .or_else(|| number(word))
            .or_else(|| match self {
                Self::Ipv4 => word.parse::<Ipv4Addr>().ok().map(|a| a.to_bits().into()),
                Self::Ipv6 => word.parse::<Ipv6Addr>().ok().map(Ipv6Addr::to_bits),
                Self::Mac => mac(word),
                _ => None,
            })
    }

    /// The values that `scalar` stands for, in a field of `width` bits.
    pub(super) fn values(self, scalar: &Scalar, width: u32) -> Result<ValueSet, String> {
        let value = |word: &str| {
            self.value(word)
                .ok_or_else(|| format!("`{word}` is no value that is known for this field"))
        };
        let fits = |word: &str| match value(word)? {
            value if value <= max_value(width) => Ok(value),
            _ => Err(format!("`{word}` does not fit in {width} bits")),
        };
        match scalar {
            Scalar::Exact(word) => Ok(ValueSet::single(fits(word)?)),
            Scalar::Range(low, high) => {
                // Of a field that is not whole bytes, nft prints the last range up to the end of
                // the byte (`ip hdrlength 6-255`).
                let (low, high) = if width.is_multiple_of(8) {
                    (fits(low)?, fits(high)?)
                } else {
                    (fits(low)?, value(high)?.min(max_value(width)))
                };
                if low > high {
                    return Err("the range is empty".to_owned());
                }
                Ok(ValueSet::range(low, high))
            }
            Scalar::Prefix(word, length) => {
                let host = width
                    .checked_sub(*length)
                    .ok_or_else(|| format!("a prefix of {length} bits is too long here"))?;
                let (address, rest) = (fits(word)?, max_value(host));
                Ok(ValueSet::from_ranges([Range::new(
                    address & !rest,
                    address | rest,
                )]))
            }
        }
    }
}

/// `word` as a value, a range or a prefix, as far as the word alone tells.
pub(super) fn scalar(word: &str) -> Option<Scalar> {
    let hyphenated = |name: &str| {
        [PROTOCOLS, ECN]
            .iter()
            .any(|names| names.iter().any(|(known, _)| *known == name))
    };
    if hyphenated(word) {
        return Some(Scalar::Exact(word.to_owned()));
    }
    if let Some((address, length)) = word.split_once('/') {
        let length = u32::try_from(number(length)?).ok()?;
        return (!address.contains('-')).then(|| Scalar::Prefix(address.to_owned(), length));
    }
    Some(match word.split_once('-') {
        Some((low, high)) => Scalar::Range(low.to_owned(), high.to_owned()),
        None => Scalar::Exact(word.to_owned()),
    })
}

/// A decimal or `0x` number. Not one with a leading zero: nft takes that for octal.
pub(super) fn number(word: &str) -> Option<u128> {
    match word.strip_prefix("0x") {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            u128::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None if word.len() > 1 && word.starts_with('0') => None,
        None => word
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| word.parse().ok())?,
    }
}

fn mac(word: &str) -> Option<u128> {
    let octets: Vec<u8> = word
        .split(':')
        .map(|octet| {
            (octet.len() <= 2)
                .then(|| u8::from_str_radix(octet, 16).ok())
                .flatten()
        })
        .collect::<Option<_>>()?;
    (octets.len() == 6).then(|| {
        octets
            .iter()
            .fold(0, |value, &octet| value << 8 | u128::from(octet))
    })
}

const ETHER_TYPES: &[(&str, u32)] = &[
    ("ip", 0x0800),
    ("arp", 0x0806),
    ("ip6", 0x86dd),
    ("8021q", 0x8100),
    ("vlan", 0x8100),
    ("8021ad", 0x88a8),
];

const ECN: &[(&str, u32)] = &[("not-ect", 0), ("ect1", 1), ("ect0", 2), ("ce", 3)];

/// RFC 2474, RFC 2597, RFC 3246, RFC 5865, RFC 8622.
const DSCP: &[(&str, u32)] = &[
    ("cs0", 0),
    ("be", 0),
    ("df", 0),
    ("lephb", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

const PROTOCOLS: &[(&str, u32)] = &[
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
];

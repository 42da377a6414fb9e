//! How nftables is asked for a field, and how it spells the field's values.
//!
//! Nearly all are raw loads (`@nh,BIT,WIDTH`, man nft, "raw payload expression"): nft's own `udp
//! dport` would follow the kernel's parsing of the packet, which is not the language's. IP addresses
//! have typed expressions, which are easier to read. nft puts a test of the ethertype before these,
//! and what it tests depends on the typed expressions to their left: `meta protocol` if there are
//! none, but behind `ether saddr` it is the outer ethertype, which a tagged packet fails. So nothing
//! else is typed. All loads compare in network byte order.

use std::net::{Ipv4Addr, Ipv6Addr};

use policy_lang::field::{Base, Family, Field};
use policy_lang::values::{Range, ValueSet, max_value};

use crate::ir::{Guard, Shape};

/// Lengths that an 802.3 frame can state in place of an ethertype.
const LENGTHS: Range = Range {
    low: 0,
    high: 0x5ff,
};

/// Behind a tag, nft does not see the value of an 802.3 length field, only that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnseenLength;

/// An expression that loads a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The expression, without mask.
    pub(super) load: String,
    /// Bits of the load that belong to the field, if others come before it.
    pub(super) mask: Option<u128>,
    /// Bits of the load behind the field.
    low_bits: u32,
    /// Known bits of the load before the field, in place.
    before: u128,
    spelling: Spelling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Decimal,
    /// With this many digits.
    Hex(usize),
    Ipv4,
    Ipv6,
}

/// The family of the IP header in a block; its outer fields are the same for both.
pub(super) fn family(guard: Guard) -> Family {
    match guard.shape {
        Shape::Ip(family) | Shape::Plain { family, .. } => family,
        Shape::Any => Family::V4,
    }
}

/// Whether the field can be part of a concatenation: an unmasked load in network byte order.
///
/// `meta protocol` is one too, but only as long as nft converts the ends of its ranges.
pub(super) fn concatenates(field: Field) -> bool {
    !matches!(field, Field::Ethertype | Field::Ecn | Field::FragmentBits)
}

/// Bytes that a field takes in the key of a concatenation, which is made of 32-bit registers.
pub(super) fn key_bytes(field: Field) -> u32 {
    field.width().div_ceil(32) * 4
}

impl Key {
    /// How the frames of `guard` are asked for `field`; `None` if they do not have it.
    pub(super) fn new(field: Field, guard: Guard) -> Option<Self> {
        let load = |load: &str, spelling| {
            Some(Self {
                load: load.to_owned(),
                mask: None,
                low_bits: 0,
                before: 0,
                spelling,
            })
        };
        let family = family(guard);
        match field {
            Field::SrcMac => load("@ll,48,48", Spelling::Hex(12)),
            Field::DstMac => load("@ll,0,48", Spelling::Hex(12)),
            // Behind a tag, nft shows the frame as it was before the kernel took the tag out.
            Field::VlanId => load("@ll,116,12", Spelling::Decimal),
            // Without a tag the field itself can be read, also where it is an 802.3 length.
            Field::Ethertype if guard.tagged == Some(false) => load("@ll,96,16", Spelling::Hex(4)),
            Field::Ethertype => load("meta protocol", Spelling::Hex(4)),
            Field::Src4 => load("ip saddr", Spelling::Ipv4),
            Field::Dst4 => load("ip daddr", Spelling::Ipv4),
            Field::Src6 => load("ip6 saddr", Spelling::Ipv6),
            Field::Dst6 => load("ip6 daddr", Spelling::Ipv6),
            _ => Self::raw(field, family),
        }
    }

    /// The whole bytes around a field of the network header or behind.
    fn raw(field: Field, family: Family) -> Option<Self> {
        let place = field.place(family).filter(|p| p.base == Base::Network)?;
        let width = usize::try_from(place.width).ok()?;
        let start = place.bit / 8 * 8;
        let end = (place.bit + width).div_ceil(8) * 8;
        let bits_before = place.bit - start;
        let low_bits = u32::try_from(end - place.bit - width).ok()?;
        let version = (start == 0).then_some(match family {
            Family::V4 => 4_u128,
            Family::V6 => 6,
        });
        let known = bits_before == 0 || (bits_before == 4 && version.is_some());
        Some(Self {
            load: format!("@nh,{start},{}", end - start),
            mask: (!known).then_some(max_value(place.width) << low_bits),
            low_bits,
            before: match version {
                Some(version) if known && bits_before == 4 => version << (place.width + low_bits),
                _ => 0,
            },
            spelling: match field {
                Field::Dscp | Field::Ecn | Field::FragmentBits | Field::TcpFlags => {
                    Spelling::Hex((end - start) / 4)
                }
                _ => Spelling::Decimal,
            },
        })
    }

    /// A range of the field's values as nft reads it.
    pub(super) fn range(&self, range: Range) -> String {
        let low = range.low << self.low_bits | self.before;
        let mut high = range.high << self.low_bits | self.before;
        if self.mask.is_none() {
            high |= max_value(self.low_bits);
        }
        let prefix = |width: u32| prefix_len(low, high, width).filter(|&len| len < width);
        let one = |value| self.value(value);
        match self.spelling {
            _ if low == high => one(low),
            Spelling::Ipv4 if prefix(32).is_some() => {
                format!("{}/{}", one(low), prefix(32).unwrap_or(32))
            }
            Spelling::Ipv6 if prefix(128).is_some() => {
                format!("{}/{}", one(low), prefix(128).unwrap_or(128))
            }
            _ => format!("{}-{}", one(low), one(high)),
        }
    }

    /// Whether the range is a single value of the load.
    pub(super) fn is_point(&self, range: Range) -> bool {
        range.low == range.high && (self.mask.is_some() || self.low_bits == 0)
    }

    /// Whether `!=` may be used with this range.
    ///
    /// nft 1.0.6 joins tests of neighbouring bytes into one test of all of them. It does so for `!=`
    /// too, where that is wrong: `sport != 5 dport != 6` loads as one test that holds if either
    /// differs (seen in its own listing). Ranges and masks are not joined.
    pub(super) fn excludes(&self, range: Range) -> bool {
        self.mask.is_some() || !self.is_point(range)
    }

    /// A single value of the load as nft reads it.
    pub(super) fn value(&self, value: u128) -> String {
        match self.spelling {
            Spelling::Decimal => value.to_string(),
            Spelling::Hex(digits) => format!("0x{value:0digits$x}"),
            Spelling::Ipv4 => u32::try_from(value).map_or_else(
                |_| value.to_string(),
                |bits| Ipv4Addr::from(bits).to_string(),
            ),
            Spelling::Ipv6 => Ipv6Addr::from(value).to_string(),
        }
    }

    /// The expression of a field of whole bytes without so many of its last bits.
    pub(super) fn leading(&self, free: u32, width: u32) -> String {
        let mask = max_value(width) & !max_value(free);
        match (free, self.spelling) {
            (0, _) => self.load.clone(),
            (_, Spelling::Ipv4 | Spelling::Ipv6) => format!("{} & {}", self.load, self.value(mask)),
            _ => format!("{} & {mask:#x}", self.load),
        }
    }

    /// The expression with its mask, and what stands between it and a value.
    pub(super) fn compared(&self) -> String {
        match self.mask {
            Some(mask) => format!("{} & {mask:#x} ==", self.load),
            None => self.load.clone(),
        }
    }

    /// The expression with its mask, asked for anything but a value.
    pub(super) fn excluded(&self) -> String {
        match self.mask {
            Some(mask) => format!("{} & {mask:#x} !=", self.load),
            None => format!("{} !=", self.load),
        }
    }
}

/// The number of leading bits that the whole range shares, if the range is all that shares them.
fn prefix_len(low: u128, high: u128, width: u32) -> Option<u32> {
    let free = 128 - (low ^ high).leading_zeros();
    let span = max_value(free);
    (low & span == 0 && high & span == span && free <= width).then(|| width - free)
}

/// Ethertypes as `meta protocol` shows them, where the kernel has replaced every 802.3 length by
/// 1 or 4 (`eth_type_trans` in net/ethernet/eth.c): either all lengths are meant or none.
pub(super) fn ethertypes(values: &ValueSet, guard: Guard) -> Result<ValueSet, UnseenLength> {
    if guard.tagged == Some(false) {
        return Ok(values.clone());
    }
    let lengths = ValueSet::from_ranges([LENGTHS]);
    let stated = values.intersection(&lengths);
    if stated.is_empty() || stated == lengths {
        Ok(values.clone())
    } else {
        Err(UnseenLength)
    }
}

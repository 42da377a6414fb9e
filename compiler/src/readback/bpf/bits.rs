//! What a program can load, as bits of packet sets.
//!
//! `cls_bpf_classify` shows the program the frame from the destination address on, without the
//! outermost 802.1Q or 802.1ad tag: `skb_vlan_untag` has taken it off and put it beside the packet.
//! A packet set takes an 802.1Q tag off as well, but to it an 802.1ad tag is payload.

use policy_lang::field::{Base, Place};
use policy_lang::set::NETWORK_BYTES;
use policy_lang::values::{ValueSet, max_value};
use policy_lang::{PacketSet, Space, SpaceFull};

const TPID_8021Q: u32 = 0x8100;
const TPID_8021AD: u32 = 0x88a8;
const ETHERNET: usize = 14;
const TAG: usize = 4;
/// `SKF_AD_OFF`: ancillary data.
const ANCILLARY: u32 = 0xffff_f000;
const AD_VLAN_TAG: u32 = 44;
const AD_VLAN_TAG_PRESENT: u32 = 48;
const AD_VLAN_TPID: u32 = 60;

/// How a program sees frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// No tag was taken off.
    Untagged,
    /// An 802.1Q tag was.
    Tagged,
    /// An 802.1ad tag was.
    ServiceTagged,
}

/// What the accumulator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// A number.
    Number(u32),
    /// The length of the frame as the program sees it.
    Length,
    /// Bits of the frame: where, and how far they are shifted to the left.
    Bits(Base, usize, u32, u32),
}

impl View {
    /// All of them with their frames, which are every frame.
    pub(super) fn all(space: &Space) -> Result<Vec<(Self, PacketSet)>, SpaceFull> {
        let tagged = space.tagged()?;
        let types = Place {
            base: Base::Type,
            bit: 0,
            width: 16,
        };
        let service = space.bits_in(types, &ValueSet::single(TPID_8021AD.into()))?;
        let service = space.intersection(&service, &space.complement(&tagged)?)?;
        let rest = space.complement(&space.union(&tagged, &service)?)?;
        Ok(vec![
            (Self::Untagged, rest),
            (Self::Tagged, tagged),
            (Self::ServiceTagged, service),
        ])
    }

    /// Bytes that lie between what the packet set counts as the ethertype and what the program does.
    fn hidden(self) -> usize {
        match self {
            Self::ServiceTagged => TAG,
            Self::Untagged | Self::Tagged => 0,
        }
    }

    /// What an absolute load of `bytes` bytes gets; `None` if that is not known here.
    pub(super) fn load(self, at: u32, bytes: u32) -> Option<Value> {
        if at >= ANCILLARY {
            let present = self != Self::Untagged;
            return match (at - ANCILLARY, self) {
                (AD_VLAN_TAG_PRESENT, _) => Some(Value::Number(present.into())),
                (AD_VLAN_TPID, Self::Tagged) => Some(Value::Number(TPID_8021Q)),
                (AD_VLAN_TPID, Self::ServiceTagged) => Some(Value::Number(TPID_8021AD)),
                (AD_VLAN_TAG, Self::Tagged) => Some(Value::Bits(Base::Tag, 0, 16, 0)),
                (AD_VLAN_TAG, Self::ServiceTagged) => Some(Value::Bits(Base::Network, 0, 16, 0)),
                _ => None,
            };
        }
        let at = usize::try_from(at).ok()?;
        let end = at + usize::try_from(bytes).ok()?;
        let (base, byte) = match self {
            _ if end <= ETHERNET - 2 => (Base::Frame, at),
            Self::Untagged | Self::Tagged if at >= ETHERNET - 2 && end <= ETHERNET => {
                (Base::Type, at - (ETHERNET - 2))
            }
            Self::Untagged | Self::Tagged if at >= ETHERNET => (Base::Network, at - ETHERNET),
            Self::ServiceTagged if at >= ETHERNET - 2 => {
                (Base::Network, at + self.hidden() - ETHERNET)
            }
            _ => return None,
        };
        let known = base != Base::Network || byte + (end - at) <= NETWORK_BYTES;
        known.then_some(Value::Bits(base, byte * 8, bytes * 8, 0))
    }

    /// The frames that have the bytes up to `end`.
    pub(super) fn long_enough(self, space: &Space, end: u32) -> Result<PacketSet, SpaceFull> {
        match usize::try_from(end)
            .unwrap_or(usize::MAX)
            .checked_sub(ETHERNET)
        {
            None => Ok(space.all()),
            Some(behind) => space.at_least(behind.saturating_add(self.hidden())),
        }
    }

    /// The frames of which `value` is at least `least`.
    pub(super) fn at_least(
        self,
        space: &Space,
        value: Value,
        least: u64,
    ) -> Result<PacketSet, SpaceFull> {
        match value {
            Value::Number(number) if u64::from(number) >= least => Ok(space.all()),
            Value::Number(_) => Ok(space.none()),
            Value::Length => match u32::try_from(least) {
                Ok(end) => self.long_enough(space, end),
                Err(_) => Ok(space.none()),
            },
            Value::Bits(base, bit, width, shift) => {
                let place = Place { base, bit, width };
                let low = least.div_ceil(1 << shift).into();
                let max = max_value(width);
                if low > max {
                    Ok(space.none())
                } else {
                    space.bits_in(place, &ValueSet::range(low, max))
                }
            }
        }
    }

    /// The frames of which `value` is `number`.
    pub(super) fn equal(
        self,
        space: &Space,
        value: Value,
        number: u32,
    ) -> Result<PacketSet, SpaceFull> {
        let Value::Bits(base, bit, width, shift) = value else {
            let least = self.at_least(space, value, number.into())?;
            let more = self.at_least(space, value, u64::from(number) + 1)?;
            return space.minus(&least, &more);
        };
        let wanted = u128::from(number >> shift);
        if wanted << shift != u128::from(number) || wanted > max_value(width) {
            return Ok(space.none());
        }
        space.bits_in(Place { base, bit, width }, &ValueSet::single(wanted))
    }
}

impl Value {
    /// `A & mask`; `None` if the mask has holes.
    pub(super) fn and(self, mask: u32) -> Option<Self> {
        match self {
            Self::Number(number) => Some(Self::Number(number & mask)),
            Self::Length => None,
            Self::Bits(base, bit, width, shift) => {
                let all = u32::try_from(max_value(width) << shift).ok()?;
                let kept = mask & all;
                if kept == 0 {
                    return Some(Self::Number(0));
                }
                let (low, ones) = (kept.trailing_zeros(), kept.count_ones());
                let high = shift + width;
                let skipped = usize::try_from(high - low - ones).ok()?;
                (kept >> low == u32::MAX >> (32 - ones)).then_some(Self::Bits(
                    base,
                    bit + skipped,
                    ones,
                    low,
                ))
            }
        }
    }

    /// `A >> by`.
    pub(super) fn shifted(self, by: u32) -> Option<Self> {
        match self {
            _ if by >= 32 => None,
            Self::Number(number) => Some(Self::Number(number >> by)),
            Self::Length => None,
            Self::Bits(base, bit, width, shift) => Some(match by.checked_sub(shift) {
                None | Some(0) => Self::Bits(base, bit, width, shift - by),
                Some(lost) if lost < width => Self::Bits(base, bit, width - lost, 0),
                Some(_) => Self::Number(0),
            }),
        }
    }
}

//! Frames as the netdev ingress hook shows them.
//!
//! A frame comes in one of three shapes, because the kernel strips a first tag before the hook
//! (`skb_vlan_untag`): untagged, behind an 802.1Q tag, behind an 802.1ad tag. A packet set sees
//! through the 802.1Q tag only; to it the third shape is an untagged frame of ethertype 0x88a8,
//! whose tag and inner ethertype are the first four bytes behind the Ethernet header.
//!
//! `@ll` shows a stripped tag put back (`nft_payload_rebuild_vlan_hdr`), with `skb->protocol` as
//! the ethertype behind it: of an 802.3 frame that is not the length field but 4, or 1 if the two
//! bytes behind it are all ones (`eth_type_trans`, `vlan_set_encap_proto`). `@nh` and
//! `meta length` start behind the tag.

use std::collections::BTreeMap;

use policy_lang::field::{Base, Place};
use policy_lang::values::{Range, ValueSet, max_value};
use policy_lang::{PacketSet, Space, SpaceFull};

use super::fields::Header;

/// The ethertypes of the tags that the kernel strips (IEEE 802.1Q), and the values below which the
/// field is a length (IEEE 802.3).
const TAG_8021Q: u128 = 0x8100;
const TAG_8021AD: u128 = 0x88a8;
const PPPOE: u128 = 0x8864;
const FIRST_ETHERTYPE: u128 = 0x0600;
/// `ETH_P_802_3` and `ETH_P_802_2` of the kernel's if_ether.h.
const PROTOCOL_802_3: u128 = 1;
const PROTOCOL_802_2: u128 = 4;

/// How the kernel got at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Untagged,
    /// Behind one 802.1Q tag.
    Tagged,
    /// Behind one 802.1ad tag.
    ServiceTagged,
}

/// Where some bits of what a rule loads come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Constant {
        value: u128,
        width: u32,
    },
    Bits(Place),
    /// Bits `skip..skip + width` of `skb->protocol`.
    Protocol {
        shape: Shape,
        skip: u32,
        width: u32,
    },
}

/// What a rule loads: its bits, and how many bytes a packet set must know of for them to be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    pub(super) segments: Vec<Segment>,
    pub(super) needs: usize,
}

impl Segment {
    fn width(self) -> u32 {
        match self {
            Self::Constant { width, .. } | Self::Protocol { width, .. } => width,
            Self::Bits(bits) => bits.width,
        }
    }

    /// `width` bits of it from the `skip`th on.
    fn slice(self, skip: u32, width: u32) -> Self {
        match self {
            Self::Constant { value, width: all } => Self::Constant {
                value: value >> (all - skip - width) & max_value(width),
                width,
            },
            Self::Bits(bits) => Self::Bits(Place {
                bit: bits.bit + skip as usize,
                width,
                ..bits
            }),
            Self::Protocol {
                shape,
                skip: already,
                ..
            } => Self::Protocol {
                shape,
                skip: already + skip,
                width,
            },
        }
    }
}

impl Shape {
    pub(super) const ALL: [Self; 3] = [Self::Untagged, Self::Tagged, Self::ServiceTagged];

    /// Bytes that a packet set counts and the kernel does not.
    pub(super) fn hidden(self) -> usize {
        match self {
            Self::Untagged | Self::Tagged => 0,
            Self::ServiceTagged => 4,
        }
    }

    /// The frames of this shape that reach the hook.
    ///
    /// The kernel drops a tag with fewer than six bytes behind its ethertype before that.
    pub(super) fn frames(self, space: &Space) -> Result<PacketSet, SpaceFull> {
        let announced = |value| space.bits_in(ethertype(), &ValueSet::single(value));
        let tagged = space.tagged()?;
        match self {
            Self::Tagged => space.intersection(&tagged, &space.at_least(2)?),
            Self::ServiceTagged => {
                let set = space.minus(&announced(TAG_8021AD)?, &tagged)?;
                space.intersection(&set, &space.at_least(6)?)
            }
            Self::Untagged => {
                let tags = space.union(&announced(TAG_8021Q)?, &announced(TAG_8021AD)?)?;
                space.complement(&space.union(&tagged, &tags)?)
            }
        }
    }

    /// The bits from `bit` on, which may reach beyond what packet sets know.
    pub(super) fn load(self, header: Header, bit: usize, width: u32) -> Load {
        // Whole bytes are loaded, and all of them have to be there.
        let first = bit / 8 * 8;
        let end = (bit + width as usize).div_ceil(8) * 8;
        let touched = self.segments(header, first, end);
        let needs = touched.iter().filter_map(|segment| match segment {
            Segment::Bits(bits) if bits.base == Base::Network => {
                Some((bits.bit + bits.width as usize).div_ceil(8))
            }
            _ => None,
        });
        Load {
            needs: needs.max().unwrap_or(0),
            segments: self.segments(header, bit, bit + width as usize),
        }
    }

    /// `skb->protocol`, which always is there.
    pub(super) fn protocol(self) -> Load {
        Load {
            segments: vec![Segment::Protocol {
                shape: self,
                skip: 0,
                width: 16,
            }],
            needs: 0,
        }
    }

    /// The frames that `meta protocol` sees through from Linux 7.1 on, up to 7.0 it does not: those
    /// with a second 802.1Q tag or PPPoE (`nft_meta_pktinfo_may_update` in net/netfilter/nft_meta.c).
    pub(super) fn seen_through(self, space: &Space) -> Result<PacketSet, SpaceFull> {
        let values = [TAG_8021Q, PPPOE].map(ValueSet::single);
        let values = values
            .iter()
            .fold(ValueSet::empty(), |all, one| all.union(one));
        self.protocol_in(space, &values)
    }

    fn segments(self, header: Header, first: usize, end: usize) -> Vec<Segment> {
        let mut start = 0;
        let mut found = Vec::new();
        for (whole, width) in self.regions(header) {
            let (low, high) = (first.max(start), end.min(start.saturating_add(width)));
            if low < high
                && let (Ok(skip), Ok(wanted)) =
                    (u32::try_from(low - start), u32::try_from(high - low))
            {
                found.push(whole.slice(skip, wanted));
            }
            start = start.saturating_add(width);
        }
        found
    }

    /// What lies behind a base in a row, with its width in bits.
    fn regions(self, header: Header) -> Vec<(Segment, usize)> {
        let bits = |base, bit, width| {
            (
                Segment::Bits(Place {
                    base,
                    bit,
                    width: 0,
                }),
                width,
            )
        };
        let rest = bits(Base::Network, self.hidden() * 8, usize::MAX);
        if header == Header::Network {
            return vec![rest];
        }
        let tag = |value| (Segment::Constant { value, width: 16 }, 16);
        let protocol = Segment::Protocol {
            shape: self,
            skip: 0,
            width: 16,
        };
        let mut regions = vec![bits(Base::Frame, 0, 96)];
        match self {
            Self::Untagged => regions.push(bits(Base::Type, 0, 16)),
            Self::Tagged => {
                regions.extend([tag(TAG_8021Q), bits(Base::Tag, 0, 16), (protocol, 16)]);
            }
            Self::ServiceTagged => {
                regions.extend([tag(TAG_8021AD), bits(Base::Network, 0, 16), (protocol, 16)]);
            }
        }
        regions.push(rest);
        regions
    }

    /// The frames whose `skb->protocol` is in `values`.
    fn protocol_in(self, space: &Space, values: &ValueSet) -> Result<PacketSet, SpaceFull> {
        let network = |bit| Place {
            base: Base::Network,
            bit,
            width: 16,
        };
        let (field, behind, needs) = match self {
            Self::Untagged | Self::Tagged => (ethertype(), network(0), 2),
            Self::ServiceTagged => (network(16), network(32), 6),
        };
        let real = values.intersection(&ValueSet::range(FIRST_ETHERTYPE, 0xffff));
        let mut sets = vec![space.bits_in(field, &real)?];
        let length = space.bits_in(field, &ValueSet::range(0, FIRST_ETHERTYPE - 1))?;
        let ones = space.bits_in(behind, &ValueSet::single(0xffff))?;
        let ones = space.intersection(&ones, &space.at_least(needs)?)?;
        if values.contains(PROTOCOL_802_3) {
            sets.push(space.intersection(&length, &ones)?);
        }
        if values.contains(PROTOCOL_802_2) {
            sets.push(space.minus(&length, &ones)?);
        }
        space.union_all(sets)
    }
}

fn ethertype() -> Place {
    Place {
        base: Base::Type,
        bit: 0,
        width: 16,
    }
}

impl Load {
    /// Its number of bits.
    pub(super) fn width(&self) -> u32 {
        self.segments.iter().map(|segment| segment.width()).sum()
    }

    /// With all bits zero that `mask` does not have.
    pub(super) fn masked(&self, mask: u128) -> Self {
        let mut segments = Vec::new();
        let mut below = self.width();
        for segment in &self.segments {
            let width = segment.width();
            below -= width;
            let mut skip = 0;
            while skip < width {
                let set = |at: u32| mask >> (below + width - 1 - at) & 1 == 1;
                let end = (skip..width)
                    .find(|&at| set(at) != set(skip))
                    .unwrap_or(width);
                segments.push(if set(skip) {
                    segment.slice(skip, end - skip)
                } else {
                    Segment::Constant {
                        value: 0,
                        width: end - skip,
                    }
                });
                skip = end;
            }
        }
        Self {
            segments,
            needs: self.needs,
        }
    }

    /// Whether packet sets know of all its bits.
    pub(super) fn is_known(&self) -> bool {
        self.needs <= policy_lang::set::NETWORK_BYTES
    }

    /// The frames that are long enough for it.
    pub(super) fn present(&self, space: &Space) -> Result<PacketSet, SpaceFull> {
        space.at_least(self.needs)
    }

    /// The frames whose bits are in `values`, as far as they are there.
    pub(super) fn within(&self, space: &Space, values: &ValueSet) -> Result<PacketSet, SpaceFull> {
        within(space, &self.segments, values)
    }
}

fn within(space: &Space, load: &[Segment], values: &ValueSet) -> Result<PacketSet, SpaceFull> {
    let Some((first, rest)) = load.split_first() else {
        return Ok(if values.contains(0) {
            space.all()
        } else {
            space.none()
        });
    };
    let below: u32 = rest.iter().map(|segment| segment.width()).sum();
    if values.is_empty() {
        return Ok(space.none());
    }
    if rest.is_empty() {
        return segment_in(space, *first, values);
    }
    // A number in a range: its high bits strictly between those of the ends and any low bits, or
    // the high bits of an end and low bits on its side.
    let max = max_value(below);
    let mut products: BTreeMap<ValueSet, Vec<Range>> = BTreeMap::new();
    let mut product = |low: ValueSet, high: Range| products.entry(low).or_default().push(high);
    for range in values.ranges() {
        let (low, high) = (range.low >> below, range.high >> below);
        if low == high {
            let inside = ValueSet::range(range.low & max, range.high & max);
            product(inside, Range::new(low, low));
            continue;
        }
        product(ValueSet::range(range.low & max, max), Range::new(low, low));
        product(ValueSet::range(0, range.high & max), Range::new(high, high));
        if low + 1 < high {
            product(ValueSet::range(0, max), Range::new(low + 1, high - 1));
        }
    }
    let mut sets = Vec::new();
    for (low, high) in products {
        let high = segment_in(space, *first, &ValueSet::from_ranges(high))?;
        sets.push(space.intersection(&high, &within(space, rest, &low)?)?);
    }
    space.union_all(sets)
}

fn segment_in(space: &Space, from: Segment, values: &ValueSet) -> Result<PacketSet, SpaceFull> {
    match from {
        Segment::Constant { value, .. } if values.contains(value) => Ok(space.all()),
        Segment::Constant { .. } => Ok(space.none()),
        Segment::Bits(bits) => space.bits_in(bits, values),
        Segment::Protocol {
            shape,
            skip: 0,
            width: 16,
        } => shape.protocol_in(space, values),
        Segment::Protocol { shape, skip, width } => {
            let part =
                |whole: &u128| values.contains(whole >> (16 - skip - width) & max_value(width));
            let whole = (0..=0xffff)
                .filter(part)
                .map(|value| Range::new(value, value));
            shape.protocol_in(space, &ValueSet::from_ranges(whole))
        }
    }
}

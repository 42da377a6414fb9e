//! The parts of a frame that can be changed one by one, and frames with other values in them.

use policy_lang::classify::test_holds;
use policy_lang::field::{Base, ETHERNET_LEN, ETHERTYPE_VLAN, Family, Field, Place};
use policy_lang::packet::Packet;
use policy_lang::policy::{Media, Test};
use policy_lang::set::NETWORK_BYTES;
use policy_lang::values::{ValueSet, max_value};
use policy_lang::{PacketSet, Space, SpaceFull};

use super::super::value;

/// Something about a frame that can be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A field, where packets of this family have it.
    Field(Field, Family),
    /// What lies behind the UDP header, and how much of it.
    Payload(Family),
    /// The transparent tag, there or not, and its number.
    Tag,
    /// How long the frame is, where that is not the length of a payload.
    Length,
}

/// A part that differs, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The part, as `dport`.
    pub what: &'static str,
    /// What the frame has.
    pub from: String,
    /// What it would have.
    pub to: String,
}

/// Fields in the order in which they are let go of: first what a sender chooses freely.
const READILY: [Field; 18] = [
    Field::Sport,
    Field::Dport,
    Field::TcpFlags,
    Field::IcmpType,
    Field::IcmpCode,
    Field::Dst4,
    Field::Dst6,
    Field::Src4,
    Field::Src6,
    Field::Dscp,
    Field::Ecn,
    Field::Ttl,
    Field::VlanId,
    Field::DstMac,
    Field::SrcMac,
    Field::FragmentBits,
    Field::Protocol,
    Field::Ethertype,
];

impl Part {
    /// The parts of a frame, those that are changed most readily first.
    pub(super) fn of(packet: Packet<'_>) -> Vec<Self> {
        let family = packet.family();
        let mut parts = Vec::new();
        for field in READILY {
            if field == Field::VlanId {
                parts.push(Self::Tag);
            } else if packet.read(field).is_some() {
                parts.push(Self::Field(field, family.unwrap_or(Family::V4)));
            }
            if let (Field::Dport, Some(family), Some(_)) = (field, family, packet.payload()) {
                parts.push(Self::Payload(family));
            }
        }
        if packet.payload().is_none() {
            parts.push(Self::Length);
        }
        parts
    }

    /// Where its bits are, besides the length and whether there is a tag.
    fn places(self) -> Vec<Place> {
        match self {
            Self::Field(field, family) => field.place(family).into_iter().collect(),
            Self::Payload(family) => [Field::PayloadFirst, Field::PayloadSecond]
                .into_iter()
                .filter_map(|field| field.place(family))
                .collect(),
            Self::Tag => Field::VlanId.place(Family::V4).into_iter().collect(),
            Self::Length => Vec::new(),
        }
    }

    /// What this part is in either of two frames.
    pub(super) fn told(self, from: &[u8], to: &[u8]) -> Changed {
        let [from, to] = [from, to].map(|frame| self.text(Packet::new(frame)));
        let what = match self {
            Self::Field(field, _) => field.name(),
            Self::Payload(_) => "payload",
            Self::Tag => "tag",
            Self::Length => "length",
        };
        Changed { what, from, to }
    }

    fn text(self, packet: Packet<'_>) -> String {
        match self {
            Self::Field(field, _) => packet
                .read(field)
                .map_or_else(|| String::from("none"), |found| value::value(field, found)),
            Self::Payload(_) => {
                let looks = |media: &Media| test_holds(&Test::Media(*media), packet);
                let known = Media::ALL.into_iter().find(looks);
                match (known, packet.read(Field::PayloadSecond)) {
                    (Some(Media::Rtp), Some(second)) => format!("rtp pt {}", second & 0x7f),
                    (Some(media), _) => String::from(media.keyword()),
                    (None, _) => {
                        let bytes = packet.payload().unwrap_or_default();
                        let first: Vec<String> =
                            bytes.iter().take(2).map(|b| format!("{b:02x}")).collect();
                        match first.concat() {
                            none if none.is_empty() => String::from("none"),
                            first => format!("{first}... of {} bytes", bytes.len()),
                        }
                    }
                }
            }
            Self::Tag => packet
                .read(Field::VlanId)
                .map_or_else(|| String::from("none"), |id| format!("vlan {id}")),
            Self::Length => packet.frame().len().to_string(),
        }
    }
}

/// A frame taken apart, so that a tag can come and go.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    addresses: Vec<u8>,
    tag: Option<[u8; 2]>,
    ethertype: [u8; 2],
    network: Vec<u8>,
}

impl Bits {
    /// `None` for what is no whole Ethernet frame.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let packet = Packet::new(frame);
        let type_at = ETHERNET_LEN - 2 + if packet.tagged() { 4 } else { 0 };
        let pair = |at: usize| <[u8; 2]>::try_from(frame.get(at..at + 2)?).ok();
        Some(Self {
            addresses: frame.get(..ETHERNET_LEN - 2)?.to_vec(),
            tag: if packet.tagged() {
                Some(pair(ETHERNET_LEN)?)
            } else {
                None
            },
            ethertype: pair(type_at)?,
            network: packet.network().to_vec(),
        })
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = self.addresses.clone();
        if let Some(tag) = self.tag {
            frame.extend(ETHERTYPE_VLAN.to_be_bytes());
            frame.extend(tag);
        }
        frame.extend(self.ethertype);
        frame.extend(&self.network);
        frame
    }

    /// The bytes that a place counts from; behind the end of the frame there are zeros.
    fn bytes(&self, base: Base) -> Vec<u8> {
        match base {
            Base::Frame => self.addresses.clone(),
            Base::Tag => self.tag.unwrap_or_default().to_vec(),
            Base::Type => self.ethertype.to_vec(),
            Base::Network => {
                let mut bytes = self.network.clone();
                bytes.resize(bytes.len().max(NETWORK_BYTES), 0);
                bytes
            }
        }
    }

    fn read(&self, place: Place) -> u128 {
        let bytes = self.bytes(place.base);
        let width = usize::try_from(place.width).unwrap_or_default();
        (place.bit..place.bit + width).fold(0, |value, bit| {
            let byte = bytes.get(bit / 8).copied().unwrap_or_default();
            value << 1 | u128::from(byte >> (7 - bit % 8) & 1)
        })
    }

    fn write(&mut self, place: Place, value: u128) {
        let bytes: &mut [u8] = match place.base {
            Base::Frame => &mut self.addresses,
            Base::Tag => self.tag.get_or_insert_default(),
            Base::Type => &mut self.ethertype,
            Base::Network => &mut self.network,
        };
        let width = usize::try_from(place.width).unwrap_or_default();
        for (at, bit) in (place.bit..place.bit + width).enumerate() {
            let mask = 1 << (7 - bit % 8);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                if value >> (width - 1 - at) & 1 == 1 {
                    *byte |= mask;
                } else {
                    *byte &= !mask;
                }
            }
        }
    }

    /// The frames that agree with this one in a part.
    pub(super) fn same(&self, space: &Space, part: Part) -> Result<PacketSet, SpaceFull> {
        let mut set = space.all();
        if part == Part::Length {
            return space.length_in(&self.length());
        }
        if matches!(part, Part::Payload(_)) {
            set = space.length_in(&self.length())?;
        }
        if part == Part::Tag {
            set = match self.tag {
                Some(_) => space.tagged()?,
                None => return space.complement(&space.tagged()?),
            };
        }
        for place in part.places() {
            let value = ValueSet::single(self.read(place));
            set = space.intersection(&set, &space.bits_in(place, &value)?)?;
        }
        Ok(set)
    }

    fn length(&self) -> ValueSet {
        ValueSet::single(self.network.len().min(usize::from(u16::MAX)) as u128)
    }

    /// The frames that agree with this one in every byte that sets know and that is in none of `parts`.
    pub(super) fn outside(&self, space: &Space, parts: &[Part]) -> Result<PacketSet, SpaceFull> {
        let mut mask = [0xff_u8; NETWORK_BYTES];
        let places = parts.iter().flat_map(|part| part.places());
        for place in places.filter(|place| place.base == Base::Network) {
            let width = usize::try_from(place.width).unwrap_or_default();
            for bit in place.bit..place.bit + width {
                if let Some(byte) = mask.get_mut(bit / 8) {
                    *byte &= !(1 << (7 - bit % 8));
                }
            }
        }
        let mut set = space.all();
        let bytes = self.bytes(Base::Network);
        // From the last on, so that each step puts few nodes on top.
        for (at, (byte, mask)) in bytes.iter().zip(mask).enumerate().rev() {
            let place = Place {
                base: Base::Network,
                bit: at * 8,
                width: 8,
            };
            let same = space.bits_masked(place, (byte & mask).into(), mask.into())?;
            set = space.intersection(&set, &same)?;
        }
        Ok(set)
    }

    /// This frame with the values in `free` that lie nearest and make it one of `set`, of which there is
    /// one that differs in nothing else.
    pub(super) fn changed(
        &self,
        space: &Space,
        free: &[Part],
        set: &PacketSet,
    ) -> Result<Vec<u8>, SpaceFull> {
        let mut new = self.clone();
        let mut set = set.clone();
        // The length as it is, if it may stay.
        let same = space.intersection(&set, &space.length_in(&self.length())?)?;
        if !same.is_empty() {
            set = same;
        } else if let Some(shortest) = space.shortest(&set)? {
            let length = Packet::new(&shortest).network().len();
            new.network.resize(length, 0);
            let length = ValueSet::single(length as u128);
            set = space.intersection(&set, &space.length_in(&length)?)?;
        }
        for part in free {
            if *part == Part::Tag {
                let tagged = space.intersection(&set, &space.tagged()?)?;
                let untagged = space.minus(&set, &tagged)?;
                // One with another number, or else none; and one where there was none.
                if tagged.is_empty() || (self.tag.is_none() && !untagged.is_empty()) {
                    new.tag = None;
                    set = untagged;
                    continue;
                }
                new.tag.get_or_insert_default();
                set = tagged;
            }
            for place in part.places() {
                let Some(values) = space.values_at(&set, place)? else {
                    continue;
                };
                let now = self.read(place);
                if let Some(value) = nearest(&values, now) {
                    new.write(place, value);
                    let chosen = space.bits_in(place, &ValueSet::single(value))?;
                    set = space.intersection(&set, &chosen)?;
                }
            }
        }
        Ok(new.frame())
    }
}

/// The value of a set that differs least from `now`.
fn nearest(values: &ValueSet, now: u128) -> Option<u128> {
    let near = |range: &policy_lang::values::Range| now.clamp(range.low, range.high);
    let candidates = values.ranges().iter().map(near);
    candidates.min_by_key(|value| (value.abs_diff(now), max_value(128) - value))
}

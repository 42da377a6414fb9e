//! A frame seen through the header rule: which headers are there, and what their fields say.
//!
//! DESIGN rule: a header is there if its whole fixed part is in the frame. Total-length fields and
//! checksums are never consulted. Ports, flags, types and payloads belong to *plain* packets only:
//! IPv4 with a 20-byte header that is no fragment, or IPv6 whose next header is the transport.

use crate::field::{
    Base, ETHERNET_LEN, ETHERTYPE_VLAN, FRAGMENT_MASK, Family, Field, Layer, TAG_LEN, Transport,
};

/// A view of one Ethernet frame, from the destination address on, without the frame check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'frame> {
    frame: &'frame [u8],
    tagged: bool,
}

impl<'frame> Packet<'frame> {
    /// Looks at `frame`. Every byte string is a frame; a short one merely has fewer headers.
    #[must_use]
    pub fn new(frame: &'frame [u8]) -> Self {
        let whole_tag = frame.len() >= ETHERNET_LEN + TAG_LEN;
        let tagged = whole_tag && be(frame, ETHERNET_LEN - 2, 2) == Some(ETHERTYPE_VLAN.into());
        Self { frame, tagged }
    }

    /// The bytes of the frame.
    #[must_use]
    pub fn frame(self) -> &'frame [u8] {
        self.frame
    }

    /// Whether the frame has one whole 802.1Q tag, which the language sees through.
    #[must_use]
    pub fn tagged(self) -> bool {
        self.tagged
    }

    /// What lies behind the Ethernet header and the transparent tag; empty if there is nothing.
    #[must_use]
    pub fn network(self) -> &'frame [u8] {
        self.frame
            .get(self.offset(Base::Network)..)
            .unwrap_or_default()
    }

    /// The family of the IP header, if a whole one is there.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        let ethertype = self.read_at(Base::Type, 0, 16)?;
        let family = Family::ALL
            .into_iter()
            .find(|f| u128::from(f.ethertype()) == ethertype)?;
        let network = self.network();
        let first = *network.first()?;
        let well_formed = match family {
            Family::V4 => first >> 4 == 4 && first & 0xf >= 5,
            Family::V6 => first >> 4 == 6,
        };
        (well_formed && network.len() >= family.header_len()).then_some(family)
    }

    /// Whether the packet is an IP fragment: IPv4 offset or more-fragments, IPv6 next header 44.
    #[must_use]
    pub fn fragment(self) -> bool {
        match self.family() {
            Some(Family::V4) => {
                be(self.network(), 6, 2).is_some_and(|word| word & u128::from(FRAGMENT_MASK) != 0)
            }
            Some(Family::V6) => {
                self.read(Field::Protocol) == Some(crate::field::NEXT_HEADER_FRAGMENT.into())
            }
            None => false,
        }
    }

    /// The transport of a plain packet, if its whole header is there.
    #[must_use]
    pub fn transport(self) -> Option<Transport> {
        let family = self.family()?;
        let plain = match family {
            Family::V4 => self.network().first() == Some(&0x45) && !self.fragment(),
            Family::V6 => true,
        };
        let protocol = self.read(Field::Protocol)?;
        let transport = Transport::ALL
            .into_iter()
            .find(|t| t.runs_over(family) && u128::from(t.protocol()) == protocol)?;
        let end = family.header_len() + transport.header_len();
        (plain && self.network().len() >= end).then_some(transport)
    }

    /// The bytes behind the UDP header of a plain UDP packet.
    #[must_use]
    pub fn payload(self) -> Option<&'frame [u8]> {
        if self.transport()? != Transport::Udp {
            return None;
        }
        self.network()
            .get(self.family()?.header_len() + Transport::Udp.header_len()..)
    }

    /// The value of a field, or `None` if the header that it belongs to is not there.
    #[must_use]
    pub fn read(self, field: Field) -> Option<u128> {
        let there = match field.layer() {
            Layer::Ethernet => true,
            Layer::Tag => self.tagged,
            Layer::Ip(wanted) => {
                let family = self.family()?;
                wanted.is_none_or(|wanted| wanted == family)
            }
            Layer::Transport(any_of) => any_of.contains(&self.transport()?),
            Layer::Payload => self.payload().is_some(),
        };
        let place = field.place(self.family().unwrap_or(Family::V4))?;
        if there {
            self.read_at(place.base, place.bit, place.width)
        } else {
            None
        }
    }

    fn offset(self, base: Base) -> usize {
        let tag = if self.tagged { TAG_LEN } else { 0 };
        match base {
            Base::Frame => 0,
            Base::Tag => ETHERNET_LEN,
            Base::Type => ETHERNET_LEN - 2 + tag,
            Base::Network => ETHERNET_LEN + tag,
        }
    }

    fn read_at(self, base: Base, bit: usize, width: u32) -> Option<u128> {
        let from_base = self.frame.get(self.offset(base)..)?;
        let (first, skipped) = (bit / 8, bit % 8);
        let end = bit + usize::try_from(width).ok()?;
        // A field of 128 bits is always byte-aligned, so 16 bytes are the most ever read.
        let bytes = end.div_ceil(8) - first;
        let value = be(from_base, first, bytes)? >> (bytes * 8 - skipped - width as usize);
        Some(value & crate::values::max_value(width))
    }
}

/// The big-endian number in `count` bytes (at most 16) from `start`.
fn be(bytes: &[u8], start: usize, count: usize) -> Option<u128> {
    let run = bytes.get(start..start + count)?;
    Some(
        run.iter()
            .fold(0, |value, &byte| value << 8 | u128::from(byte)),
    )
}

//! The headers of a frame, found in one pass: what [`Packet`](crate::packet::Packet) finds, for
//! those who look at millions of frames.
//!
//! It follows the same header rule with the offsets of the same header table. Property tests in
//! `tests/meaning` compare the two on random frames and on every capture.

use crate::field::{
    Base, ETHERNET_LEN, ETHERTYPE_VLAN, FRAGMENT_MASK, Family, Field, Layer, NEXT_HEADER_FRAGMENT,
    TAG_LEN, Transport,
};

/// Where the ethertype of an untagged frame lies.
const TYPE_AT: usize = ETHERNET_LEN - 2;

const PROTOCOL_4: usize = byte(Field::Protocol, Family::V4);
const PROTOCOL_6: usize = byte(Field::Protocol, Family::V6);
const FRAGMENT: usize = byte(Field::FragmentBits, Family::V4);

/// A transport of both families as each family knows it.
const TRANSPORTS: [[Option<Transport>; 256]; 2] = [known(Family::V4), known(Family::V6)];

/// The headers of one frame that has at least an Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'frame> {
    frame: &'frame [u8],
    type_at: usize,
    family: Option<Family>,
    transport: Option<Transport>,
}

impl<'frame> Headers<'frame> {
    /// Looks at `frame`; nothing if it is too short for an Ethernet header.
    #[must_use]
    #[inline]
    pub fn of(frame: &'frame [u8]) -> Option<Self> {
        let outer = be16(frame, TYPE_AT)?;
        let tagged = outer == ETHERTYPE_VLAN && frame.len() >= ETHERNET_LEN + TAG_LEN;
        let type_at = if tagged { TYPE_AT + TAG_LEN } else { TYPE_AT };
        let ethertype = if tagged { be16(frame, type_at)? } else { outer };
        let network = frame.get(type_at + 2..).unwrap_or_default();
        let (family, transport) = if ethertype == Family::V4.ethertype() {
            v4(network)
        } else if ethertype == Family::V6.ethertype() {
            v6(network)
        } else {
            (None, None)
        };
        Some(Self {
            frame,
            type_at,
            family,
            transport,
        })
    }

    /// The bytes of the frame.
    #[must_use]
    pub fn frame(&self) -> &'frame [u8] {
        self.frame
    }

    /// Whether the frame has the one transparent 802.1Q tag.
    #[must_use]
    pub fn tagged(&self) -> bool {
        self.type_at != TYPE_AT
    }

    /// Where the ethertype lies that counts: the one behind the transparent tag, if there is one.
    #[must_use]
    pub fn type_at(&self) -> usize {
        self.type_at
    }

    /// The family of the IP header, if a whole one is there.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        self.family
    }

    /// The transport of a plain packet, if its whole header is there.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.transport
    }

    /// Whether the packet is an IP fragment: IPv4 offset or more-fragments, IPv6 next header 44.
    #[must_use]
    pub fn fragment(&self) -> bool {
        match self.family {
            // A plain packet is none.
            Some(_) if self.transport.is_some() => false,
            Some(Family::V4) => {
                be16(self.network(), FRAGMENT).is_some_and(|word| word & FRAGMENT_MASK != 0)
            }
            Some(Family::V6) => self.network().get(PROTOCOL_6) == Some(&NEXT_HEADER_FRAGMENT),
            None => false,
        }
    }

    /// What lies behind the Ethernet header and the transparent tag.
    #[must_use]
    #[inline]
    pub fn network(&self) -> &'frame [u8] {
        self.frame.get(self.type_at + 2..).unwrap_or_default()
    }

    /// The bytes behind the UDP header of a plain UDP packet.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> Option<&'frame [u8]> {
        match (self.transport, self.family) {
            (Some(Transport::Udp), Some(family)) => self
                .network()
                .get(family.header_len() + Transport::Udp.header_len()..),
            _ => None,
        }
    }

    /// The `N` bytes from the one in which a field begins; nothing if its header is not there.
    /// `family` must be that of the packet for fields that lie elsewhere in the other one.
    #[must_use]
    #[inline]
    pub fn bytes<const N: usize>(&self, field: Field, family: Family) -> Option<[u8; N]> {
        let there = match field.layer() {
            Layer::Ethernet => true,
            Layer::Tag => self.tagged(),
            Layer::Ip(wanted) => {
                self.family == Some(family) && wanted.is_none_or(|wanted| wanted == family)
            }
            Layer::Transport(any_of) => self.transport.is_some_and(|t| any_of.contains(&t)),
            Layer::Payload => self.payload().is_some(),
        };
        let place = field.place(family).filter(|_| there)?;
        let base = match place.base {
            Base::Frame => 0,
            Base::Tag => ETHERNET_LEN,
            Base::Type => self.type_at,
            Base::Network => self.type_at + 2,
        };
        let from = self.frame.get(base + place.bit / 8..)?;
        from.first_chunk().copied()
    }
}

fn v4(network: &[u8]) -> (Option<Family>, Option<Transport>) {
    let Some(header) = network.first_chunk::<{ Family::V4.header_len() }>() else {
        return (None, None);
    };
    let first = header[0];
    if first >> 4 != 4 || first & 0xf < 5 {
        return (None, None);
    }
    let fragment = u16::from_be_bytes([header[FRAGMENT], header[FRAGMENT + 1]]) & FRAGMENT_MASK;
    let transport = if first == 0x45 && fragment == 0 {
        transport(network, Family::V4, header[PROTOCOL_4])
    } else {
        None
    };
    (Some(Family::V4), transport)
}

fn v6(network: &[u8]) -> (Option<Family>, Option<Transport>) {
    match network.first_chunk::<{ Family::V6.header_len() }>() {
        Some(header) if header[0] >> 4 == 6 => (
            Some(Family::V6),
            transport(network, Family::V6, header[PROTOCOL_6]),
        ),
        _ => (None, None),
    }
}

fn transport(network: &[u8], family: Family, protocol: u8) -> Option<Transport> {
    let [of_v4, of_v6] = &TRANSPORTS;
    let known = match family {
        Family::V4 => of_v4,
        Family::V6 => of_v6,
    };
    let transport = (*known.get(usize::from(protocol))?)?;
    (network.len() >= family.header_len() + transport.header_len()).then_some(transport)
}

/// The transports of a family by their protocol number.
#[expect(
    clippy::indexing_slicing,
    reason = "worked out when this is built, and a byte is below 256"
)]
const fn known(family: Family) -> [Option<Transport>; 256] {
    let mut table = [None; 256];
    let mut rest: &[Transport] = &Transport::ALL;
    while let [transport, others @ ..] = rest {
        if transport.runs_over(family) {
            table[transport.protocol() as usize] = Some(*transport);
        }
        rest = others;
    }
    table
}

/// The byte behind the Ethernet header and the tag in which a field begins.
const fn byte(field: Field, family: Family) -> usize {
    match field.place(family) {
        Some(place) => place.bit / 8,
        None => 0,
    }
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*word))
}

//! Which bit of a frame is which variable of the diagrams, and in which order.
//!
//! The order decides how large the diagrams get. First comes what tells kinds of packets apart
//! (tag, ethertype, IP version, protocol, fragment bits, length), then the rest of the bytes as
//! they come, then what policies rarely ask about.

use crate::field::{Base, ETHERNET_LEN, Place};
use crate::packet::Packet;

/// Bytes behind the Ethernet header and the transparent tag that a packet set knows.
///
/// The deepest bit that the language asks about is the second payload byte over IPv6, byte 49;
/// the rest is for read-backs, which follow rules to wherever they look.
pub const NETWORK_BYTES: usize = 72;

/// One bit of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Whether the frame has the transparent tag.
    Tagged,
    /// A bit of the ethertype behind the transparent tag, most significant first.
    Type(usize),
    /// A bit of the number of bytes behind, most significant first.
    Length(usize),
    /// A bit of these bytes.
    Network(usize),
    /// A bit of the tag control information.
    Tag(usize),
    /// A bit of the destination and source addresses.
    Address(usize),
}

const TYPE_BITS: usize = 16;
const LENGTH_BITS: usize = 16;
const TAG_BITS: usize = 16;
const ADDRESS_BITS: usize = 96;

/// The order of the variables.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    order: Vec<Slot>,
    /// Variable of each network bit.
    network: Vec<usize>,
}

impl Layout {
    pub(super) fn new() -> Self {
        // IP version; protocol of IPv4; next header of IPv6 and fragment bits of IPv4.
        const EARLY: [usize; 4] = [0, 9, 6, 7];
        let byte = |at: usize| (at * 8..at * 8 + 8).map(Slot::Network);
        let late = (0..NETWORK_BYTES).filter(|at| !EARLY.contains(at));
        let order: Vec<Slot> = std::iter::once(Slot::Tagged)
            .chain((0..TYPE_BITS).map(Slot::Type))
            .chain(EARLY.into_iter().flat_map(byte))
            .chain((0..LENGTH_BITS).map(Slot::Length))
            .chain(late.flat_map(byte))
            .chain((0..TAG_BITS).map(Slot::Tag))
            .chain((0..ADDRESS_BITS).map(Slot::Address))
            .collect();
        let mut network = vec![0; NETWORK_BYTES * 8];
        for (variable, slot) in order.iter().enumerate() {
            if let Slot::Network(bit) = slot
                && let Some(entry) = network.get_mut(*bit)
            {
                *entry = variable;
            }
        }
        Self { order, network }
    }

    /// Number of variables.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The variable of a bit.
    pub(super) fn variable(&self, slot: Slot) -> Option<usize> {
        match slot {
            Slot::Network(bit) => self.network.get(bit).copied(),
            // The other kinds lie in runs: only few to look through.
            _ => self.order.iter().position(|&at| at == slot),
        }
    }

    /// The bits of the length, most significant first.
    pub(super) fn length(&self) -> Vec<Slot> {
        (0..LENGTH_BITS).map(Slot::Length).collect()
    }

    /// The bits of `place`, most significant first; `None` if not all of them are known.
    pub(super) fn place(&self, place: Place) -> Option<Vec<Slot>> {
        let (make, known): (fn(usize) -> Slot, usize) = match place.base {
            Base::Frame => (Slot::Address, ADDRESS_BITS),
            Base::Tag => (Slot::Tag, TAG_BITS),
            Base::Type => (Slot::Type, TYPE_BITS),
            Base::Network => (Slot::Network, NETWORK_BYTES * 8),
        };
        let end = place.bit.checked_add(usize::try_from(place.width).ok()?)?;
        (end <= known).then(|| (place.bit..end).map(make).collect())
    }

    /// The values of all variables for a frame; `None` if it has no whole Ethernet header.
    pub(super) fn encode(&self, packet: Packet<'_>) -> Option<Vec<bool>> {
        let frame = packet.frame();
        if frame.len() < ETHERNET_LEN {
            return None;
        }
        let network = packet.network();
        let length = network.len().min(usize::from(u16::MAX));
        let type_at = if packet.tagged() {
            ETHERNET_LEN + 2
        } else {
            ETHERNET_LEN - 2
        };
        let bit_of = |bytes: &[u8], bit: usize| {
            bytes
                .get(bit / 8)
                .is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1)
        };
        let value = |slot: &Slot| match *slot {
            Slot::Tagged => packet.tagged(),
            Slot::Type(bit) => bit_of(frame, type_at * 8 + bit),
            Slot::Length(bit) => length >> (LENGTH_BITS - 1 - bit) & 1 == 1,
            Slot::Network(bit) => bit_of(network, bit),
            Slot::Tag(bit) => packet.tagged() && bit_of(frame, ETHERNET_LEN * 8 + bit),
            Slot::Address(bit) => bit_of(frame, bit),
        };
        Some(self.order.iter().map(value).collect())
    }

    /// The frame with these values of the variables: the reverse of [`Self::encode`].
    pub(super) fn decode(&self, values: &[bool]) -> Vec<u8> {
        let mut address = [0_u8; ADDRESS_BITS / 8];
        let (mut tag, mut ethertype) = ([0_u8; 2], [0_u8; 2]);
        let mut network = vec![0_u8; NETWORK_BYTES];
        let (mut tagged, mut length) = (false, 0_usize);
        let set = |bytes: &mut [u8], bit: usize| {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte |= 1 << (7 - bit % 8);
            }
        };
        for (slot, _) in self.order.iter().zip(values).filter(|(_, value)| **value) {
            match *slot {
                Slot::Tagged => tagged = true,
                Slot::Type(bit) => set(&mut ethertype, bit),
                Slot::Length(bit) => length |= 1 << (LENGTH_BITS - 1 - bit),
                Slot::Network(bit) => set(&mut network, bit),
                Slot::Tag(bit) => set(&mut tag, bit),
                Slot::Address(bit) => set(&mut address, bit),
            }
        }
        network.resize(length, 0);
        let mut frame = address.to_vec();
        if tagged {
            frame.extend(crate::field::ETHERTYPE_VLAN.to_be_bytes());
            frame.extend(tag);
        }
        frame.extend(ethertype);
        frame.extend(network);
        frame
    }
}

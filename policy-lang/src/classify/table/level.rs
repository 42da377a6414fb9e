//! The key that a table decides by: the fields of the header table cut into bytes, in the order in
//! which they are asked for.
//!
//! Addresses come first and the payload late: lists of rules mostly differ in the former, and what
//! the latter tells is then known once for all of them.

use crate::field::{Base, ETHERNET_LEN, Family, Field, Place, Transport};
use crate::values::{ValueSet, max_value};

/// The largest payload length that is told apart: no media header is longer (STUN has 20 bytes).
const MOST_PAYLOAD: u8 = 31;

/// Something that the key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A field, where packets of the family have it.
    Field(Field),
    /// How many bytes lie behind the UDP header, up to [`MOST_PAYLOAD`].
    PayloadLength,
}

const ORDER: [Key; 21] = [
    Key::Field(Field::Ethertype),
    Key::Field(Field::Protocol),
    Key::Field(Field::Src4),
    Key::Field(Field::Src6),
    Key::Field(Field::Dst4),
    Key::Field(Field::Dst6),
    Key::Field(Field::FragmentBits),
    Key::Field(Field::Sport),
    Key::Field(Field::Dport),
    Key::Field(Field::TcpFlags),
    Key::Field(Field::IcmpType),
    Key::Field(Field::IcmpCode),
    Key::PayloadLength,
    Key::Field(Field::PayloadFirst),
    Key::Field(Field::PayloadSecond),
    Key::Field(Field::Dscp),
    Key::Field(Field::Ecn),
    Key::Field(Field::Ttl),
    Key::Field(Field::VlanId),
    Key::Field(Field::SrcMac),
    Key::Field(Field::DstMac),
];

/// How one byte of the key is got from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Where two bytes lie that hold it, from the start of the frame or from the ethertype; for a
    /// length, where what is measured begins, from the ethertype.
    pub(super) at: u16,
    /// Whether `at` counts from the ethertype.
    pub(super) from_type: bool,
    /// Whether this is the number of bytes from there on.
    pub(super) is_length: bool,
    /// How far to shift the two bytes to the right.
    pub(super) shift: u8,
    /// What is left of them then, and the largest value.
    pub(super) mask: u8,
}

/// One byte of the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) read: Read,
    /// How many bits of the field come behind this byte.
    pub(super) rest: u32,
}

/// All bytes of the key, in order.
#[derive(Debug)]
pub(super) struct Levels {
    levels: Vec<Level>,
    /// Where the bytes of a part of the key begin.
    first: Vec<(Key, Place, u16)>,
}

impl Levels {
    pub(super) fn new() -> Self {
        let mut all = Self {
            levels: Vec::new(),
            first: Vec::new(),
        };
        for key in ORDER {
            for place in Family::ALL.into_iter().filter_map(|f| place(key, f)) {
                if all.first.iter().all(|(k, p, _)| (*k, *p) != (key, place)) {
                    all.add(key, place);
                }
            }
        }
        all
    }

    fn add(&mut self, key: Key, place: Place) {
        let first = u16::try_from(self.levels.len()).unwrap_or(u16::MAX);
        self.first.push((key, place, first));
        let mut rest = place.width;
        let mut bit = place.bit;
        while rest > 0 {
            // The first byte has what is left over by whole ones.
            let width = (rest - 1) % 8 + 1;
            rest -= width;
            let read = match key {
                Key::PayloadLength => Read {
                    at: narrow(place.bit / 8 + 2),
                    from_type: true,
                    is_length: true,
                    shift: 0,
                    mask: MOST_PAYLOAD,
                },
                Key::Field(_) => read(place.base, bit, width),
            };
            self.levels.push(Level { read, rest });
            bit += usize::try_from(width).unwrap_or_default();
        }
    }

    /// The byte at which a part of the key begins, if packets of the family have it.
    pub(super) fn first(&self, key: Key, family: Family) -> Option<u16> {
        let place = place(key, family)?;
        let mut all = self.first.iter();
        let found = all.find(|(k, p, _)| (*k, *p) == (key, place));
        found.map(|(.., level)| *level)
    }

    pub(super) fn get(&self, level: u16) -> Option<&Level> {
        self.levels.get(usize::from(level))
    }
}

/// The values of a part of the key that are not in `set`.
pub(super) fn complement(key: Key, set: &ValueSet) -> ValueSet {
    match key {
        Key::Field(field) => set.complement(field.width()),
        Key::PayloadLength => set.complement(MOST_PAYLOAD.count_ones()),
    }
}

/// Whether every value of a part of the key is in `set`.
pub(super) fn is_full(key: Key, set: &ValueSet) -> bool {
    match key {
        Key::Field(field) => set.is_full(field.width()),
        Key::PayloadLength => set.is_full(MOST_PAYLOAD.count_ones()),
    }
}

/// Payload lengths from this one on.
pub(super) fn at_least(bytes: usize) -> ValueSet {
    ValueSet::range(bytes as u128, MOST_PAYLOAD.into())
}

fn place(key: Key, family: Family) -> Option<Place> {
    match key {
        Key::Field(field) => field.place(family),
        // Not a place in the frame, but where the payload begins tells the families apart.
        Key::PayloadLength => Some(Place {
            base: Base::Network,
            bit: (family.header_len() + Transport::Udp.header_len()) * 8,
            width: MOST_PAYLOAD.count_ones(),
        }),
    }
}

/// How to read `width` bits, at most 8, that lie `bit` bits behind `base`.
fn read(base: Base, bit: usize, width: u32) -> Read {
    let (from_type, skipped) = match base {
        Base::Frame => (false, 0),
        Base::Tag => (false, ETHERNET_LEN),
        Base::Type => (true, 0),
        Base::Network => (true, 2),
    };
    let end = skipped * 8 + bit + usize::try_from(width).unwrap_or_default();
    // The second of the two bytes is the last one that is needed, wherever there is one before.
    let at = end.div_ceil(8).saturating_sub(2);
    Read {
        at: narrow(at),
        from_type,
        is_length: false,
        shift: u8::try_from(at * 8 + 16 - end).unwrap_or_default(),
        mask: u8::try_from(max_value(width)).unwrap_or(u8::MAX),
    }
}

fn narrow(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl Read {
    /// The byte of the key of a frame whose ethertype lies at `type_at`; nothing if the frame ends
    /// before.
    #[inline]
    pub(super) fn of(self, frame: &[u8], type_at: usize) -> Option<u8> {
        let base = if self.from_type { type_at } else { 0 };
        let from = frame.get(base + usize::from(self.at)..)?;
        if self.is_length {
            return Some(u8::try_from(from.len()).unwrap_or(self.mask).min(self.mask));
        }
        let word = u16::from_be_bytes(*from.first_chunk()?);
        let [_, low] = (word >> self.shift).to_be_bytes();
        Some(low & self.mask)
    }

    /// Where that byte lies, if it is not a length.
    pub(super) fn place(self) -> Option<Place> {
        let end = usize::from(self.at) * 8 + 16 - usize::from(self.shift);
        let width = self.mask.count_ones();
        let bit = end.checked_sub(usize::try_from(width).ok()?)?;
        let (base, skipped) = match (self.from_type, bit) {
            (true, 0..16) => (Base::Type, 0),
            (true, _) => (Base::Network, 16),
            (false, bit) if bit < (ETHERNET_LEN - 2) * 8 => (Base::Frame, 0),
            (false, _) => (Base::Tag, ETHERNET_LEN * 8),
        };
        let bit = bit.checked_sub(skipped).filter(|_| !self.is_length)?;
        Some(Place { base, bit, width })
    }
}

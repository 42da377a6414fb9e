//! Frames from values: the headers, and the ways in which a frame can be out of the ordinary.

use std::collections::BTreeMap;

use policy_lang::field::{ETHERTYPE_VLAN, Family, Field, Layer, Place, Transport};

/// Everything that makes a frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Values of fields; those that the frame does not have are not used.
    pub(super) values: BTreeMap<Field, u128>,
    /// Tags in front, each an ethertype and its control information.
    pub(super) tags: Vec<(u16, u16)>,
    /// What lies behind the Ethernet header.
    pub(super) body: Body,
    /// Bytes behind the transport header, or behind whatever else is the last.
    pub(super) payload: Vec<u8>,
    /// Bytes that the frame is cut to.
    pub(super) cut: Option<usize>,
}

/// What lies behind the Ethernet header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Body {
    /// The payload, under the ethertype among the values.
    #[default]
    Other,
    /// A plain packet, or one that would be if its first byte and its ethertype were in order.
    Ip(Family),
    /// IPv4 with this many words of options.
    Options(u8),
    /// IPv6 with an extension header of this type in front of the transport.
    Extension(u8),
}

impl Body {
    fn family(self) -> Option<Family> {
        match self {
            Self::Other => None,
            Self::Ip(family) => Some(family),
            Self::Options(_) => Some(Family::V4),
            Self::Extension(_) => Some(Family::V6),
        }
    }
}

impl Plan {
    fn value(&self, field: Field) -> u128 {
        self.values.get(&field).copied().unwrap_or_default()
    }

    /// The bytes of the frame.
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        for field in [Field::DstMac, Field::SrcMac] {
            frame.extend(self.value(field).to_be_bytes().iter().skip(10));
        }
        for (ethertype, control) in &self.tags {
            let mut control = *control;
            if *ethertype == ETHERTYPE_VLAN
                && let Some(id) = self.values.get(&Field::VlanId)
            {
                control = control & 0xf000 | u16::try_from(*id).unwrap_or_default();
            }
            frame.extend(ethertype.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        let family = self.body.family();
        let ethertype = family.map_or_else(
            || u16::try_from(self.value(Field::Ethertype)).unwrap_or_default(),
            Family::ethertype,
        );
        frame.extend(ethertype.to_be_bytes());
        match family {
            Some(family) => frame.extend(self.packet(family)),
            None => frame.extend(&self.payload),
        }
        frame.truncate(self.cut.unwrap_or(usize::MAX));
        frame
    }

    /// The IP header and what follows.
    fn packet(&self, family: Family) -> Vec<u8> {
        let protocol = self.value(Field::Protocol);
        let transport = Transport::ALL
            .into_iter()
            .find(|t| t.runs_over(family) && u128::from(t.protocol()) == protocol);
        let mut packet = vec![0; family.header_len() + transport.map_or(0, Transport::header_len)];
        packet.extend(&self.payload);
        // The version and, for IPv4, the header length; the usual length of a TCP header.
        let first = if family == Family::V4 { 0x45 } else { 0x60 };
        write(&mut packet, 0, 8, first);
        if transport == Some(Transport::Tcp) {
            write(&mut packet, (family.header_len() + 12) * 8, 4, 5);
        }
        for (&field, &value) in &self.values {
            let there = match field.layer() {
                Layer::Ethernet | Layer::Tag => false,
                Layer::Ip(only) => only.is_none_or(|only| only == family),
                Layer::Transport(any_of) => transport.is_some_and(|t| any_of.contains(&t)),
                Layer::Payload => transport == Some(Transport::Udp),
            };
            if let Some(Place { bit, width, .. }) = field.place(family).filter(|_| there) {
                write(&mut packet, bit, width, value);
            }
        }
        match self.body {
            Body::Options(words) => {
                // No-operation options; the header length counts them.
                let options = vec![1; usize::from(words) * 4];
                packet.splice(family.header_len()..family.header_len(), options);
                write(&mut packet, 4, 4, u128::from(words) + 5);
            }
            Body::Extension(kind) => {
                let next = u8::try_from(protocol).unwrap_or_default();
                packet.splice(
                    family.header_len()..family.header_len(),
                    [next, 0, 0, 0, 0, 0, 0, 0],
                );
                write(&mut packet, 48, 8, kind.into());
            }
            Body::Other | Body::Ip(_) => {}
        }
        packet
    }
}

/// Writes `width` bits of `value` from bit `start` on, as far as `bytes` has them.
fn write(bytes: &mut [u8], start: usize, width: u32, value: u128) {
    for (bit, shift) in (start..).zip((0..width).rev()) {
        if let Some(byte) = bytes.get_mut(bit / 8) {
            let mask = 0x80 >> (bit % 8);
            if value >> shift & 1 == 1 {
                *byte |= mask;
            } else {
                *byte &= !mask;
            }
        }
    }
}

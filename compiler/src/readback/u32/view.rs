//! Where u32 finds the bytes of a frame: its offsets, as bits of packet sets.
//!
//! The kernel strips the outermost tag, 802.1Q or 802.1ad, before the hook (`skb_vlan_untag` in
//! `__netif_receive_skb_core`) and moves the addresses up to the ethertype behind the tag. Offset 0
//! is the first byte behind that ethertype, -2 the ethertype, -14 the destination address. A packet
//! set strips 802.1Q in the same way, but to it an 802.1ad tag is payload. So there are two views.
//!
//! Which protocol a filter is asked for is a matter of the *outermost* ethertype (`skb_protocol`),
//! with 802.3 lengths told apart as in `eth_type_trans`. Measured on kernel 6.18: all of this, and
//! that frames with a cut tag never reach the hook, so what is said about them does not matter.

use policy_lang::field::{Base, Place, TAG_LEN};
use policy_lang::set::NETWORK_BYTES;
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, Space, SpaceFull};

use super::ast::{ETH_P_ALL, Key};

const TPID_8021Q: u16 = 0x8100;
const TPID_8021AD: u16 = 0x88a8;
/// Below, the ethertype field is a length (IEEE 802.3).
const ETH_P_802_3_MIN: u16 = 0x0600;
/// The protocol of raw 802.3 frames, whose first two bytes behind the length are ff ff.
const ETH_P_802_3: u16 = 1;
/// The protocol of all other frames with a length.
const ETH_P_802_2: u16 = 4;
/// The offset of the destination address; what lies before it is no part of the frame.
const ADDRESSES: i32 = -14;
/// The offset of the ethertype, of the inner one if a tag was stripped.
const ETHERTYPE: i32 = -2;

/// How the bytes at u32's offsets lie in a packet set's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// Untagged, or with the one tag that packet sets strip as well.
    Same,
    /// With an outermost 802.1ad tag, which packet sets see as payload.
    Stripped,
}

impl View {
    /// The frames for which a filter of `protocol` is asked, by view.
    pub(super) fn asked(space: &Space, protocol: u16) -> Result<Vec<(Self, PacketSet)>, SpaceFull> {
        let untagged = space.complement(&space.tagged()?)?;
        let of_type = |types: &ValueSet| {
            let outermost = space.bits_in(place(Base::Type, 0, 2), types)?;
            space.intersection(&untagged, &outermost)
        };
        let single = |protocol: u16| of_type(&ValueSet::single(protocol.into()));
        Ok(match protocol {
            ETH_P_ALL => {
                let stripped = single(TPID_8021AD)?;
                vec![
                    (Self::Same, space.complement(&stripped)?),
                    (Self::Stripped, stripped),
                ]
            }
            TPID_8021AD => vec![(Self::Stripped, single(protocol)?)],
            TPID_8021Q => vec![(Self::Same, space.tagged()?)],
            ETH_P_802_3 | ETH_P_802_2 => {
                let lengths = of_type(&ValueSet::range(0, u128::from(ETH_P_802_3_MIN) - 1))?;
                let all_ones = ValueSet::single(0xffff);
                let raw = space.bits_in(place(Base::Network, 0, 2), &all_ones)?;
                let raw = space.intersection(&raw, &space.at_least(2)?)?;
                let set = if protocol == ETH_P_802_3 {
                    space.intersection(&lengths, &raw)?
                } else {
                    space.minus(&lengths, &raw)?
                };
                vec![(Self::Same, set)]
            }
            // No frame has such a protocol.
            _ if protocol < ETH_P_802_3_MIN => Vec::new(),
            _ => vec![(Self::Same, single(protocol)?)],
        })
    }

    /// The frames in which a whole word lies at `offset`.
    pub(super) fn there(self, space: &Space, offset: i32) -> Result<PacketSet, SpaceFull> {
        match (self, usize::try_from(offset + 4)) {
            // The Ethernet header is always whole.
            (_, Err(_) | Ok(0)) => Ok(space.all()),
            (Self::Same, Ok(behind)) => space.at_least(behind),
            (Self::Stripped, Ok(behind)) => space.at_least(behind + TAG_LEN),
        }
    }

    /// The bits that a key's mask chooses: runs of them, each with the number that it has to be.
    ///
    /// No run goes over the end of a byte. `None` if packet sets do not know a byte.
    pub(super) fn runs(self, key: Key) -> Option<Vec<(Place, u8)>> {
        let mut runs: Vec<(Place, u8)> = Vec::new();
        let bytes = key.mask.to_be_bytes().into_iter();
        let bytes = bytes.zip(key.value.to_be_bytes()).zip(key.offset..);
        for ((mask, value), offset) in bytes.filter(|((mask, _), _)| *mask != 0) {
            let byte = self.byte(offset)?;
            let mut before = false;
            for bit in 0..8 {
                let chosen = mask << bit & 0x80 != 0;
                let wanted = u8::from(value << bit & 0x80 != 0);
                match runs.last_mut() {
                    Some((run, number)) if chosen && before => {
                        run.width += 1;
                        *number = *number << 1 | wanted;
                    }
                    _ if chosen => {
                        let start = Place {
                            bit: byte.bit + bit,
                            width: 1,
                            ..byte
                        };
                        runs.push((start, wanted));
                    }
                    _ => {}
                }
                before = chosen;
            }
        }
        Some(runs)
    }

    /// Where one byte lies; `None` if packet sets do not know it.
    fn byte(self, offset: i32) -> Option<Place> {
        let (base, byte) = match (self, offset) {
            (_, ..ADDRESSES) => return None,
            (_, ADDRESSES..ETHERTYPE) => (Base::Frame, offset - ADDRESSES),
            (Self::Same, ETHERTYPE..0) => (Base::Type, offset - ETHERTYPE),
            (Self::Same, 0..) => (Base::Network, offset),
            // Behind the ethertype 0x88a8 come two bytes of the tag.
            (Self::Stripped, ETHERTYPE..) => (Base::Network, offset - ETHERTYPE + 2),
        };
        let byte = usize::try_from(byte).ok()?;
        (base != Base::Network || byte < NETWORK_BYTES).then(|| place(base, byte, 1))
    }
}

fn place(base: Base, byte: usize, bytes: u32) -> Place {
    Place {
        base,
        bit: byte * 8,
        width: bytes * 8,
    }
}

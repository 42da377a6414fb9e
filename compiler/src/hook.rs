//! What the kernel does to a frame before the ingress hooks see it.
//!
//! `__netif_receive_skb_core` (net/core/dev.c) takes a first 802.1Q or 802.1ad tag out of the
//! frame before tc and nftables run. For that, `skb_vlan_untag` (net/core/skbuff.c) wants the tag
//! and two bytes behind it; a shorter frame is dropped there and reaches neither a rule nor the
//! bridge. Rules can't be wrong about such a frame, so proofs leave it out.

use policy_lang::field::{Base, ETHERNET_LEN, ETHERTYPE_VLAN, Place, TAG_LEN};
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, Space, SpaceFull};

/// The ethertype of the other tag that the kernel takes out (IEEE 802.1ad).
pub const ETHERTYPE_8021AD: u16 = 0x88a8;

/// Bytes that must follow the ethertype of a tagged frame for the kernel to take the tag out.
const UNTAG_NEEDS: usize = TAG_LEN + 2;

/// Whether `frame` reaches the ingress hooks.
#[must_use]
pub fn reaches(frame: &[u8]) -> bool {
    let outer = frame.get(ETHERNET_LEN - 2..ETHERNET_LEN);
    let tag = [ETHERTYPE_VLAN, ETHERTYPE_8021AD]
        .iter()
        .any(|t| outer == Some(&t.to_be_bytes()));
    frame.len() >= ETHERNET_LEN + if tag { UNTAG_NEEDS } else { 0 }
}

/// All frames that reach the ingress hooks.
///
/// # Errors
///
/// [`SpaceFull`].
pub fn delivered(space: &Space) -> Result<PacketSet, SpaceFull> {
    let tagged = space.tagged()?;
    let tags = [ETHERTYPE_VLAN, ETHERTYPE_8021AD].map(u128::from);
    let outer_tag = space.bits_in(
        Place {
            base: Base::Type,
            bit: 0,
            width: 16,
        },
        &tags
            .into_iter()
            .map(ValueSet::single)
            .fold(ValueSet::empty(), |a, b| a.union(&b)),
    )?;
    // A transparent tag is not counted in the length; an opaque one is.
    let short_tagged = space.minus(&tagged, &space.at_least(UNTAG_NEEDS - TAG_LEN)?)?;
    let opaque = space.minus(&outer_tag, &tagged)?;
    let short_opaque = space.minus(&opaque, &space.at_least(UNTAG_NEEDS)?)?;
    space.complement(&space.union(&short_tagged, &short_opaque)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The set and the test of one frame say the same.
        #[test]
        fn delivered_is_what_reaches(
            ethertype in proptest::sample::select(vec![0x0800_u16, 0x8100, 0x88a8, 0x9100]),
            behind in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let space = Space::new(1 << 14).unwrap();
            let frame = [vec![0; 12], ethertype.to_be_bytes().to_vec(), behind].concat();
            let set = delivered(&space).unwrap();
            prop_assert_eq!(space.contains(&set, &frame), reaches(&frame), "{:02x?}", frame);
        }
    }
}

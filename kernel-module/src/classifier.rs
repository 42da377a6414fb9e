// SPDX-License-Identifier: GPL-2.0

//! Which packets pass by the gate: those with a mark, and those that a filter put into a class.
//!
//! C headers: [`include/net/pkt_cls.h`](srctree/include/net/pkt_cls.h),
//! [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)
//!
//! Filters are those of `tc filter add ... parent HANDLE: ... classid HANDLE:1`. The kernel runs them
//! and says which class they chose. Whatever nobody has chosen is held.

use crate::skbuff::SkBuff;

/// The class of packets that pass by; its minor number.
pub const BYPASS: u32 = 1;

/// `fw`: packets with `mark & mask == value` pass by. No bits in `mask` means that none do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// What the bits must be.
    pub value: u32,
    /// Which bits are looked at.
    pub mask: u32,
}

impl Mark {
    /// Whether the packet passes by: `class` is what filters chose, 0 for nothing.
    #[must_use]
    pub fn passes(self, skb: &SkBuff, class: u32) -> bool {
        class == BYPASS || (self.mask != 0 && skb.mark() & self.mask == self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYPASS, Mark};
    use crate::bindings::{sk_buff, testing};
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn in_doubt_a_packet_is_held(value in any::<u32>(), mask in any::<u32>(), mark in any::<u32>(), class in 0_u32..4) {
            let skb = testing::packet(sk_buff { mark, ..sk_buff::default() });
            let passes = Mark { value, mask }.passes(&skb, class);
            let marked = mask != 0 && mark & mask == value;
            assert_eq!(passes, class == BYPASS || marked);
            assert!(!Mark::default().passes(&skb, 0));
        }
    }
}

//! The guard of a block as the keys of a root filter.
//!
//! A key that reads past the end of the frame ends its whole pref, and the next pref is tried
//! (`u32_classify` in net/sched/cls_u32.c). So a zero-mask key on the last word of a header asks
//! whether the header is there, and everything behind a guard may read what it has proved.

use policy_lang::field::{FRAGMENT_MASK, Family, Transport};

use super::pattern::{Pattern, Word};
use crate::ir::Shape;

/// What tells frames apart before any rule is read: the ethertype that the kernel gives a frame.
///
/// `protocol P` of tc compares the outermost ethertype, of which the kernel has taken the first
/// 802.1Q or 802.1ad tag off, so that keys see what lies behind the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outer {
    /// 802.1ad: opaque to the language, a frame with ethertype 0x88a8 and nothing more.
    ServiceTag,
    /// One 802.1Q tag, which is transparent.
    Tag,
    /// Anything else.
    Untagged,
}

/// The ethertype of an 802.1ad tag (IEEE 802.1Q table 9-1).
pub(super) const ETHERTYPE_SERVICE_TAG: u16 = 0x88a8;

/// The filters, any of which takes a frame that has the headers of `shape`, and their protocol.
///
/// `None` if a header that must be there ends within a word: presence can only be asked in words.
pub(super) fn roots(outer: Outer, shape: Shape) -> Option<(&'static str, Vec<Pattern>)> {
    let protocol = match (outer, shape) {
        (Outer::ServiceTag, _) => "802.1ad",
        (Outer::Tag, _) => "802.1Q",
        (Outer::Untagged, Shape::Any) => "all",
        (Outer::Untagged, Shape::Ip(family) | Shape::Plain { family, .. }) => match family {
            Family::V4 => "ip",
            Family::V6 => "ipv6",
        },
    };
    let family = match shape {
        Shape::Any => return Some((protocol, vec![Pattern::default()])),
        Shape::Ip(family) | Shape::Plain { family, .. } => family,
    };
    let mut common = Pattern::default().and(last_word_before(end(shape))?);
    if outer == Outer::Tag {
        common = common.and(word(-4, family.ethertype().into(), 0xffff));
    }
    let first_bytes: &[(u32, u32)] = match shape {
        Shape::Ip(Family::V4) => &FIRST_BYTES_V4,
        Shape::Plain {
            family: Family::V4, ..
        } => &[(0x45, 0xff)],
        Shape::Ip(Family::V6)
        | Shape::Plain {
            family: Family::V6, ..
        }
        | Shape::Any => &[(0x60, 0xf0)],
    };
    if let Shape::Plain { transport, .. } = shape {
        let protocol = u32::from(transport.protocol());
        common = match family {
            Family::V4 => common.and(word(4, 0, FRAGMENT_MASK.into())).and(word(
                8,
                protocol << 16,
                0x00ff_0000,
            )),
            Family::V6 => common.and(word(4, protocol << 8, 0x0000_ff00)),
        };
    }
    let roots = first_bytes
        .iter()
        .map(|(value, mask)| common.clone().and(word(0, value << 24, mask << 24)));
    Some((protocol, roots.collect()))
}

/// First bytes of an IPv4 header: version 4 and a header length of 5, of 6 or 7, of 8 or more.
const FIRST_BYTES_V4: [(u32, u32); 3] = [(0x45, 0xff), (0x46, 0xfe), (0x48, 0xf8)];

/// Bytes behind the network header's start that a frame of this shape must have.
fn end(shape: Shape) -> usize {
    match shape {
        Shape::Any => 0,
        Shape::Ip(family) => family.header_len(),
        Shape::Plain {
            family,
            transport,
            payload,
        } => family.header_len() + Transport::header_len(transport) + payload,
    }
}

/// A key that only asks for the word that ends at `end`; `None` if no aligned word ends there.
fn last_word_before(end: usize) -> Option<Word> {
    let at = i32::try_from(end.checked_sub(4)?).ok()?;
    (at % 4 == 0).then_some(word(at, 0, 0))
}

const fn word(at: i32, value: u32, mask: u32) -> Word {
    Word { at, value, mask }
}

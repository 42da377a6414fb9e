//! What one u32 filter asks: masked 32-bit words at aligned offsets from the network header.
//!
//! The kernel reads whole words at multiples of four (net/sched/cls_u32.c); the Ethernet header
//! lies at -14 to -1, so its first two bytes are the second half of the word at -16.

use policy_lang::Verdict;
use policy_lang::field::{Base, ETHERNET_LEN, Family, Field, Place};

use super::cover::{Masked, cover};
use crate::ir::FieldBox;

/// A masked word. `value` has no bits outside of `mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word {
    /// Offset from the network header in bytes, a multiple of four.
    pub(super) at: i32,
    /// The wanted bits.
    pub(super) value: u32,
    /// The bits that count. 0 asks only that the word is in the frame.
    pub(super) mask: u32,
}

/// Words that must all match, one for each offset, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern {
    words: Vec<Word>,
}

/// A pattern with what it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// Which frames.
    pub(super) pattern: Pattern,
    /// What becomes of them.
    pub(super) verdict: Verdict,
    /// Index of the policy rule it comes from.
    pub(super) source: usize,
}

impl Pattern {
    /// The words, in ascending order of their offsets.
    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    /// Whether every frame matches.
    pub(super) fn is_everything(&self) -> bool {
        self.words.is_empty()
    }

    /// The word at `at`, asking nothing if there is none.
    pub(super) fn word(&self, at: i32) -> Word {
        let found = self.words.binary_search_by_key(&at, |word| word.at);
        let none = Word {
            at,
            value: 0,
            mask: 0,
        };
        found
            .ok()
            .and_then(|i| self.words.get(i))
            .copied()
            .unwrap_or(none)
    }

    /// The pattern with one more word.
    pub(super) fn and(mut self, word: Word) -> Self {
        match self.words.binary_search_by_key(&word.at, |other| other.at) {
            Ok(i) => {
                if let Some(old) = self.words.get_mut(i) {
                    old.value |= word.value;
                    old.mask |= word.mask;
                }
            }
            Err(i) => self.words.insert(i, word),
        }
        self
    }

    /// The pattern with `value` in the bits of `mask`, counted from the right end of `place`.
    fn and_masked(mut self, place: Place, masked: Masked) -> Self {
        let (low, high) = (first_bit(place), first_bit(place) + i64::from(place.width));
        let mut start = low.div_euclid(32) * 32;
        while start < high {
            // The field's last bit lies this far left of the word's last bit (right if negative).
            let shift = start + 32 - high;
            let part = |bits: u128| {
                let moved = if shift >= 0 {
                    bits << shift.min(127)
                } else {
                    bits >> -shift
                };
                u32::try_from(moved & u128::from(u32::MAX)).unwrap_or(0)
            };
            let word = Word {
                at: i32::try_from(start / 8).unwrap_or(i32::MAX),
                value: part(masked.value),
                mask: part(masked.mask),
            };
            if word.mask != 0 {
                self = self.and(word);
            }
            start += 32;
        }
        self
    }

    /// What the pattern still asks once the bits of `mask` at `at` are known to match.
    pub(super) fn without(&self, at: i32, mask: u32) -> Self {
        let rest = self.words.iter().filter_map(|word| {
            let mask = if word.at == at {
                word.mask & !mask
            } else {
                word.mask
            };
            (mask != 0).then_some(Word {
                at: word.at,
                value: word.value & mask,
                mask,
            })
        });
        Self {
            words: rest.collect(),
        }
    }

    /// Whether some frame may match both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.words.iter().peekable(), other.words.iter().peekable());
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            if a.at < b.at {
                mine.next();
            } else if b.at < a.at {
                theirs.next();
            } else if (a.value ^ b.value) & a.mask & b.mask != 0 {
                return false;
            } else {
                mine.next();
                theirs.next();
            }
        }
        true
    }
}

/// Distance in bits of a place from the network header; the first bit of the frame is at -112.
fn first_bit(place: Place) -> i64 {
    let bit = i64::try_from(place.bit).unwrap_or(i64::MAX);
    let ethernet = i64::try_from(ETHERNET_LEN * 8).unwrap_or(0);
    match place.base {
        Base::Frame => bit - ethernet,
        // The kernel has taken the tag off: what precedes the network header is the inner type.
        Base::Type | Base::Tag => bit - 16,
        Base::Network => bit,
    }
}

/// Each field of a box as masked values. `None` if a field is not in packets of `family`.
fn covers(one: &FieldBox, family: Family) -> Option<Vec<(Place, Vec<Masked>)>> {
    one.fields
        .iter()
        .map(|(field, values)| {
            let place = field.place(family)?;
            Some((place, cover(values, place.width)))
        })
        .collect()
}

/// How many patterns a box becomes.
pub(super) fn count(one: &FieldBox, family: Family) -> usize {
    covers(one, family).map_or(0, |covers| {
        covers.iter().fold(1, |product: usize, (_, masks)| {
            product.saturating_mul(masks.len())
        })
    })
}

/// The disjoint patterns whose union is a box, in ascending order of the fields' values.
///
/// `Field::VlanId` must not be in the box: the kernel has taken the tag off.
pub(super) fn patterns(one: &FieldBox, family: Family) -> Vec<Pattern> {
    debug_assert!(!one.fields.contains_key(&Field::VlanId));
    let Some(covers) = covers(one, family) else {
        return Vec::new();
    };
    let mut product = vec![Pattern::default()];
    for (place, masks) in covers {
        product = product
            .iter()
            .flat_map(|pattern| masks.iter().map(|&m| pattern.clone().and_masked(place, m)))
            .collect();
    }
    product
}

//! What is recommended: an interval, the limit that goes with it, the block of the policy that says
//! so.

use qdisc_model::limit::LARGEST_PACKET;

use super::sweep::Figures;

/// The limit is this many times what the simulation held at most: a checkpoint may take longer than
/// usual, and traffic may burst.
pub const HEADROOM: u64 = 2;

/// Limits are whole multiples of this, in bytes, and of a mebibyte from there on.
const STEP: u64 = 64 << 10;

/// The largest limit that `sch_plug` takes in whole mebibytes.
const LARGEST: u64 = 4095 << 20;

/// What is recommended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Place of the interval in the curve.
    pub place: usize,
    /// The interval.
    pub interval_ms: u64,
    /// The limit, in bytes.
    pub limit: u64,
    /// What the simulation held at most with this interval.
    pub held_most: u64,
}

impl Advice {
    /// Recommends the interval at a place of the curve.
    #[must_use]
    pub fn new(curve: &[Figures], place: usize) -> Self {
        let figures = curve.get(place).cloned().unwrap_or_default();
        Self {
            place,
            interval_ms: figures.interval_ms,
            limit: limit(figures.held_most),
            held_most: figures.held_most,
        }
    }

    /// The block to put into the policy.
    #[must_use]
    pub fn block(&self) -> String {
        let limit = match self.limit {
            bytes if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
            bytes => format!("{}KiB", bytes >> 10),
        };
        format!(
            "gate {{\n    interval {}ms;\n    limit {limit};\n}}\n",
            self.interval_ms
        )
    }
}

/// The limit for a gate that held so many bytes: with headroom, room for one packet of the largest
/// size on top, rounded up.
#[must_use]
pub fn limit(held_most: u64) -> u64 {
    let wanted = held_most
        .saturating_mul(HEADROOM)
        .saturating_add(u64::from(LARGEST_PACKET));
    let unit = if wanted > 1 << 20 { 1 << 20 } else { STEP };
    // Nothing that was simulated is held beyond what sch_plug takes.
    wanted
        .div_ceil(unit)
        .saturating_mul(unit)
        .min(LARGEST)
        .max(held_most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Advice, LARGEST_PACKET, limit};

    #[test]
    fn limits_are_round() {
        assert_eq!(limit(0), 128 << 10);
        assert_eq!(limit(100_000), 320 << 10);
        assert_eq!(limit(1_000_000), 2 << 20);
        assert_eq!(limit(u64::from(u32::MAX)), u64::from(u32::MAX));
        let advice = Advice {
            interval_ms: 40,
            limit: limit(1_000_000),
            ..Advice::default()
        };
        assert_eq!(
            advice.block(),
            "gate {\n    interval 40ms;\n    limit 2MiB;\n}\n"
        );
    }

    proptest! {
        #[test]
        fn a_limit_is_never_below_what_was_held(held in 0..=u64::from(u32::MAX)) {
            let limit = limit(held);
            prop_assert!(limit >= held && limit >= u64::from(LARGEST_PACKET));
            prop_assert!(u32::try_from(limit).is_ok());
        }
    }
}

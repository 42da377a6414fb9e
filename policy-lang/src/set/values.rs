//! What frames of a set have in a field, and how much of one set lies in another.

use std::collections::hash_map::RandomState;

use oxidd::util::SatCountCache;
use oxidd::{BooleanFunction, BooleanFunctionQuant};

use super::layout::Slot;
use super::{PacketSet, Space, SpaceFull};
use crate::field::Place;
use crate::values::{Range, ValueSet};

/// Ranges that are told apart; sets with more are too scattered to be of use to anybody.
const MOST_RANGES: usize = 4096;

impl Space {
    /// The values that the bits at `place` have in some frame of the set; `None` if they are not
    /// known to sets, or are more than a few thousand ranges.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn values_at(&self, set: &PacketSet, place: Place) -> Result<Option<ValueSet>, SpaceFull> {
        let Some(slots) = self.layout.place(place) else {
            return Ok(None);
        };
        let projected = self.seen_through(set, &[place])?;
        let mut ranges = Vec::new();
        self.walk(&projected, &slots, 0, &mut ranges)?;
        Ok((ranges.len() <= MOST_RANGES).then(|| ValueSet::from_ranges(ranges)))
    }

    /// The frames that can't be told from one of the set by their bits at `places`.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn seen_through(&self, set: &PacketSet, places: &[Place]) -> Result<PacketSet, SpaceFull> {
        let kept: Vec<usize> = places
            .iter()
            .filter_map(|place| self.layout.place(*place))
            .flatten()
            .filter_map(|slot| self.layout.variable(slot))
            .collect();
        // From the last variable on, so that each step puts a node on top of a chain.
        let mut others = self.bits_all();
        for (at, variable) in self.variables.iter().enumerate().rev() {
            if !kept.contains(&at) {
                others = self.set(variable.and(&others.diagram))?;
            }
        }
        let real = self.intersection(set, &self.all)?;
        self.set(real.diagram.exists(&others.diagram))
    }

    /// The values from `low` on whose lower bits `slots` are in `set`.
    fn walk(
        &self,
        set: &PacketSet,
        slots: &[Slot],
        low: u128,
        ranges: &mut Vec<Range>,
    ) -> Result<(), SpaceFull> {
        if set.is_empty() || ranges.len() > MOST_RANGES {
            return Ok(());
        }
        let (Some((slot, rest)), false) = (slots.split_first(), set.diagram.valid()) else {
            let width = u32::try_from(slots.len()).unwrap_or(128);
            ranges.push(Range::new(low, low + crate::values::max_value(width)));
            return Ok(());
        };
        let bit = self.slot(*slot)?;
        for (value, half) in [
            (0, self.minus(set, &bit)?),
            (1, self.intersection(set, &bit)?),
        ] {
            let half = self.set(half.diagram.exists(&bit.diagram))?;
            self.walk(&half, rest, low + (value << rest.len()), ranges)?;
        }
        Ok(())
    }

    /// Which part of `whole` lies in `part`, from 0 to 1, when every bit that can differ counts the
    /// same; 0 if there are no frames in `whole`.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn share(&self, part: &PacketSet, whole: &PacketSet) -> Result<f64, SpaceFull> {
        let whole = self.intersection(whole, &self.all)?;
        let part = self.intersection(part, &whole)?;
        let variables = u32::try_from(self.variables.len()).unwrap_or(u32::MAX);
        let count = |set: &PacketSet| -> f64 {
            let mut cache = SatCountCache::<oxidd::util::num::F64, RandomState>::default();
            set.diagram.sat_count(variables, &mut cache).0
        };
        let all = count(&whole);
        Ok(if all > 0.0 { count(&part) / all } else { 0.0 })
    }
}

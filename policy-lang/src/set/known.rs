//! Sets that every rule asks for, such as all plain UDP packets: worked out once for each space.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{PacketSet, SpaceFull};
use crate::field::{Family, Transport};

/// What a kept set is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// Frames with so many bytes behind the Ethernet header and the tag.
    AtLeast(usize),
    /// Frames with a whole IP header.
    Ip(Family),
    /// Plain packets with a whole transport header and so many bytes behind it.
    Plain(Family, Transport, usize),
    /// Plain packets with the whole header of any of these.
    AnyPlain(Family, &'static [Transport]),
}

/// The sets that were asked for so far.
#[derive(Default)]
pub(super) struct Known {
    sets: RefCell<BTreeMap<About, PacketSet>>,
}

impl Known {
    /// The set that is known, or else that `make` makes.
    pub(super) fn or_make(
        &self,
        about: About,
        make: impl FnOnce() -> Result<PacketSet, SpaceFull>,
    ) -> Result<PacketSet, SpaceFull> {
        // Not borrowed while it is made: that may ask for other sets.
        let known = self.sets.borrow().get(&about).cloned();
        if let Some(set) = known {
            return Ok(set);
        }
        let set = make()?;
        self.sets.borrow_mut().insert(about, set.clone());
        Ok(set)
    }
}

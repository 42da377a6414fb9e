//! A concrete frame of a set: every claim about a set is shown as bytes that can be sent.

use oxidd::BooleanFunction;
use oxidd::util::OptBool;

use super::{PacketSet, Space, SpaceFull};

impl Space {
    /// A frame of the set, or `None` if the set is empty.
    ///
    /// Bits that do not matter are 0, so the same set always gives the same short frame.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn witness(&self, set: &PacketSet) -> Result<Option<Vec<u8>>, SpaceFull> {
        let real = self.intersection(set, &self.all)?;
        let cube = real.diagram.pick_cube(|_, _, _| false);
        Ok(cube.map(|values| {
            let bits: Vec<bool> = values.iter().map(|value| *value == OptBool::True).collect();
            self.layout.decode(&bits)
        }))
    }

    /// A shortest frame of the set, or `None` if the set is empty.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn shortest(&self, set: &PacketSet) -> Result<Option<Vec<u8>>, SpaceFull> {
        let mut set = self.intersection(set, &self.all)?;
        // The most bytes behind the headers that every frame of the set is known to have.
        let (mut least, mut step) = (0, 1 << 15);
        while step > 0 {
            let longer = self.at_least(least + step)?;
            let shorter = self.minus(&set, &longer)?;
            if shorter.is_empty() {
                least += step;
            } else {
                set = shorter;
            }
            step /= 2;
        }
        self.witness(&set)
    }

    /// Whether two sets hold the same frames, and if not, a frame in exactly one of them.
    ///
    /// # Errors
    ///
    /// [`SpaceFull`].
    pub fn difference(&self, a: &PacketSet, b: &PacketSet) -> Result<Option<Vec<u8>>, SpaceFull> {
        match self.witness(&self.minus(a, b)?)? {
            Some(frame) => Ok(Some(frame)),
            None => self.witness(&self.minus(b, a)?),
        }
    }
}

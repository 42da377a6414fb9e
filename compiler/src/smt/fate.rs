//! What rules do to a frame, as numbers of 32 bits.

use super::term::constant;

/// The sort of the numbers.
pub const SORT: &str = "(_ BitVec 32)";
/// Nothing yet: the next rule is asked.
pub const NONE: &str = "#x00000000";
/// The frame goes on at once.
pub const PASSES: &str = "#x00000001";
/// It goes to the IFB.
pub const HELD: &str = "#x00000002";
/// It is dropped, or goes elsewhere.
pub const LOST: &str = "#x00000003";
/// The walk through a preference of tc ends without an answer.
pub const CUT: &str = "#x00000004";

/// The frame goes through another chain of tc: a number above all others.
#[must_use]
pub fn going(chain: u32) -> String {
    // Numbers of chains have 28 bits.
    constant(u128::from(chain) | 1 << 28, 32)
}

//! Which names a kind of field has for its values.

use super::types::Kind;
use crate::names::{CODE_POINTS, CONGESTION, FLAGS, Name, PROTOCOLS};

const KINDS: [Kind; 4] = [Kind::Protocol, Kind::Dscp, Kind::Ecn, Kind::TcpFlags];

/// The names that values of a kind have.
pub(super) fn of(kind: Kind) -> &'static [Name] {
    match kind {
        Kind::Protocol => PROTOCOLS,
        Kind::Dscp => CODE_POINTS,
        Kind::Ecn => CONGESTION,
        Kind::TcpFlags => FLAGS,
        _ => &[],
    }
}

/// The value of a name among those of a kind.
pub(super) fn value(kind: Kind, name: &str) -> Option<u128> {
    of(kind)
        .iter()
        .find(|(text, _)| *text == name)
        .map(|(_, value)| u128::from(*value))
}

/// The kind of field that has a value of this name.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    KINDS.into_iter().find(|&kind| value(kind, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_has_two_kinds_and_all_fit_their_field() {
        for kind in KINDS {
            for &(name, value) in of(kind) {
                assert_eq!(kind_of(name), Some(kind), "{name}");
                assert!(u128::from(value) <= kind.max(), "{name}");
            }
        }
    }
}

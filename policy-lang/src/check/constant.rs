//! Values with names: protocol numbers (IANA), DSCP code points (RFC 2474, 2597, 3246, 5865,
//! 8622), ECN (RFC 3168) and TCP flags (RFC 9293, 3168).

use super::types::Kind;

const PROTOCOLS: &[(&str, u128)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("sit", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

const CODE_POINTS: &[(&str, u128)] = &[
    ("cs0", 0),
    ("df", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

const CONGESTION: &[(&str, u128)] = &[("not-ect", 0), ("ect1", 1), ("ect0", 2), ("ce", 3)];

const FLAGS: &[(&str, u128)] = &[
    ("fin", 0x01),
    ("syn", 0x02),
    ("rst", 0x04),
    ("psh", 0x08),
    ("ack", 0x10),
    ("urg", 0x20),
    ("ece", 0x40),
    ("cwr", 0x80),
];

const KINDS: [Kind; 4] = [Kind::Protocol, Kind::Dscp, Kind::Ecn, Kind::TcpFlags];

/// The names that values of a kind have.
pub(super) fn of(kind: Kind) -> &'static [(&'static str, u128)] {
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
        .map(|(_, value)| *value)
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
                assert!(value <= kind.max(), "{name}");
            }
        }
    }

    #[test]
    fn assured_forwarding_follows_its_rule() {
        // RFC 2597 section 6: class in the upper three bits, drop precedence in the next two.
        for class in 1..=4 {
            for precedence in 1..=3 {
                let name = format!("af{class}{precedence}");
                assert_eq!(value(Kind::Dscp, &name), Some(class * 8 + precedence * 2));
            }
        }
    }
}

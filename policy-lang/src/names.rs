//! Values with names, as tables: what the language reads and what reports print.

/// A name and the value it stands for.
pub type Name = (&'static str, u8);

/// Protocol numbers of IP that have a keyword here (IANA).
pub const PROTOCOLS: &[Name] = &[
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

/// DSCP code points: RFC 2474, RFC 2597, RFC 3246, RFC 5865 and RFC 8622. A value with two names
/// has its usual one first.
pub const CODE_POINTS: &[Name] = &[
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

/// ECN code points, RFC 3168 section 5.
pub const CONGESTION: &[Name] = &[("not-ect", 0), ("ect1", 1), ("ect0", 2), ("ce", 3)];

/// TCP flags as bits of their byte, lowest first: RFC 9293 section 3.1 and RFC 3168.
pub const FLAGS: &[Name] = &[
    ("fin", 0x01),
    ("syn", 0x02),
    ("rst", 0x04),
    ("psh", 0x08),
    ("ack", 0x10),
    ("urg", 0x20),
    ("ece", 0x40),
    ("cwr", 0x80),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assured_forwarding_follows_its_rule() {
        // RFC 2597 section 6: class in the upper three bits, drop precedence in the next two.
        for class in 1..=4 {
            for precedence in 1..=3 {
                let name = format!("af{class}{precedence}");
                let named = CODE_POINTS.iter().find(|(text, _)| *text == name);
                assert_eq!(
                    named.map(|(_, value)| *value),
                    Some(class * 8 + precedence * 2)
                );
            }
        }
    }
}

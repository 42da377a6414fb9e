//! Ways to tell what may pass, from the paper's to none at all, and what each lets pass beyond
//! media: judged by `classify` on frames of the kinds that a VoIP server sends.

use std::net::SocketAddr;

use policy_lang::check::check;
use policy_lang::source::SourceFile;
use policy_lang::{Policy, Verdict, classify};

use crate::frame_text;
use crate::simulate::traffic::Traffic;

/// A way to tell what may pass.
#[derive(Clone, Debug)]
pub struct Classification {
    /// Its name in JSON.
    pub id: &'static str,
    /// Its name in reports.
    pub name: &'static str,
    /// Its meaning.
    pub policy: Policy,
}

/// The paper's policy (Hlavacek and Bestak, ICCGI 2013).
const PAPER: &str = "buffer tcp; default bypass;";

/// Everything is held.
const HOLD: &str = "default buffer;";

/// In front of a policy, it holds what only has the port of media: what of UDP is neither RTP nor
/// RTCP by its first two payload bytes (RFC 7983, RFC 5761).
const FIRST_BYTES: &str = "buffer udp and not rtp and not rtcp;";

/// The paper's, the given one, the given one refined by the first payload bytes, and everything
/// held.
#[must_use]
pub fn all(policy: &Policy) -> Vec<Classification> {
    // These texts are policies: a test says so.
    let parsed = |text| check(&SourceFile::new("built in", text)).0;
    let refined = parsed(FIRST_BYTES).map(|first| Policy {
        rules: first
            .rules
            .into_iter()
            .chain(policy.rules.clone())
            .collect(),
        ..policy.clone()
    });
    [
        ("paper", "paper", parsed(PAPER)),
        ("policy", "this policy", Some(policy.clone())),
        ("refined", "refined", refined),
        ("hold", "all held", parsed(HOLD)),
    ]
    .into_iter()
    .filter_map(|(id, name, policy)| {
        Some(Classification {
            id,
            name,
            policy: policy?,
        })
    })
    .collect()
}

/// What it means that a frame of a kind has left and is then rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Voice: a listener hears it, and that is all.
    Media,
    /// It says what it would say again; nobody acts on its number or order.
    None,
    /// A peer has seen, and may have acted on, what the surviving guest never did.
    State,
}

/// A kind of traffic that a VoIP server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The frame that stands for it, in words.
    pub frame: String,
    /// What it means that it left and is rolled back.
    pub harm: Harm,
    /// That in words.
    pub consequence: &'static str,
}

/// The kinds, media first.
#[must_use]
pub fn kinds(traffic: &Traffic) -> Vec<Kind> {
    let udp = |from: u16, to: u16, payload: &str| {
        let (from, to) = (
            SocketAddr::new(traffic.guest, from),
            SocketAddr::new(traffic.phone, to),
        );
        format!("udp {from} > {to} {payload}")
    };
    let media = |payload: &str| udp(traffic.media_port, traffic.phone_port, payload);
    let tcp = |from: u16, to: u16| {
        let (from, to) = (
            SocketAddr::new(traffic.guest, from),
            SocketAddr::new(traffic.phone, to),
        );
        format!("tcp {from} > {to} flags ack+psh len 400")
    };
    let (family, ping_kind, ping_type) = if traffic.guest.is_ipv4() {
        ("ip", "icmp", 0)
    } else {
        ("ip6", "icmp6", 129)
    };
    let ends = format!("{} > {}", traffic.guest, traffic.phone);
    let ip = |proto: u8| format!("{family} {ends} proto {proto} len 64");
    let sip = traffic.sip_port;
    let ping = format!("{ping_kind} {ends} type {ping_type}");
    let kind = |name, frame, harm, consequence| Kind {
        name,
        frame,
        harm,
        consequence,
    };
    use Harm::{Media, None, State};
    vec![
        kind(
            "RTP",
            media("rtp pt 8 len 172"),
            Media,
            "voice that was heard is said again",
        ),
        kind(
            "RTP in one 802.1Q tag",
            media("rtp pt 8 len 172 vlan 5"),
            Media,
            "the same",
        ),
        kind(
            "RTCP",
            udp(
                traffic.media_port | 1,
                traffic.phone_port | 1,
                "rtcp len 60",
            ),
            Media,
            "counters that run backwards",
        ),
        kind(
            "SIP over UDP",
            udp(sip, sip, "payload 494e56 len 500"),
            State,
            "a call was answered that never was",
        ),
        kind(
            "SIP over TCP",
            tcp(sip, sip),
            State,
            "the connection can't go on",
        ),
        kind(
            "other TCP",
            tcp(traffic.bulk_port, 40_001),
            State,
            "the connection can't go on",
        ),
        kind(
            "STUN on the media port",
            media("stun len 20"),
            State,
            "a candidate pair was agreed on that is not known",
        ),
        kind(
            "DTLS on the media port",
            media("dtls len 80"),
            State,
            "keys were agreed on that are not known",
        ),
        kind(
            "fax (UDPTL) on the media port",
            media("payload 00010a len 40"),
            State,
            "a page was received that is sent again",
        ),
        kind(
            "SCTP (Diameter, M3UA)",
            format!(
                "sctp {} > {}",
                SocketAddr::new(traffic.guest, 2905),
                SocketAddr::new(traffic.phone, 2905)
            ),
            State,
            "the association can't go on",
        ),
        kind(
            "RADIUS accounting",
            udp(40_002, 1813, "payload 040100 len 120"),
            State,
            "a call is billed that never was",
        ),
        kind(
            "syslog",
            udp(40_003, 514, "payload 3c3133 len 90"),
            State,
            "a log tells what did not happen",
        ),
        kind(
            "SNMP trap",
            udp(40_004, 162, "payload 3082 len 90"),
            State,
            "an alarm of what did not happen",
        ),
        kind(
            "DNS answer",
            udp(53, 40_005, "payload 1234 len 60"),
            State,
            "a name was told that may change",
        ),
        kind(
            "QUIC",
            udp(443, 40_006, "payload c3 len 1200"),
            State,
            "the connection can't go on",
        ),
        kind("GRE tunnel", ip(47), State, "whatever is inside"),
        kind(
            "IPsec ESP",
            ip(50),
            State,
            "numbers that may not be used twice are",
        ),
        kind(
            "first fragment of RTP",
            media("rtp pt 8 len 172 frag-first"),
            State,
            "a fragment may be anything",
        ),
        kind(
            "DNS query",
            udp(40_007, 53, "payload 1234 len 40"),
            None,
            "asked again",
        ),
        kind(
            "NTP query",
            udp(123, 123, "payload e3 len 48"),
            None,
            "asked again",
        ),
        kind(
            "DHCP request",
            udp(68, 67, "payload 010106 len 300"),
            None,
            "asked again",
        ),
        kind("ping reply", ping, None, "answered again"),
        kind("ARP", String::from("arp"), None, "asked again"),
        kind(
            "IPv6 neighbour solicitation",
            String::from("icmp6 2001:db8::1 > 2001:db8::2 type 135"),
            None,
            "asked again",
        ),
        kind(
            "LLDP",
            String::from("ethertype 0x88cc payload 0207"),
            None,
            "said again",
        ),
    ]
}

/// The verdicts of classifications on a kind, in their order.
#[must_use]
pub fn verdicts(kind: &Kind, classifications: &[Classification]) -> Vec<Verdict> {
    // Words that are made here are words: a test judges all of them.
    let frame = frame_text::parse(&kind.frame).unwrap_or_default();
    classifications
        .iter()
        .map(|classification| classify(&classification.policy, &frame).verdict)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::edges::Edges;

    fn policy(text: &str) -> Policy {
        check(&SourceFile::new("p", text)).0.unwrap()
    }

    #[test]
    fn every_kind_is_a_frame_in_both_families() {
        let six: Vec<IpAddr> = ["2001:db8::a", "2001:db8::b"]
            .iter()
            .map(|a| a.parse().unwrap())
            .collect();
        let traffic6 = Traffic {
            guest: six[0],
            phone: six[1],
            ..Traffic::USUAL
        };
        for traffic in [Traffic::USUAL, traffic6] {
            for kind in kinds(&traffic) {
                let frame = frame_text::parse(&kind.frame);
                assert!(frame.is_ok_and(|frame| frame.len() >= 14), "{}", kind.frame);
            }
        }
    }

    #[test]
    fn what_each_lets_pass() {
        let text = "bypass udp sport 16384-32767; bypass arp; default buffer;";
        let four = all(&policy(text));
        assert_eq!(four.len(), 4);
        let table: Vec<(&str, String)> = kinds(&Traffic::USUAL)
            .iter()
            .map(|kind| {
                let marks = verdicts(kind, &four)
                    .into_iter()
                    .map(|verdict| match verdict {
                        Verdict::Buffer => '-',
                        Verdict::Bypass => 'p',
                    });
                (kind.name, marks.collect())
            })
            .collect();
        insta::assert_debug_snapshot!("what-passes", table);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The refined policy only ever holds more, and of what is not UDP nothing else.
        #[test]
        fn refining_only_holds_more(seed: u64) {
            let given = policy("bypass udp sport 16384-32767; bypass arp; buffer tcp; default bypass;");
            let four = all(&given);
            let mut edges = Edges::new(&given, seed);
            for _ in 0..50 {
                let frame = edges.frame();
                let of = |index: usize| classify(&four[index].policy, &frame).verdict;
                let (plain, refined) = (of(1), of(2));
                prop_assert!(refined == plain || refined == Verdict::Buffer);
                prop_assert_eq!(of(3), Verdict::Buffer);
                let udp = classify(&policy("bypass udp; default buffer;"), &frame).verdict;
                prop_assert!(udp == Verdict::Bypass || refined == plain);
            }
        }
    }
}

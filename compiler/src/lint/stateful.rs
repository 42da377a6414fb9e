//! Protocols whose peers act on what they have seen, and so on what a failover takes back.
//!
//! Ports are those of the service name registry (IANA), on the VM's side: what the VM sends as that
//! service. Payloads that look like RTP or RTCP are media and left aside.

use policy_lang::field::{Field, Transport};
use policy_lang::policy::{Condition, Media, Test};
use policy_lang::source::Span;
use policy_lang::values::{Range, ValueSet};
use policy_lang::{PacketSet, SpaceFull};

use super::{Lint, Scene};

/// A protocol, and what a peer may have seen of an epoch that was rolled back.
struct Protocol {
    code: &'static str,
    name: &'static str,
    seen: &'static str,
    what: What,
}

enum What {
    /// An IP protocol.
    Number(u8),
    /// UDP from these ports, or an IP protocol.
    Udp(&'static [u16], Option<u8>),
    /// UDP from or to these ports.
    UdpEither(&'static [u16]),
    /// UDP with such a payload.
    Payload(&'static [Media]),
}

const PROTOCOLS: [Protocol; 10] = [
    Protocol {
        code: "L0201",
        name: "TCP",
        seen: "data and acknowledgements that the VM no longer knows of: the connection hangs or is reset",
        what: What::Number(6),
    },
    Protocol {
        code: "L0202",
        name: "SIP over UDP",
        seen: "an answer to a call that, after the failover, was never answered",
        what: What::UdpEither(&SIP_PORTS),
    },
    Protocol {
        code: "L0203",
        name: "an answer of a DNS server",
        seen: "a record that is gone again, and keeps it for as long as its time to live says",
        what: What::Udp(&[53], None),
    },
    Protocol {
        code: "L0204",
        name: "DHCP",
        seen: "a lease that the VM does not know of and may give to another",
        what: What::Udp(&[67, 68, 546, 547], None),
    },
    Protocol {
        code: "L0205",
        name: "IKE or ESP",
        seen: "keys that were taken back, or sequence numbers that come again and are dropped as replays",
        what: What::Udp(&[500, 4500], Some(50)),
    },
    Protocol {
        code: "L0206",
        name: "WireGuard",
        seen: "counters that come again: its peer drops what follows as replays",
        what: What::Udp(&[51820], None),
    },
    Protocol {
        code: "L0207",
        name: "QUIC",
        seen: "packet numbers that come again with other content, and acknowledgements of what is forgotten",
        what: What::Udp(&[443], None),
    },
    Protocol {
        code: "L0208",
        name: "OpenVPN",
        seen: "packet numbers that come again: its peer drops what follows as replays",
        what: What::Udp(&[1194], None),
    },
    Protocol {
        code: "L0209",
        name: "SCTP",
        seen: "chunks and acknowledgements that the VM no longer knows of: the association is aborted",
        what: What::Number(132),
    },
    Protocol {
        code: "L0210",
        name: "STUN or DTLS",
        seen: "a check or a handshake that succeeded and, after the failover, never took place",
        what: What::Payload(&[Media::Stun, Media::Dtls]),
    },
];

/// Stateful protocols of which something bypasses.
pub(super) fn bypassing(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let space = scene.space;
    let media = media(scene)?;
    let mut found = Vec::new();
    for protocol in PROTOCOLS {
        let frames = space.minus(&frames(scene, &protocol.what)?, &media)?;
        let frames = space.intersection(&frames, &scene.bypass)?;
        let Some(frame) = space.shortest(&frames)? else {
            continue;
        };
        let Protocol {
            code, name, seen, ..
        } = protocol;
        let mut lint = Lint::new(code, format!("{name} bypasses"));
        let by = policy_lang::classify(scene.policy, &frame);
        lint.span = match by.reason {
            policy_lang::Reason::Rule(at) => scene.policy.rules.get(at).map(|rule| rule.span),
            _ => scene.policy.default_span,
        };
        lint.notes.push(format!("a peer may have seen {seen}"));
        lint.help.push(String::from("hold it with a rule in front"));
        lint.frames.push(frame);
        found.push(lint);
    }
    Ok(found)
}

/// UDP that looks like RTP or RTCP.
pub(super) fn media(scene: &Scene<'_>) -> Result<PacketSet, SpaceFull> {
    let media = [Media::Rtp, Media::Rtcp].map(|media| scene.space.test(&Test::Media(media)));
    scene
        .space
        .union_all(media.into_iter().collect::<Result<_, _>>()?)
}

/// Ports of SIP.
pub(super) const SIP_PORTS: [u16; 2] = [5060, 5061];

/// UDP from or to the ports of SIP.
pub(super) fn sip(scene: &Scene<'_>) -> Result<PacketSet, SpaceFull> {
    frames(scene, &What::UdpEither(&SIP_PORTS))
}

fn frames(scene: &Scene<'_>, what: &What) -> Result<PacketSet, SpaceFull> {
    let space = scene.space;
    let udp = || {
        let udp = Test::protocol_condition(Transport::Udp, Span::default());
        space.condition(&udp)
    };
    let of_number = |number: u8| {
        let number = Test::Field(Field::Protocol, ValueSet::single(number.into()));
        space.condition(&Condition::Test {
            test: number,
            span: Span::default(),
        })
    };
    match what {
        What::Number(number) => of_number(*number),
        What::Udp(ports, number) => {
            let from = space.test(&Test::Field(Field::Sport, set(ports)))?;
            let udp = space.intersection(&udp()?, &from)?;
            match number {
                Some(number) => space.union(&udp, &of_number(*number)?),
                None => Ok(udp),
            }
        }
        What::UdpEither(ports) => {
            space.intersection(&udp()?, &space.test(&Test::EitherPort(set(ports)))?)
        }
        What::Payload(all) => {
            let sets = all.iter().map(|media| space.test(&Test::Media(*media)));
            space.union_all(sets.collect::<Result<_, _>>()?)
        }
    }
}

fn set(ports: &[u16]) -> ValueSet {
    ValueSet::from_ranges(
        ports
            .iter()
            .map(|&port| Range::new(port.into(), port.into())),
    )
}

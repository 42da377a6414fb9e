//! Bytes into words, for people: witnesses, `explain` and `trace`.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use policy_lang::field::{ETHERTYPE_ARP, Family, Field, NEXT_HEADER_FRAGMENT, Transport};
use policy_lang::names::CODE_POINTS;
use policy_lang::packet::Packet;
use policy_lang::policy::Media;

use super::spec::{
    ARP_FIXED, ARP_LEN, Body, FRAGMENT_HEADER_LEN, Fragment, Ip, Spec, USUAL_DST_MAC,
    USUAL_SRC_MAC, USUAL_TTL, Upper,
};
use super::words::{begins_like, canonical_head};
use super::{SHOWN_PAYLOAD, TCP_FLAGS, UNKNOWN_MEDIA};

/// `frame` in one line, in words that [`super::parse`] reads back into a frame that every policy
/// judges alike. Two kinds of lines can't be read back: one where payload bytes were left out (it
/// says `...`), and that of the empty frame. Frames too short for Ethernet come as hexadecimal.
#[must_use]
pub fn describe(frame: &[u8]) -> String {
    match read(frame) {
        Some(spec) => print(&spec),
        None if frame.is_empty() => String::from("an empty frame"),
        None => hex(frame),
    }
}

/// The words' view of a frame; nothing if it is too short for an Ethernet header.
fn read(frame: &[u8]) -> Option<Spec> {
    let packet = Packet::new(frame);
    let ethertype = u16::try_from(packet.read(Field::Ethertype)?).ok()?;
    let body = read_ip(packet)
        .map(Body::Ip)
        .or_else(|| read_arp(ethertype, packet.network()));
    Some(Spec {
        src_mac: mac(packet, Field::SrcMac)?,
        dst_mac: mac(packet, Field::DstMac)?,
        vlan: packet
            .read(Field::VlanId)
            .and_then(|id| u16::try_from(id).ok()),
        body: body.unwrap_or_else(|| Body::Other {
            ethertype,
            payload: packet.network().to_vec(),
        }),
    })
}

fn mac(packet: Packet<'_>, field: Field) -> Option<[u8; 6]> {
    packet.read(field)?.to_be_bytes().last_chunk().copied()
}

fn read_arp(ethertype: u16, network: &[u8]) -> Option<Body> {
    let (fixed, rest) = network.get(..ARP_LEN)?.split_first_chunk::<6>()?;
    let reply = match rest {
        [0, 1, ..] => false,
        [0, 2, ..] => true,
        _ => return None,
    };
    let address = |start: usize| {
        let octets = rest.get(start..)?.first_chunk::<4>()?;
        Some(Ipv4Addr::from(*octets))
    };
    // Behind the operation: sender's MAC and IPv4 address, target's MAC and IPv4 address.
    let (sender, target) = (address(2 + 6)?, address(2 + 6 + 4 + 6)?);
    (ethertype == ETHERTYPE_ARP && *fixed == ARP_FIXED).then_some(Body::Arp {
        sender,
        target,
        reply,
    })
}

fn read_ip(packet: Packet<'_>) -> Option<Ip> {
    let family = packet.family()?;
    let byte = |field| {
        packet
            .read(field)
            .and_then(|value| u8::try_from(value).ok())
    };
    let port = |field| {
        packet
            .read(field)
            .and_then(|value| u16::try_from(value).ok())
    };
    let (fixed, behind) = packet.network().split_at_checked(family.header_len())?;
    let mut protocol = byte(Field::Protocol)?;
    let mut fragment = None;
    let mut options: &[u8] = &[];
    let mut payload = behind;
    match family {
        Family::V4 => {
            let header_len = usize::from(fixed.first()? & 0xf) * 4;
            // Options that the frame does not hold are no words' business.
            (options, payload) = behind.split_at_checked(header_len - family.header_len())?;
            let bits = port(Field::FragmentBits)?;
            let piece = Fragment {
                offset: bits & 0x1fff,
                more: bits & 0x2000 != 0,
            };
            fragment = packet.fragment().then_some(piece);
        }
        Family::V6 if protocol == NEXT_HEADER_FRAGMENT => {
            if let Some((piece, next, rest)) = read_fragment_header(behind) {
                (fragment, protocol, payload) = (Some(piece), next, rest);
            }
        }
        Family::V6 => {}
    }
    let upper = match packet.transport() {
        None => Upper::Protocol(protocol),
        Some(Transport::Tcp) => Upper::Tcp {
            sport: port(Field::Sport)?,
            dport: port(Field::Dport)?,
            flags: byte(Field::TcpFlags)?,
        },
        Some(transport @ (Transport::Icmp | Transport::Icmp6)) => Upper::Icmp {
            transport,
            kind: byte(Field::IcmpType)?,
            code: byte(Field::IcmpCode)?,
        },
        Some(transport) => Upper::Ports {
            transport,
            sport: port(Field::Sport)?,
            dport: port(Field::Dport)?,
        },
    };
    if let Some(transport) = packet.transport() {
        let header_len = match transport {
            Transport::Tcp => tcp_header_len(payload),
            _ => transport.header_len(),
        };
        payload = payload.get(header_len..)?;
    }
    Some(Ip {
        src: address(packet, Field::Src4, Field::Src6)?,
        dst: address(packet, Field::Dst4, Field::Dst6)?,
        dscp: byte(Field::Dscp)?,
        ecn: byte(Field::Ecn)?,
        ttl: byte(Field::Ttl)?,
        fragment,
        options: options.to_vec(),
        upper,
        payload: payload.to_vec(),
    })
}

/// The fragment, its next header and what is behind, if it is a fragment and not a packet with a
/// fragment header of no use.
fn read_fragment_header(behind: &[u8]) -> Option<(Fragment, u8, &[u8])> {
    let (header, rest) = behind.split_first_chunk::<FRAGMENT_HEADER_LEN>()?;
    let [next, _, high, low, ..] = *header;
    let bits = u16::from_be_bytes([high, low]);
    let piece = Fragment {
        offset: bits >> 3,
        more: bits & 1 != 0,
    };
    (piece.offset != 0 || piece.more).then_some((piece, next, rest))
}

/// With TCP's options, if the frame holds as many bytes as the header says; else the fixed part.
fn tcp_header_len(segment: &[u8]) -> usize {
    let fixed = Transport::Tcp.header_len();
    let said = segment.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    if (fixed..=segment.len()).contains(&said) {
        said
    } else {
        fixed
    }
}

fn address(packet: Packet<'_>, v4: Field, v6: Field) -> Option<IpAddr> {
    match packet.family()? {
        Family::V4 => {
            let bits = u32::try_from(packet.read(v4)?).ok()?;
            Some(Ipv4Addr::from_bits(bits).into())
        }
        Family::V6 => Some(Ipv6Addr::from_bits(packet.read(v6)?).into()),
    }
}

fn print(spec: &Spec) -> String {
    let mut words = match &spec.body {
        Body::Arp {
            sender,
            target,
            reply,
        } => {
            vec![format!(
                "arp {sender} > {target} {}",
                if *reply { "reply" } else { "request" }
            )]
        }
        Body::Other { ethertype, payload } => {
            let mut words = vec![format!("ethertype {ethertype:#06x}")];
            words.extend(payload_words(payload, 0));
            words
        }
        Body::Ip(ip) => ip_words(ip),
    };
    words.extend(spec.vlan.map(|id| format!("vlan {id}")));
    for (name, mac, usual) in [
        ("src-mac", spec.src_mac, USUAL_SRC_MAC),
        ("dst-mac", spec.dst_mac, USUAL_DST_MAC),
    ] {
        if mac != usual {
            words.push(format!(
                "{name} {}",
                mac.map(|byte| format!("{byte:02x}")).join(":")
            ));
        }
    }
    words.join(" ")
}

fn ip_words(ip: &Ip) -> Vec<String> {
    let ends = format!("{} > {}", ip.src, ip.dst);
    let with_ports = |sport, dport| {
        format!(
            "{} > {}",
            SocketAddr::new(ip.src, sport),
            SocketAddr::new(ip.dst, dport)
        )
    };
    let mut words = vec![match ip.upper {
        Upper::Ports {
            transport,
            sport,
            dport,
        } => {
            format!("{} {}", keyword(transport), with_ports(sport, dport))
        }
        Upper::Tcp {
            sport,
            dport,
            flags,
        } => {
            format!(
                "tcp {} flags {}",
                with_ports(sport, dport),
                flag_names(flags)
            )
        }
        Upper::Icmp {
            transport,
            kind,
            code,
        } => {
            format!("{} {ends} type {kind} code {code}", keyword(transport))
        }
        Upper::Protocol(protocol) => match ip.family() {
            Family::V4 => format!("ip {ends} proto {protocol}"),
            Family::V6 => format!("ip6 {ends} proto {protocol}"),
        },
    }];
    words.extend(ip.fragment.map(|fragment| match fragment {
        Fragment { offset: 0, .. } => String::from("frag-first"),
        Fragment { offset, more: true } => format!("frag-middle {offset}"),
        Fragment {
            offset,
            more: false,
        } => format!("frag-later {offset}"),
    }));
    if !ip.options.is_empty() {
        words.push(format!("options {}", hex(&ip.options)));
    }
    words.extend(match ip.upper.is_udp() {
        true => udp_payload_words(&ip.payload),
        false => payload_words(&ip.payload, 0),
    });
    if ip.dscp != 0 {
        let name = CODE_POINTS.iter().find(|(_, value)| *value == ip.dscp);
        words.push(name.map_or_else(
            || format!("dscp {}", ip.dscp),
            |(name, _)| format!("dscp {name}"),
        ));
    }
    if ip.ecn != 0 {
        words.push(format!("ecn {}", ip.ecn));
    }
    if ip.ttl != USUAL_TTL {
        words.push(format!("ttl {}", ip.ttl));
    }
    words
}

fn keyword(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::UdpLite => "udplite",
        Transport::Tcp => "tcp",
        Transport::Sctp => "sctp",
        Transport::Icmp => "icmp",
        Transport::Icmp6 => "icmp6",
    }
}

fn flag_names(flags: u8) -> String {
    let bits = TCP_FLAGS
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags >> bit & 1 == 1);
    let names: Vec<&str> = bits.map(|(_, name)| *name).collect();
    if names.is_empty() {
        String::from("none")
    } else {
        names.join("+")
    }
}

/// Of a UDP payload its protocol; its bytes too, unless `len` alone would make them.
fn udp_payload_words(payload: &[u8]) -> Vec<String> {
    if let Some(words) = media_words(payload) {
        return words;
    }
    match payload.split_first() {
        Some((&UNKNOWN_MEDIA, rest)) if rest.iter().all(|byte| *byte == 0) => {
            vec![format!("len {}", payload.len())]
        }
        _ => payload_words(payload, 1),
    }
}

/// A payload by its protocol; its bytes too, unless they are no more than the protocol's head.
fn media_words(payload: &[u8]) -> Option<Vec<String>> {
    let media = Media::ALL
        .into_iter()
        .find(|media| begins_like(*media, payload))?;
    let payload_type = payload
        .get(1)
        .filter(|_| media == Media::Rtp)
        .map(|second| second & 0x7f);
    let mut words = vec![match payload_type {
        Some(payload_type) => format!("rtp pt {payload_type}"),
        None => media.keyword().to_owned(),
    }];
    let head = canonical_head(media, payload_type);
    match payload.strip_prefix(head.as_slice()) {
        Some([]) => {}
        Some(rest) if rest.iter().all(|byte| *byte == 0) => {
            words.push(format!("len {}", payload.len()));
        }
        _ => words.extend(payload_words(payload, 1)),
    }
    Some(words)
}

/// The payload up to its last byte that is not zero, but no less than `least` bytes and no more than
/// are fit to show; and how long it is with what is not shown.
fn payload_words(payload: &[u8], least: usize) -> Vec<String> {
    let last = payload.iter().rposition(|byte| *byte != 0);
    let said = last.map_or(0, |last| last + 1).max(least);
    let shown = payload.get(..said.min(SHOWN_PAYLOAD)).unwrap_or(payload);
    let mut words = Vec::new();
    if !shown.is_empty() {
        let dots = if said > shown.len() { "..." } else { "" };
        words.push(format!("payload {}{dots}", hex(shown)));
    }
    if payload.len() > shown.len() {
        words.push(format!("len {}", payload.len()));
    }
    words
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

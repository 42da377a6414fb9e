//! Words into a [`Spec`]: a kind, its addresses, then options in any order.

mod cursor;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use policy_lang::field::Transport;
use policy_lang::names::CODE_POINTS;
use policy_lang::policy::Media;

use cursor::{Result, Word, Words, number};

use super::spec::{
    Body, Fragment, Ip, Spec, USUAL_DST_MAC, USUAL_SRC_MAC, USUAL_TCP_FLAGS, USUAL_TTL, Upper,
};
use super::{FrameTextError, TCP_FLAGS, UNKNOWN_MEDIA};

/// What a frame may begin with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transport(Transport),
    Ip,
    Ip6,
    Arp,
    Ethertype,
}

/// Words that may follow each kind, besides those of [`ANY`] and, for IP, of [`ANY_IP`].
const KINDS: [(&str, Kind, &[&str]); 10] = [
    (
        "udp",
        Kind::Transport(Transport::Udp),
        &["rtp", "rtcp", "stun", "dtls", "zrtp", "turn", "pt"],
    ),
    ("udplite", Kind::Transport(Transport::UdpLite), &[]),
    ("tcp", Kind::Transport(Transport::Tcp), &["flags"]),
    ("sctp", Kind::Transport(Transport::Sctp), &[]),
    ("icmp", Kind::Transport(Transport::Icmp), &["type", "code"]),
    (
        "icmp6",
        Kind::Transport(Transport::Icmp6),
        &["type", "code"],
    ),
    ("ip", Kind::Ip, &["proto"]),
    ("ip6", Kind::Ip6, &["proto"]),
    ("arp", Kind::Arp, &["request", "reply"]),
    ("ethertype", Kind::Ethertype, &["payload", "len"]),
];
const ANY: [&str; 3] = ["vlan", "src-mac", "dst-mac"];
const ANY_IP: [&str; 10] = [
    "payload",
    "len",
    "dscp",
    "ecn",
    "ttl",
    "frag",
    "frag-first",
    "frag-middle",
    "frag-later",
    "options",
];

/// Offset of a fragment unless said otherwise: behind what a 1500-byte packet carries, in units of 8.
const USUAL_FRAGMENT_OFFSET: u16 = 185;
const MOST_OPTIONS: usize = 40;
const MOST_PAYLOAD: u32 = 65_535;

/// Reads the words of `text`.
pub(super) fn read(text: &str) -> Result<Spec> {
    let mut words = Words { text, at: 0 };
    let first = words.next("the kind of frame", KIND_HELP)?;
    let found = KINDS.iter().find(|(name, ..)| *name == first.text);
    let Some((_, kind, own_words)) = found else {
        return Err(first.wrong("is no kind of frame", KIND_HELP));
    };
    let ends = ends(&mut words, *kind)?;
    let said = Said::read(&mut words, *kind, own_words)?;
    said.spec(*kind, ends, text.len())
}

const KIND_HELP: &str = "a frame begins with udp, udplite, tcp, sctp, icmp, icmp6, ip, ip6, arp or \
                         ethertype, or is given as hexadecimal bytes";

/// The addresses of a frame, and the ports of those transports that have them.
fn ends(words: &mut Words<'_>, kind: Kind) -> Result<Ends> {
    match kind {
        Kind::Ethertype => Ok(Ends::Ethertype(words.number("ethertype", 0xffff)?)),
        Kind::Arp if words.peek().is_none_or(|word| !word.text.contains('.')) => {
            Ok(Ends::Addresses(
                Ipv4Addr::new(10, 0, 0, 1).into(),
                Ipv4Addr::new(10, 0, 0, 2).into(),
            ))
        }
        Kind::Transport(transport) if has_ports(transport) => {
            let help = "write the ends as 10.0.0.2:17000 > 192.0.2.9:40000, IPv6 addresses in \
                        brackets as [2001:db8::1]:5060";
            let (from, src) = words.end::<SocketAddr>("an address with a port", help)?;
            words.arrow(help)?;
            let (to, dst) = words.end::<SocketAddr>("an address with a port", help)?;
            same_family(from, to, src.ip(), dst.ip())?;
            Ok(Ends::Ports(src, dst))
        }
        Kind::Transport(_) | Kind::Ip | Kind::Ip6 | Kind::Arp => {
            let help = "write the ends as 10.0.0.2 > 192.0.2.9 or 2001:db8::1 > 2001:db8::2";
            let (from, src) = words.end::<IpAddr>("an IP address", help)?;
            words.arrow(help)?;
            let (to, dst) = words.end::<IpAddr>("an IP address", help)?;
            same_family(from, to, src, dst)?;
            let (wanted, v4) = match kind {
                Kind::Ip6 | Kind::Transport(_) if is_v6_only(kind) => ("IPv6", false),
                _ => ("IPv4", true),
            };
            if src.is_ipv4() != v4 {
                let help = "arp, ip and icmp are of IPv4, ip6 and icmp6 of IPv6";
                return Err(from.wrong(&format!("is no {wanted} address"), help));
            }
            Ok(Ends::Addresses(src, dst))
        }
    }
}

fn is_v6_only(kind: Kind) -> bool {
    matches!(kind, Kind::Ip6 | Kind::Transport(Transport::Icmp6))
}

fn has_ports(transport: Transport) -> bool {
    !matches!(transport, Transport::Icmp | Transport::Icmp6)
}

fn same_family(from: Word<'_>, to: Word<'_>, src: IpAddr, dst: IpAddr) -> Result<()> {
    if src.is_ipv4() == dst.is_ipv4() {
        return Ok(());
    }
    let what = format!("and `{}` are of different families", to.text);
    Err(from.wrong(
        &what,
        "both ends are IPv4 addresses or both are IPv6 addresses",
    ))
}

/// What stands behind the kind.
enum Ends {
    Ethertype(u16),
    Addresses(IpAddr, IpAddr),
    Ports(SocketAddr, SocketAddr),
}

/// The options that were said.
#[derive(Default)]
struct Said {
    vlan: Option<u16>,
    src_mac: Option<[u8; 6]>,
    dst_mac: Option<[u8; 6]>,
    payload: Option<Vec<u8>>,
    len: Option<usize>,
    dscp: Option<u8>,
    ecn: Option<u8>,
    ttl: Option<u8>,
    fragment: Option<Fragment>,
    options: Option<Vec<u8>>,
    flags: Option<u8>,
    kind: Option<u8>,
    code: Option<u8>,
    protocol: Option<u8>,
    media: Option<Media>,
    payload_type: Option<u8>,
    reply: Option<bool>,
}

impl Said {
    fn read(words: &mut Words<'_>, kind: Kind, own_words: &[&str]) -> Result<Self> {
        let has_ip = !matches!(kind, Kind::Arp | Kind::Ethertype);
        let mut allowed = own_words.to_vec();
        allowed.extend(if has_ip { &ANY_IP[..] } else { &[] });
        allowed.extend(ANY);
        let mut said = Self::default();
        while let Some(word) = words.take() {
            if !allowed.contains(&word.text) {
                let help = format!("here may follow: {}", allowed.join(", "));
                return Err(word.wrong("does not fit here", &help));
            }
            said.read_option(word, words)?;
        }
        Ok(said)
    }

    fn read_option(&mut self, word: Word<'_>, words: &mut Words<'_>) -> Result<()> {
        let name = word.text;
        match name {
            "vlan" => once(&mut self.vlan, word, words.number(name, 0xfff)?),
            "src-mac" => once(&mut self.src_mac, word, words.mac(name)?),
            "dst-mac" => once(&mut self.dst_mac, word, words.mac(name)?),
            "payload" => once(&mut self.payload, word, words.bytes(name)?.1),
            "len" => {
                let len: u32 = words.number(name, MOST_PAYLOAD)?;
                once(
                    &mut self.len,
                    word,
                    usize::try_from(len).unwrap_or_default(),
                )
            }
            "dscp" => once(&mut self.dscp, word, dscp(words)?),
            "ecn" => once(&mut self.ecn, word, words.number(name, 3)?),
            "ttl" => once(&mut self.ttl, word, words.number(name, 255)?),
            "options" => {
                let (bytes_word, bytes) = words.bytes(name)?;
                if !bytes.len().is_multiple_of(4) || bytes.len() > MOST_OPTIONS {
                    let help = "IPv4 options are 4, 8, ... 40 bytes";
                    return Err(bytes_word.wrong("does not fill whole words of 4 bytes", help));
                }
                once(&mut self.options, word, bytes)
            }
            "flags" => once(&mut self.flags, word, flags(words)?),
            "type" => once(&mut self.kind, word, words.number(name, 255)?),
            "code" => once(&mut self.code, word, words.number(name, 255)?),
            "proto" => once(&mut self.protocol, word, words.number(name, 255)?),
            "pt" => once(&mut self.payload_type, word, words.number(name, 127)?),
            "request" | "reply" => once(&mut self.reply, word, name == "reply"),
            "frag" | "frag-first" | "frag-middle" | "frag-later" => {
                let fragment = fragment(name, words)?;
                once(&mut self.fragment, word, fragment)
            }
            _ => match Media::ALL.into_iter().find(|media| media.keyword() == name) {
                Some(media) => once(&mut self.media, word, media),
                None => Err(word.wrong("does not fit here", KIND_HELP)),
            },
        }
    }

    fn spec(self, kind: Kind, ends: Ends, end: usize) -> Result<Spec> {
        let missing = |message: &str, help: &str| FrameTextError {
            message: message.to_owned(),
            help: help.to_owned(),
            span: 0..end,
        };
        let (vlan, src_mac, dst_mac) = (self.vlan, self.src_mac, self.dst_mac);
        let body = match (kind, ends) {
            (Kind::Arp, Ends::Addresses(IpAddr::V4(sender), IpAddr::V4(target))) => Body::Arp {
                sender,
                target,
                reply: self.reply.unwrap_or_default(),
            },
            (_, Ends::Ethertype(ethertype)) => Body::Other {
                ethertype,
                payload: self.payload(false, end)?,
            },
            (_, Ends::Addresses(src, dst)) => {
                let upper = match kind {
                    Kind::Transport(transport) => {
                        let echo_request = if transport == Transport::Icmp { 8 } else { 128 };
                        Upper::Icmp {
                            transport,
                            kind: self.kind.unwrap_or(echo_request),
                            code: self.code.unwrap_or_default(),
                        }
                    }
                    _ => Upper::Protocol(self.protocol.ok_or_else(|| {
                        missing("no protocol is given", "say which, as in `proto 47`")
                    })?),
                };
                Body::Ip(self.ip(src, dst, upper, end)?)
            }
            (_, Ends::Ports(src, dst)) => {
                let (sport, dport) = (src.port(), dst.port());
                let upper = match kind {
                    Kind::Transport(transport) if transport != Transport::Tcp => Upper::Ports {
                        transport,
                        sport,
                        dport,
                    },
                    _ => Upper::Tcp {
                        sport,
                        dport,
                        flags: self.flags.unwrap_or(USUAL_TCP_FLAGS),
                    },
                };
                Body::Ip(self.ip(src.ip(), dst.ip(), upper, end)?)
            }
        };
        Ok(Spec {
            src_mac: src_mac.unwrap_or(USUAL_SRC_MAC),
            dst_mac: dst_mac.unwrap_or(USUAL_DST_MAC),
            vlan,
            body,
        })
    }

    fn ip(self, src: IpAddr, dst: IpAddr, upper: Upper, end: usize) -> Result<Ip> {
        if self.options.is_some() && src.is_ipv6() {
            return Err(FrameTextError {
                message: String::from("`options` in an IPv6 packet"),
                help: String::from("IPv6 has extension headers: `ip6 ... proto 0 payload ...`"),
                span: 0..end,
            });
        }
        let is_udp = upper.is_udp();
        Ok(Ip {
            src,
            dst,
            dscp: self.dscp.unwrap_or_default(),
            ecn: self.ecn.unwrap_or_default(),
            ttl: self.ttl.unwrap_or(USUAL_TTL),
            fragment: self.fragment,
            options: self.options.clone().unwrap_or_default(),
            upper,
            payload: self.payload(is_udp, end)?,
        })
    }

    /// The payload: the bytes given, else the head of the media protocol, else of none if it is a
    /// UDP payload, then zeros up to `len`.
    fn payload(self, is_udp: bool, end: usize) -> Result<Vec<u8>> {
        let wrong = |message: String, help: &str| {
            Err(FrameTextError {
                message,
                help: help.to_owned(),
                span: 0..end,
            })
        };
        let head = self
            .media
            .map(|media| canonical_head(media, self.payload_type));
        let nothing_known = if is_udp && self.len.is_some_and(|len| len > 0) {
            vec![UNKNOWN_MEDIA]
        } else {
            Vec::new()
        };
        let mut payload = self.payload.or(head).unwrap_or(nothing_known);
        if let Some(len) = self.len {
            if len < payload.len() {
                let help = "len counts all payload bytes, from the transport header on";
                return wrong(format!("`len {len}` is less than the payload"), help);
            }
            payload.resize(len, 0);
        }
        if let Some(media) = self.media
            && !begins_like(media, &payload)
        {
            let help = "payloads are told apart by their first two bytes and the length of the \
                        header (RFC 7983, RFC 5761)";
            return wrong(format!("the payload is no {}", media.keyword()), help);
        }
        if let Some(payload_type) = self.payload_type {
            let said = payload.get(1).map(|second| second & 0x7f);
            if self.media != Some(Media::Rtp) || said != Some(payload_type) {
                let help = "`pt` follows `rtp` and agrees with the payload, if that is given";
                return wrong(
                    format!("`pt {payload_type}` is not that of an rtp payload"),
                    help,
                );
            }
        }
        Ok(payload)
    }
}

/// The shortest payload of `media`: its first two bytes, and zeros for the rest of its header.
pub(super) fn canonical_head(media: Media, payload_type: Option<u8>) -> Vec<u8> {
    let first_two = match media {
        Media::Rtp => [0x80, payload_type.unwrap_or_default()],
        Media::Rtcp => [0x80, 200],
        Media::Stun => [0, 1],
        Media::Dtls => [22, 0xfe],
        Media::Zrtp => [0x10, 0],
        Media::Turn => [0x40, 0],
    };
    let mut head = first_two.to_vec();
    head.resize(media.header_len(), 0);
    head
}

/// Whether `payload` is what the language calls `media`.
pub(super) fn begins_like(media: Media, payload: &[u8]) -> bool {
    match payload {
        [first, second, ..] => {
            payload.len() >= media.header_len()
                && media.first_byte().contains((*first).into())
                && media.second_byte().contains((*second).into())
        }
        _ => false,
    }
}

fn once<T>(slot: &mut Option<T>, word: Word<'_>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(word.wrong("is said twice", "each option is said once")),
    }
}

fn dscp(words: &mut Words<'_>) -> Result<u8> {
    let named = words.peek().and_then(|word| {
        CODE_POINTS
            .iter()
            .find(|(name, _)| *name == word.text)
            .map(|(_, value)| *value)
    });
    match named {
        Some(value) => {
            words.take();
            Ok(value)
        }
        None => words.number("dscp", 63).map_err(|error| FrameTextError {
            help: format!("{}, or a name such as ef, af41 or cs6", error.help),
            ..error
        }),
    }
}

fn flags(words: &mut Words<'_>) -> Result<u8> {
    let help = "flags takes names joined by +, as in syn+ack, of fin, syn, rst, psh, ack, urg, ece \
                and cwr; or none; or a number";
    let word = words.next("the flags", help)?;
    if word.text == "none" {
        return Ok(0);
    }
    if let Some(number) = number(word.text).and_then(|number| u8::try_from(number).ok()) {
        return Ok(number);
    }
    word.text.split('+').try_fold(0, |flags, name| {
        match TCP_FLAGS.iter().position(|flag| *flag == name) {
            Some(bit) => Ok(flags | 1 << bit),
            None => Err(word.wrong("is no set of TCP flags", help)),
        }
    })
}

/// A fragment, by its place in the packet; the offset, in units of 8 bytes, may follow.
fn fragment(name: &str, words: &mut Words<'_>) -> Result<Fragment> {
    let more = name != "frag-later";
    if matches!(name, "frag" | "frag-first") {
        return Ok(Fragment { offset: 0, more });
    }
    let offset_follows = words.peek().is_some_and(|word| number(word.text).is_some());
    if !offset_follows {
        return Ok(Fragment {
            offset: USUAL_FRAGMENT_OFFSET,
            more,
        });
    }
    let word = words.peek();
    let offset = words.number(name, 0x1fff)?;
    match word {
        Some(word) if offset == 0 => Err(word.wrong(
            "is the offset of the first fragment",
            "write `frag-first` for that",
        )),
        _ => Ok(Fragment { offset, more }),
    }
}

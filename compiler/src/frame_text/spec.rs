//! A frame as its words say it, and the bytes that it makes.
//!
//! Headers are written front to back from RFC 826 (ARP), RFC 791, RFC 8200, RFC 768, RFC 3828,
//! RFC 9293, RFC 9260, RFC 792 and RFC 4443.

use std::net::{IpAddr, Ipv4Addr};

use policy_lang::field::{ETHERTYPE_ARP, ETHERTYPE_VLAN, Family, NEXT_HEADER_FRAGMENT, Transport};

/// Source MAC address unless said otherwise: locally administered, so it is nobody's.
pub(super) const USUAL_SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Destination MAC address unless said otherwise.
pub(super) const USUAL_DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Time to live unless said otherwise.
pub(super) const USUAL_TTL: u8 = 64;
/// ACK: what most segments have.
pub(super) const USUAL_TCP_FLAGS: u8 = 0x10;

/// ARP over Ethernet for IPv4: hardware type, protocol type and the two address lengths.
pub(super) const ARP_FIXED: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// Header, two pairs of addresses.
pub(super) const ARP_LEN: usize = 28;
/// Next header, reserved, offset with the more-fragments bit, identification.
pub(super) const FRAGMENT_HEADER_LEN: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) src_mac: [u8; 6],
    pub(super) dst_mac: [u8; 6],
    pub(super) vlan: Option<u16>,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Arp {
        sender: Ipv4Addr,
        target: Ipv4Addr,
        reply: bool,
    },
    Other {
        ethertype: u16,
        payload: Vec<u8>,
    },
    Ip(Ip),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ip {
    /// Of the same family as `dst`.
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) dscp: u8,
    pub(super) ecn: u8,
    pub(super) ttl: u8,
    pub(super) fragment: Option<Fragment>,
    /// IPv4 only; a multiple of 4 bytes, at most 40.
    pub(super) options: Vec<u8>,
    pub(super) upper: Upper,
    pub(super) payload: Vec<u8>,
}

/// A piece of a packet: not first and last at once, for that is no fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// In units of 8 bytes, 13 bits.
    pub(super) offset: u16,
    pub(super) more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upper {
    /// UDP, UDP-Lite or SCTP.
    Ports {
        transport: Transport,
        sport: u16,
        dport: u16,
    },
    Tcp {
        sport: u16,
        dport: u16,
        flags: u8,
    },
    /// ICMP or ICMPv6.
    Icmp {
        transport: Transport,
        kind: u8,
        code: u8,
    },
    /// Whatever the payload holds.
    Protocol(u8),
}

impl Spec {
    pub(super) fn build(&self) -> Vec<u8> {
        let mut frame = [self.dst_mac, self.src_mac].concat();
        if let Some(id) = self.vlan {
            frame.extend(ETHERTYPE_VLAN.to_be_bytes());
            frame.extend(id.to_be_bytes());
        }
        match &self.body {
            Body::Arp {
                sender,
                target,
                reply,
            } => {
                frame.extend(ETHERTYPE_ARP.to_be_bytes());
                frame.extend(ARP_FIXED);
                frame.extend([0, if *reply { 2 } else { 1 }]);
                frame.extend(self.src_mac);
                frame.extend(sender.octets());
                frame.extend(if *reply { self.dst_mac } else { [0; 6] });
                frame.extend(target.octets());
            }
            Body::Other { ethertype, payload } => {
                frame.extend(ethertype.to_be_bytes());
                frame.extend(payload);
            }
            Body::Ip(ip) => ip.build(&mut frame),
        }
        frame
    }
}

impl Ip {
    pub(super) fn family(&self) -> Family {
        if self.src.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    fn build(&self, frame: &mut Vec<u8>) {
        frame.extend(self.family().ethertype().to_be_bytes());
        let upper = self.upper_bytes();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let words = 5 + self.options.len() / 4;
                let mut header = vec![0x40 | low_byte(words), self.dscp << 2 | self.ecn];
                header.extend(len16(words * 4 + upper.len()));
                header.extend([0, 0]);
                let fragment = self.fragment.map_or(0, |fragment| {
                    fragment.offset | if fragment.more { 0x2000 } else { 0 }
                });
                header.extend(fragment.to_be_bytes());
                header.extend([self.ttl, self.upper.protocol(), 0, 0]);
                header.extend(src.octets());
                header.extend(dst.octets());
                header.extend(&self.options);
                put_checksum(&mut header, 10, &[]);
                frame.extend(header);
            }
            _ => {
                let class = self.dscp << 2 | self.ecn;
                let fragment = self.fragment.map(|fragment| self.fragment_header(fragment));
                let fragment_len = if fragment.is_some() {
                    FRAGMENT_HEADER_LEN
                } else {
                    0
                };
                frame.extend([0x60 | class >> 4, class << 4, 0, 0]);
                frame.extend(len16(fragment_len + upper.len()));
                let next = if fragment.is_some() {
                    NEXT_HEADER_FRAGMENT
                } else {
                    self.upper.protocol()
                };
                frame.extend([next, self.ttl]);
                frame.extend(octets(self.src));
                frame.extend(octets(self.dst));
                frame.extend(fragment.into_iter().flatten());
            }
        }
        frame.extend(upper);
    }

    fn fragment_header(&self, fragment: Fragment) -> [u8; FRAGMENT_HEADER_LEN] {
        let [high, low] = (fragment.offset << 3 | u16::from(fragment.more)).to_be_bytes();
        [self.upper.protocol(), 0, high, low, 0, 0, 0, 0]
    }

    /// The transport header and the payload, with the checksum; SCTP's, which is no sum, stays zero.
    fn upper_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut checksum_at = None;
        match self.upper {
            Upper::Protocol(_) => {}
            Upper::Ports {
                transport: Transport::Sctp,
                sport,
                dport,
            } => {
                bytes.extend([sport.to_be_bytes(), dport.to_be_bytes()].concat());
                bytes.extend([0; 8]);
            }
            Upper::Ports {
                transport,
                sport,
                dport,
            } => {
                bytes.extend([sport.to_be_bytes(), dport.to_be_bytes()].concat());
                bytes.extend(len16(transport.header_len() + self.payload.len()));
                bytes.extend([0, 0]);
                checksum_at = Some(6);
            }
            Upper::Tcp {
                sport,
                dport,
                flags,
            } => {
                bytes.extend([sport.to_be_bytes(), dport.to_be_bytes()].concat());
                bytes.extend([0; 8]);
                bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
                checksum_at = Some(16);
            }
            Upper::Icmp { kind, code, .. } => {
                bytes.extend([kind, code, 0, 0, 0, 0, 0, 0]);
                checksum_at = Some(2);
            }
        }
        bytes.extend(&self.payload);
        if let Some(at) = checksum_at {
            let pseudo_header = match self.upper {
                Upper::Icmp {
                    transport: Transport::Icmp,
                    ..
                } => Vec::new(),
                _ => self.pseudo_header(bytes.len()),
            };
            put_checksum(&mut bytes, at, &pseudo_header);
        }
        bytes
    }

    /// Addresses, length and protocol, which transports sum too (RFC 9293, RFC 8200 section 8.1).
    /// Two length bytes for both families sum up the same, as no packet here is longer.
    fn pseudo_header(&self, len: usize) -> Vec<u8> {
        let mut header = octets(self.src);
        header.extend(octets(self.dst));
        header.extend(len16(len));
        header.extend([0, self.upper.protocol()]);
        header
    }
}

impl Upper {
    pub(super) fn is_udp(self) -> bool {
        matches!(
            self,
            Self::Ports {
                transport: Transport::Udp,
                ..
            }
        )
    }

    pub(super) fn protocol(self) -> u8 {
        match self {
            Self::Ports { transport, .. } | Self::Icmp { transport, .. } => transport.protocol(),
            Self::Tcp { .. } => Transport::Tcp.protocol(),
            Self::Protocol(protocol) => protocol,
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A length field; a frame too long for it is refused later, by its length.
fn len16(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes().first().copied().unwrap_or_default()
}

/// Writes the Internet checksum (RFC 1071) of `before` and `bytes` at `at`, where zeros are. Zero is
/// written as ones, which UDP needs and which is the same number to the others.
fn put_checksum(bytes: &mut [u8], at: usize, before: &[u8]) {
    let words = before
        .chunks(2)
        .chain(bytes.chunks(2))
        .map(|pair| match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [last] => u64::from(*last) << 8,
            _ => 0,
        });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = match u16::try_from(sum) {
        Ok(0xffff) | Err(_) => 0xffff,
        Ok(sum) => !sum,
    };
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

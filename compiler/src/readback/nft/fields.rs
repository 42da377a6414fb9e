//! What a rule can look at: typed header fields, raw payload, and metadata.
//!
//! Offsets are those of the headers' standards (IEEE 802.3, IEEE 802.1Q, RFC 791, RFC 8200); names
//! and what each expression loads and implies were taken from `nft --debug=netlink` of 1.0.6.

use super::values::Datatype;

/// A header that payload is addressed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Header {
    /// `@ll`: the Ethernet header as the kernel shows it, with a stripped tag put back.
    Link,
    /// `@nh`: what lies behind it.
    Network,
}

/// The protocol that a typed expression belongs to, which nft makes sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Ethernet,
    Vlan,
    Ipv4,
    Ipv6,
}

/// Something that a rule can compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Bits of the frame; `typed` unless written as `@base,offset,length`.
    Payload {
        header: Header,
        bit: usize,
        width: u32,
        datatype: Datatype,
        typed: Option<Protocol>,
    },
    /// `meta length`: bytes behind the Ethernet header and a stripped tag.
    Length,
    /// `meta protocol`: the ethertype behind a stripped tag; 4 or 1 for 802.3 frames.
    Protocol,
}

impl Field {
    pub(super) fn datatype(self) -> Datatype {
        match self {
            Self::Payload { datatype, .. } => datatype,
            Self::Length => Datatype::Integer,
            Self::Protocol => Datatype::EtherType,
        }
    }

    pub(super) fn width(self) -> u32 {
        match self {
            Self::Payload { width, .. } => width,
            Self::Length => 32,
            Self::Protocol => 16,
        }
    }

    /// `@ll,96,16` and its like.
    pub(super) fn raw(base: &str, bit: usize, width: u32) -> Result<Self, String> {
        let header = match base {
            "ll" => Header::Link,
            "nh" => Header::Network,
            "th" => return Err(TRANSPORT.to_owned()),
            _ => return Err(format!("there is no base `@{base}` that is known here")),
        };
        if width == 0 || width > 128 {
            return Err("only loads of 1 to 128 bits are understood".to_owned());
        }
        Ok(Self::Payload {
            header,
            bit,
            width,
            datatype: Datatype::Integer,
            typed: None,
        })
    }

    /// `ip saddr` and its like.
    pub(super) fn typed(protocol: &str, name: &str) -> Result<Self, String> {
        let (of, header) = match protocol {
            "ether" => (Protocol::Ethernet, Header::Link),
            "vlan" => (Protocol::Vlan, Header::Link),
            "ip" => (Protocol::Ipv4, Header::Network),
            "ip6" => (Protocol::Ipv6, Header::Network),
            "udp" | "tcp" | "th" | "sctp" | "udplite" | "dccp" | "icmp" | "icmpv6" => {
                return Err(TRANSPORT.to_owned());
            }
            _ => return Err(format!("there is no `{protocol}` that is known here")),
        };
        let (bit, width, datatype) = match (of, name) {
            (Protocol::Ethernet, "daddr") => (0, 48, Datatype::Mac),
            (Protocol::Ethernet, "saddr") => (48, 48, Datatype::Mac),
            (Protocol::Ethernet, "type") => (96, 16, Datatype::EtherType),
            (Protocol::Vlan, "pcp") => (112, 3, Datatype::Integer),
            (Protocol::Vlan, "dei" | "cfi") => (115, 1, Datatype::Integer),
            (Protocol::Vlan, "id") => (116, 12, Datatype::Integer),
            (Protocol::Vlan, "type") => (128, 16, Datatype::EtherType),
            (Protocol::Ipv4, "version") => (0, 4, Datatype::Integer),
            (Protocol::Ipv4, "hdrlength") => (4, 4, Datatype::Integer),
            (Protocol::Ipv4, "dscp") => (8, 6, Datatype::Dscp),
            (Protocol::Ipv4, "ecn") => (14, 2, Datatype::Ecn),
            (Protocol::Ipv4, "length") => (16, 16, Datatype::Integer),
            (Protocol::Ipv4, "id") => (32, 16, Datatype::Integer),
            (Protocol::Ipv4, "frag-off") => (48, 16, Datatype::Integer),
            (Protocol::Ipv4, "ttl") => (64, 8, Datatype::Integer),
            (Protocol::Ipv4, "protocol") => (72, 8, Datatype::Protocol),
            (Protocol::Ipv4, "checksum") => (80, 16, Datatype::Integer),
            (Protocol::Ipv4, "saddr") => (96, 32, Datatype::Ipv4),
            (Protocol::Ipv4, "daddr") => (128, 32, Datatype::Ipv4),
            (Protocol::Ipv6, "version") => (0, 4, Datatype::Integer),
            (Protocol::Ipv6, "dscp") => (4, 6, Datatype::Dscp),
            (Protocol::Ipv6, "ecn") => (10, 2, Datatype::Ecn),
            (Protocol::Ipv6, "flowlabel") => (12, 20, Datatype::Integer),
            (Protocol::Ipv6, "length") => (32, 16, Datatype::Integer),
            (Protocol::Ipv6, "nexthdr") => (48, 8, Datatype::Protocol),
            (Protocol::Ipv6, "hoplimit") => (56, 8, Datatype::Integer),
            (Protocol::Ipv6, "saddr") => (64, 128, Datatype::Ipv6),
            (Protocol::Ipv6, "daddr") => (192, 128, Datatype::Ipv6),
            _ => return Err(format!("`{protocol} {name}` is not known here")),
        };
        Ok(Self::Payload {
            header,
            bit,
            width,
            datatype,
            typed: Some(of),
        })
    }

    /// `meta length` and its like.
    pub(super) fn meta(key: &str) -> Result<Self, String> {
        match key {
            "length" => Ok(Self::Length),
            "protocol" => Ok(Self::Protocol),
            _ => Err(format!("`meta {key}` is not known here")),
        }
    }
}

const TRANSPORT: &str = "what is addressed from the transport header depends on how the kernel \
                         parses options, fragments and lengths, which is not modelled here";

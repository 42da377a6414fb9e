//! The header table: which fields the language knows and where they lie, as data.
//!
//! Everything that needs an offset takes it from here: the reference meaning, the packet sets and
//! the lowering to rules. Offsets are those of IEEE 802.3 and 802.1Q, RFC 791 (IPv4), RFC 8200
//! (IPv6), RFC 768 (UDP), RFC 3828 (UDP-Lite), RFC 9293 (TCP), RFC 9260 (SCTP), RFC 792 (ICMP),
//! RFC 4443 (ICMPv6) and RFC 3550 (RTP). Nothing else may write an offset down, except the
//! read-backs and `smt` of the compiler, which are a second opinion on purpose.

/// A protocol that carries ports, types or flags: what the language calls a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// User Datagram Protocol, RFC 768.
    Udp,
    /// Lightweight UDP, RFC 3828.
    UdpLite,
    /// Transmission Control Protocol, RFC 9293.
    Tcp,
    /// Stream Control Transmission Protocol, RFC 9260.
    Sctp,
    /// ICMP for IPv4, RFC 792.
    Icmp,
    /// ICMP for IPv6, RFC 4443.
    Icmp6,
}

impl Transport {
    /// All transports, in the order of the language reference.
    pub const ALL: [Self; 6] = [
        Self::Udp,
        Self::UdpLite,
        Self::Tcp,
        Self::Sctp,
        Self::Icmp,
        Self::Icmp6,
    ];

    /// The value of the IPv4 protocol or IPv6 next-header field (IANA protocol numbers).
    #[must_use]
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Udp => 17,
            Self::UdpLite => 136,
            Self::Tcp => 6,
            Self::Sctp => 132,
            Self::Icmp => 1,
            Self::Icmp6 => 58,
        }
    }

    /// Bytes of the fixed part of the header; fewer in the frame and the header is not there.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Udp | Self::UdpLite | Self::Icmp | Self::Icmp6 => 8,
            Self::Tcp => 20,
            Self::Sctp => 12,
        }
    }

    /// Whether this transport is looked for over `family`: ICMP belongs to one family each.
    #[must_use]
    pub const fn runs_over(self, family: Family) -> bool {
        !matches!(
            (self, family),
            (Self::Icmp, Family::V6) | (Self::Icmp6, Family::V4)
        )
    }
}

/// The version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, RFC 791.
    V4,
    /// IPv6, RFC 8200.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The ethertype that announces this family.
    #[must_use]
    pub const fn ethertype(self) -> u16 {
        match self {
            Self::V4 => 0x0800,
            Self::V6 => 0x86dd,
        }
    }

    /// Bytes of the fixed header, which is also where the transport of a plain packet starts.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// Bytes of an Ethernet header: two addresses and the ethertype.
pub const ETHERNET_LEN: usize = 14;
/// Bytes of an 802.1Q tag: the tag control information and the ethertype behind it.
pub const TAG_LEN: usize = 4;
/// The ethertype of the one tag that the language sees through (IEEE 802.1Q).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// The ethertype of the Address Resolution Protocol, RFC 826.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// The next-header value of the IPv6 fragment header, RFC 8200 section 4.5.
pub const NEXT_HEADER_FRAGMENT: u8 = 44;
/// More-fragments flag and fragment offset in bytes 6 and 7 of an IPv4 header.
pub const FRAGMENT_MASK: u16 = 0x3fff;

/// Where a field starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    /// The first byte of the frame.
    Frame,
    /// The tag control information of the one transparent tag.
    Tag,
    /// The last two bytes of the Ethernet header, or of the transparent tag if there is one.
    Type,
    /// The first byte behind the Ethernet header and the transparent tag.
    Network,
}

/// A run of bits: `width` bits that start `bit` bits after `base`, most significant bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// What the offset counts from.
    pub base: Base,
    /// Offset in bits.
    pub bit: usize,
    /// Width in bits, 1 to 128.
    pub width: u32,
}

impl Place {
    const fn new(base: Base, bit: usize, width: u32) -> Self {
        Self { base, bit, width }
    }
}

/// A field that a policy can put a condition on. Each belongs to one place per family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Source MAC address.
    SrcMac,
    /// Destination MAC address.
    DstMac,
    /// VLAN ID of the transparent 802.1Q tag.
    VlanId,
    /// Ethertype behind the transparent tag; below 0x600 it is an 802.3 length.
    Ethertype,
    /// IPv4 protocol, or next header of the IPv6 fixed header.
    Protocol,
    /// IPv4 source address.
    Src4,
    /// IPv4 destination address.
    Dst4,
    /// IPv6 source address.
    Src6,
    /// IPv6 destination address.
    Dst6,
    /// Differentiated services code point, RFC 2474.
    Dscp,
    /// Explicit congestion notification, RFC 3168.
    Ecn,
    /// IPv4 time to live or IPv6 hop limit.
    Ttl,
    /// More-fragments flag and fragment offset of IPv4, as one number; 0 means not a fragment.
    FragmentBits,
    /// Source port of UDP, UDP-Lite, TCP or SCTP.
    Sport,
    /// Destination port of UDP, UDP-Lite, TCP or SCTP.
    Dport,
    /// The eight flag bits of TCP, CWR highest and FIN lowest.
    TcpFlags,
    /// ICMP or ICMPv6 type.
    IcmpType,
    /// ICMP or ICMPv6 code.
    IcmpCode,
    /// The first byte behind the UDP header, which tells media protocols apart (RFC 7983).
    PayloadFirst,
    /// The second byte behind the UDP header: RTP marker and payload type, or RTCP packet type.
    PayloadSecond,
}

impl Field {
    /// Every field, outermost header first.
    pub const ALL: [Self; 20] = [
        Self::SrcMac,
        Self::DstMac,
        Self::VlanId,
        Self::Ethertype,
        Self::Protocol,
        Self::Src4,
        Self::Dst4,
        Self::Src6,
        Self::Dst6,
        Self::Dscp,
        Self::Ecn,
        Self::Ttl,
        Self::FragmentBits,
        Self::Sport,
        Self::Dport,
        Self::TcpFlags,
        Self::IcmpType,
        Self::IcmpCode,
        Self::PayloadFirst,
        Self::PayloadSecond,
    ];

    /// What the language calls a field; fields that it has no word for are described.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SrcMac => "src mac",
            Self::DstMac => "dst mac",
            Self::VlanId => "vlan",
            Self::Ethertype => "ethertype",
            Self::Protocol => "proto",
            Self::Src4 | Self::Src6 => "src",
            Self::Dst4 | Self::Dst6 => "dst",
            Self::Dscp => "dscp",
            Self::Ecn => "ecn",
            Self::Ttl => "ttl",
            Self::FragmentBits => "the fragment field",
            Self::Sport => "sport",
            Self::Dport => "dport",
            Self::TcpFlags => "flags",
            Self::IcmpType => "type",
            Self::IcmpCode => "code",
            Self::PayloadFirst => "the first payload byte",
            Self::PayloadSecond => "the second payload byte",
        }
    }

    /// Width in bits.
    #[must_use]
    pub const fn width(self) -> u32 {
        match self {
            Self::SrcMac | Self::DstMac => 48,
            Self::VlanId => 12,
            Self::Ethertype | Self::Sport | Self::Dport => 16,
            Self::Src4 | Self::Dst4 => 32,
            Self::Src6 | Self::Dst6 => 128,
            Self::Dscp => 6,
            Self::Ecn => 2,
            Self::FragmentBits => 14,
            Self::Protocol
            | Self::Ttl
            | Self::TcpFlags
            | Self::IcmpType
            | Self::IcmpCode
            | Self::PayloadFirst
            | Self::PayloadSecond => 8,
        }
    }

    /// What a field must find in the frame to be read at all.
    #[must_use]
    pub const fn layer(self) -> Layer {
        match self {
            Self::SrcMac | Self::DstMac | Self::Ethertype => Layer::Ethernet,
            Self::VlanId => Layer::Tag,
            Self::Src4 | Self::Dst4 | Self::FragmentBits => Layer::Ip(Some(Family::V4)),
            Self::Src6 | Self::Dst6 => Layer::Ip(Some(Family::V6)),
            Self::Protocol | Self::Dscp | Self::Ecn | Self::Ttl => Layer::Ip(None),
            Self::Sport | Self::Dport => Layer::Transport(&[
                Transport::Udp,
                Transport::UdpLite,
                Transport::Tcp,
                Transport::Sctp,
            ]),
            Self::TcpFlags => Layer::Transport(&[Transport::Tcp]),
            Self::IcmpType | Self::IcmpCode => {
                Layer::Transport(&[Transport::Icmp, Transport::Icmp6])
            }
            Self::PayloadFirst | Self::PayloadSecond => Layer::Payload,
        }
    }

    /// Where the field lies in a plain packet of `family`, or in any frame for the outer fields.
    ///
    /// `None` if packets of that family do not have the field.
    #[must_use]
    pub const fn place(self, family: Family) -> Option<Place> {
        let transport = family.header_len() * 8;
        let v4 = matches!(family, Family::V4);
        Some(match self {
            Self::DstMac => Place::new(Base::Frame, 0, 48),
            Self::SrcMac => Place::new(Base::Frame, 48, 48),
            Self::VlanId => Place::new(Base::Tag, 4, 12),
            Self::Ethertype => Place::new(Base::Type, 0, 16),
            Self::Protocol if v4 => Place::new(Base::Network, 72, 8),
            Self::Protocol => Place::new(Base::Network, 48, 8),
            Self::Src4 if v4 => Place::new(Base::Network, 96, 32),
            Self::Dst4 if v4 => Place::new(Base::Network, 128, 32),
            Self::Src6 if !v4 => Place::new(Base::Network, 64, 128),
            Self::Dst6 if !v4 => Place::new(Base::Network, 192, 128),
            Self::Src4 | Self::Dst4 | Self::Src6 | Self::Dst6 => return None,
            Self::Dscp if v4 => Place::new(Base::Network, 8, 6),
            Self::Dscp => Place::new(Base::Network, 4, 6),
            Self::Ecn if v4 => Place::new(Base::Network, 14, 2),
            Self::Ecn => Place::new(Base::Network, 10, 2),
            Self::Ttl if v4 => Place::new(Base::Network, 64, 8),
            Self::Ttl => Place::new(Base::Network, 56, 8),
            Self::FragmentBits if v4 => Place::new(Base::Network, 50, 14),
            Self::FragmentBits => return None,
            Self::Sport => Place::new(Base::Network, transport, 16),
            Self::Dport => Place::new(Base::Network, transport + 16, 16),
            Self::TcpFlags => Place::new(Base::Network, transport + 104, 8),
            Self::IcmpType => Place::new(Base::Network, transport, 8),
            Self::IcmpCode => Place::new(Base::Network, transport + 8, 8),
            Self::PayloadFirst => Place::new(Base::Network, transport + 64, 8),
            Self::PayloadSecond => Place::new(Base::Network, transport + 72, 8),
        })
    }
}

/// The header that must be in the frame before a field can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The Ethernet header, which every frame has.
    Ethernet,
    /// The transparent 802.1Q tag.
    Tag,
    /// An IP header, of one family or of either.
    Ip(Option<Family>),
    /// A plain packet with the whole header of one of these transports.
    Transport(&'static [Transport]),
    /// Bytes behind the UDP header of a plain packet.
    Payload,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_as_wide_as_their_fields() {
        for field in Field::ALL {
            for family in Family::ALL {
                if let Some(place) = field.place(family) {
                    assert_eq!(place.width, field.width(), "{field:?} over {family:?}");
                }
            }
        }
    }
}

//! Field values and sets of them as people write them: ports as numbers, addresses as addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use policy_lang::field::{Field, Transport};
use policy_lang::values::{Range, ValueSet, max_value};

/// Ranges of a set that are written out; the rest is counted.
const SHOWN: usize = 6;

/// A value as the language writes it, without the name that it may have.
pub(super) fn bare(field: Field, value: u128) -> String {
    match field {
        Field::SrcMac | Field::DstMac => {
            let bytes = value.to_be_bytes();
            let pairs: Vec<String> = bytes
                .iter()
                .skip(10)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            pairs.join(":")
        }
        Field::Ethertype => format!("0x{value:04x}"),
        Field::TcpFlags | Field::FragmentBits => format!("0x{value:02x}"),
        Field::Src4 | Field::Dst4 => u32::try_from(value).map_or_else(
            |_| value.to_string(),
            |bits| Ipv4Addr::from(bits).to_string(),
        ),
        Field::Src6 | Field::Dst6 => Ipv6Addr::from(value).to_string(),
        _ => value.to_string(),
    }
}

/// A value, and what it is called if it has a name.
pub(super) fn value(field: Field, value: u128) -> String {
    let text = bare(field, value);
    let known = match field {
        Field::Protocol => u8::try_from(value).ok().and_then(protocol),
        Field::Ethertype => ethertype(value),
        _ => None,
    };
    match known {
        Some(known) => format!("{text} ({known})"),
        None => text,
    }
}

/// What an IP protocol or next header is called (IANA protocol numbers).
pub(super) fn protocol(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "hop-by-hop options",
        4 => "IPv4 in IP",
        41 => "IPv6 in IP",
        43 => "routing header",
        44 => "fragment header",
        47 => "gre",
        50 => "esp",
        51 => "authentication header",
        59 => "no next header",
        60 => "destination options",
        other => {
            return Transport::ALL
                .into_iter()
                .find(|t| t.protocol() == other)
                .map(transport);
        }
    })
}

/// The keyword of a transport.
pub(super) fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::UdpLite => "udplite",
        Transport::Tcp => "tcp",
        Transport::Sctp => "sctp",
        Transport::Icmp => "icmp",
        Transport::Icmp6 => "icmp6",
    }
}

/// What an ethertype is called (IEEE registration authority); below 0x600 it is a length.
fn ethertype(value: u128) -> Option<&'static str> {
    Some(match value {
        0..0x600 => "an 802.3 length",
        0x0800 => "ip",
        0x0806 => "arp",
        0x8100 => "802.1Q tag",
        0x86dd => "ip6",
        0x8847 => "mpls",
        0x8864 => "pppoe",
        0x88a8 => "802.1ad tag",
        0x88cc => "lldp",
        0x9100 => "old double tag",
        _ => return None,
    })
}

/// A set of values as the language writes it; of a long one only the beginning.
pub(super) fn set(field: Field, values: &ValueSet) -> String {
    let ranges = values.ranges();
    let mut shown: Vec<String> = ranges
        .iter()
        .take(SHOWN)
        .map(|r| range(field, *r))
        .collect();
    if let [only] = shown.as_slice()
        && ranges.len() == 1
    {
        return only.clone();
    }
    if let Some(more) = ranges.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    format!("{{{}}}", shown.join(", "))
}

/// A range, as a prefix where it is one and prefixes are usual.
fn range(field: Field, range: Range) -> String {
    let Range { low, high } = range;
    if low == high {
        return bare(field, low);
    }
    let host_bits = (low ^ high).count_ones();
    let is_prefix = low ^ high == max_value(host_bits) && low & (low ^ high) == 0;
    let has_prefixes = matches!(field, Field::Src4 | Field::Dst4 | Field::Src6 | Field::Dst6);
    if is_prefix && has_prefixes {
        format!("{}/{}", bare(field, low), field.width() - host_bits)
    } else {
        format!("{}-{}", bare(field, low), bare(field, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_read_like_the_language() {
        let ports = ValueSet::from_ranges([Range::new(5060, 5060), Range::new(16384, 32767)]);
        assert_eq!(set(Field::Dport, &ports), "{5060, 16384-32767}");
        let net = ValueSet::range(0x0a00_0000, 0x0aff_ffff);
        assert_eq!(set(Field::Src4, &net), "10.0.0.0/8");
        let odd = ValueSet::range(0x0a00_0001, 0x0a00_0002);
        assert_eq!(set(Field::Src4, &odd), "10.0.0.1-10.0.0.2");
        assert_eq!(set(Field::Dst6, &ValueSet::full(128)), "::/0");
        assert_eq!(
            set(Field::SrcMac, &ValueSet::single(0x16)),
            "00:00:00:00:00:16"
        );
        let many = ValueSet::from_ranges((0..9).map(|n| Range::new(n * 2, n * 2)));
        assert_eq!(set(Field::Ttl, &many), "{0, 2, 4, 6, 8, 10, 3 more}");
        assert_eq!(value(Field::Protocol, 17), "17 (udp)");
        assert_eq!(value(Field::Ethertype, 0x88cc), "0x88cc (lldp)");
    }
}

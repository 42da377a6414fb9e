//! Tests and classes as the language writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Class, Term};
use crate::field::{ETHERTYPE_ARP, Family, Field, Transport};
use crate::policy::{Condition, Test};
use crate::values::{Range, ValueSet};

/// A class: its terms side by side, or `any frame`'s spelling, which needs no term.
pub(super) fn class(class: &Class) -> String {
    if class.terms.is_empty() {
        return String::from("(vlan or untagged)");
    }
    let terms: Vec<String> = class.terms.iter().map(term).collect();
    terms.join(" ")
}

fn term(term: &Term) -> String {
    let text = test(&term.test);
    match (term.holds, text.as_str()) {
        (true, _) => text,
        (false, "vlan") => String::from("untagged"),
        (false, _) => format!("not {text}"),
    }
}

/// A condition as the language writes it, names filled in.
#[must_use]
pub fn condition(condition: &Condition) -> String {
    let all = |parts: &[Condition], joint: &str, empty: &str| {
        let parts: Vec<String> = parts.iter().map(self::condition).collect();
        match parts.as_slice() {
            [] => String::from(empty),
            [one] => one.clone(),
            _ => format!("({})", parts.join(joint)),
        }
    };
    match condition {
        Condition::Always => String::from("(vlan or untagged)"),
        Condition::Test { test, .. } => self::test(test),
        Condition::Not(inner) => format!("not {}", self::condition(inner)),
        Condition::All(parts) => all(parts, " ", "(vlan or untagged)"),
        Condition::Any(parts) => all(parts, " or ", "(vlan untagged)"),
    }
}

fn test(test: &Test) -> String {
    match test {
        Test::Tagged => String::from("vlan"),
        Test::Ip(Family::V4) => String::from("ip"),
        Test::Ip(Family::V6) => String::from("ip6"),
        Test::Fragment => String::from("fragment"),
        Test::Field(field, values) => field_term(*field, values),
        Test::EitherPort(values) => format!("port {}", set(Field::Dport, values)),
        Test::Media(media) => String::from(media.keyword()),
        Test::RtpPayloadType(types) => format!("rtp pt {}", set(Field::Ttl, types)),
    }
}

fn field_term(field: Field, values: &ValueSet) -> String {
    if *values == ValueSet::single(ETHERTYPE_ARP.into()) && field == Field::Ethertype {
        return String::from("arp");
    }
    let either_family = [
        Transport::Tcp,
        Transport::Udp,
        Transport::UdpLite,
        Transport::Sctp,
    ];
    let named = either_family
        .into_iter()
        .find(|t| *values == ValueSet::single(t.protocol().into()));
    let word = match field {
        Field::SrcMac => "src mac",
        Field::DstMac => "dst mac",
        Field::VlanId => "vlan",
        Field::Ethertype => "ethertype",
        Field::Protocol => match named {
            Some(Transport::Tcp) => return String::from("tcp"),
            Some(Transport::Udp) => return String::from("udp"),
            Some(Transport::UdpLite) => return String::from("udplite"),
            Some(Transport::Sctp) => return String::from("sctp"),
            _ => "proto",
        },
        Field::Src4 | Field::Src6 => "src",
        Field::Dst4 | Field::Dst6 => "dst",
        Field::Dscp => "dscp",
        Field::Ecn => "ecn",
        Field::Ttl => "ttl",
        Field::Sport => "sport",
        Field::Dport => "dport",
        Field::TcpFlags => "flags",
        Field::IcmpType => "type",
        Field::IcmpCode => "code",
        // No term of the language asks for them by value.
        Field::FragmentBits => "fragment-bits",
        Field::PayloadFirst => "payload-byte-1",
        Field::PayloadSecond => "payload-byte-2",
    };
    format!("{word} {}", set(field, values))
}

fn set(field: Field, values: &ValueSet) -> String {
    let ranges: Vec<String> = values.ranges().iter().map(|r| range(field, *r)).collect();
    match ranges.as_slice() {
        [one] => one.clone(),
        _ => format!("{{ {} }}", ranges.join(", ")),
    }
}

fn range(field: Field, range: Range) -> String {
    let low = value(field, range.low);
    if range.low == range.high {
        return low;
    }
    let address = matches!(field, Field::Src4 | Field::Dst4 | Field::Src6 | Field::Dst6);
    let size = (range.high - range.low).checked_add(1);
    let bits = size.map_or(128, u128::trailing_zeros);
    let aligned = size.is_none_or(|size| size.is_power_of_two() && range.low.is_multiple_of(size));
    if address && aligned {
        return format!("{low}/{}", field.width() - bits);
    }
    format!("{low}-{}", value(field, range.high))
}

fn value(field: Field, value: u128) -> String {
    match field {
        Field::SrcMac | Field::DstMac => {
            let bytes = value.to_be_bytes();
            let pairs: Vec<String> = bytes.iter().skip(10).map(|b| format!("{b:02x}")).collect();
            pairs.join(":")
        }
        Field::Ethertype => format!("0x{value:04x}"),
        Field::TcpFlags => format!("0x{value:02x}"),
        Field::Src4 | Field::Dst4 => u32::try_from(value).map_or_else(
            |_| value.to_string(),
            |bits| Ipv4Addr::from(bits).to_string(),
        ),
        Field::Src6 | Field::Dst6 => Ipv6Addr::from(value).to_string(),
        _ => value.to_string(),
    }
}

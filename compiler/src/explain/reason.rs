//! Why a single test holds for a frame or does not, in a few words.

use policy_lang::field::{ETHERNET_LEN, Family, Field, Layer, Transport};
use policy_lang::packet::Packet;
use policy_lang::policy::{Media, Test};
use policy_lang::values::ValueSet;

use super::value;

/// Why `test` does not hold for `packet`.
pub(super) fn fails(test: &Test, packet: Packet<'_>) -> String {
    match test {
        Test::Tagged => missing(Field::VlanId, packet),
        Test::Ip(family) => no_ip(Some(*family), packet),
        Test::Fragment => {
            if packet.family().is_none() {
                no_ip(None, packet)
            } else {
                String::from("it is no fragment")
            }
        }
        Test::Field(field, set) => outside(*field, set, packet),
        Test::EitherPort(set) => match (packet.read(Field::Sport), packet.read(Field::Dport)) {
            (Some(sport), Some(dport)) => format!(
                "sport is {sport} and dport is {dport}, neither is in {}",
                value::set(Field::Dport, set)
            ),
            _ => missing(Field::Dport, packet),
        },
        Test::Media(media) => not_media(*media, packet),
        Test::RtpPayloadType(types) => match packet.read(Field::PayloadSecond) {
            Some(second) if policy_lang::classify::test_holds(&Test::Media(Media::Rtp), packet) => {
                let types = value::set(Field::PayloadSecond, types);
                format!("rtp pt is {}, not in {types}", second & 0x7f)
            }
            _ => not_media(Media::Rtp, packet),
        },
    }
}

/// Why `test` holds for `packet`, for a condition that wants it not to.
pub(super) fn holds(test: &Test, packet: Packet<'_>) -> String {
    let inside = |field: Field, set: &ValueSet| match packet.read(field) {
        Some(number) if set.ranges().len() == 1 && set.contains(number) && is_single(set) => {
            format!("{} is {}", field.name(), value::value(field, number))
        }
        Some(number) if set.contains(number) => format!(
            "{} is {}, in {}",
            field.name(),
            value::value(field, number),
            value::set(field, set)
        ),
        _ => String::new(),
    };
    match test {
        Test::Tagged => String::from("it has an 802.1Q tag"),
        Test::Ip(family) => format!("it is {}", family_name(*family)),
        Test::Fragment => String::from("it is a fragment"),
        Test::Field(field, set) => inside(*field, set),
        Test::EitherPort(set) => {
            let sport = inside(Field::Sport, set);
            if sport.is_empty() {
                inside(Field::Dport, set)
            } else {
                sport
            }
        }
        Test::Media(media) => format!("the payload looks like {}", media.keyword()),
        Test::RtpPayloadType(_) => {
            let second = packet.read(Field::PayloadSecond).unwrap_or_default();
            format!("rtp pt is {}", second & 0x7f)
        }
    }
}

fn is_single(set: &ValueSet) -> bool {
    set.ranges().iter().all(|range| range.low == range.high)
}

fn outside(field: Field, set: &ValueSet, packet: Packet<'_>) -> String {
    let Some(number) = packet.read(field) else {
        return missing(field, packet);
    };
    let (name, found) = (field.name(), value::value(field, number));
    let wanted = value::set(field, set);
    if is_single(set) && set.ranges().len() == 1 {
        format!("{name} is {found}, not {wanted}")
    } else {
        format!("{name} is {found}, not in {wanted}")
    }
}

/// Why `packet` has no `field` at all.
fn missing(field: Field, packet: Packet<'_>) -> String {
    match field.layer() {
        Layer::Ethernet => no_ethernet(packet),
        Layer::Tag => match packet.read(Field::Ethertype) {
            Some(ethertype) if is_tag(ethertype) => opaque_tag(ethertype),
            _ => String::from("it has no 802.1Q tag"),
        },
        Layer::Ip(family) => no_ip(family, packet),
        Layer::Transport(any_of) => no_transport(any_of, field.name(), packet),
        Layer::Payload => no_transport(&[Transport::Udp], "UDP payload", packet),
    }
}

fn no_ethernet(packet: Packet<'_>) -> String {
    let there = packet.frame().len();
    format!("the Ethernet header is cut off: {there} of {ETHERNET_LEN} bytes")
}

fn is_tag(ethertype: u128) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

fn opaque_tag(ethertype: u128) -> String {
    let found = value::value(Field::Ethertype, ethertype);
    format!("ethertype is {found}: only a single, whole 802.1Q tag is seen through")
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// Why `packet` has no IP header, or none of the family `wanted`.
fn no_ip(wanted: Option<Family>, packet: Packet<'_>) -> String {
    if let (Some(there), Some(wanted)) = (packet.family(), wanted) {
        return format!("it is {}, not {}", family_name(there), family_name(wanted));
    }
    let Some(ethertype) = packet.read(Field::Ethertype) else {
        return no_ethernet(packet);
    };
    let announced = Family::ALL
        .into_iter()
        .find(|f| u128::from(f.ethertype()) == ethertype);
    let Some(family) = announced else {
        return if is_tag(ethertype) {
            opaque_tag(ethertype)
        } else {
            format!(
                "no IP header: ethertype is {}",
                value::value(Field::Ethertype, ethertype)
            )
        };
    };
    let (name, needed, network) = (family_name(family), family.header_len(), packet.network());
    let version = network.first().map(|first| first >> 4);
    let stated = if family == Family::V4 { 4 } else { 6 };
    match version {
        Some(version) if version != stated => {
            format!("no {name} header: its version says {version}")
        }
        _ if network.len() < needed => {
            format!(
                "the {name} header is cut off: {} of {needed} bytes",
                network.len()
            )
        }
        _ => String::from("no IPv4 header: it says that it is shorter than 20 bytes"),
    }
}

/// Why `packet` has none of these transport headers, and so no `what`.
fn no_transport(any_of: &[Transport], what: &str, packet: Packet<'_>) -> String {
    let Some(family) = packet.family() else {
        return no_ip(None, packet);
    };
    if packet.fragment() {
        return format!("not a plain packet: {} fragment", family_name(family));
    }
    if family == Family::V4 && packet.network().first() != Some(&0x45) {
        return String::from("not a plain packet: IPv4 options");
    }
    let protocol = packet.read(Field::Protocol).unwrap_or_default();
    let wanted = any_of
        .iter()
        .find(|t| t.runs_over(family) && u128::from(t.protocol()) == protocol);
    let found = value::value(Field::Protocol, protocol);
    match wanted {
        Some(transport) => {
            let there = packet.network().len().saturating_sub(family.header_len());
            let (name, needed) = (value::transport(*transport), transport.header_len());
            format!("the {name} header is cut off: {there} of {needed} bytes")
        }
        None if family == Family::V6 && matches!(protocol, 0 | 43 | 51 | 60 | 135) => {
            format!("not a plain packet: next header is {found}")
        }
        None => format!("proto is {found}, which has no {what}"),
    }
}

/// Why the payload of `packet` does not look like `media`.
fn not_media(media: Media, packet: Packet<'_>) -> String {
    let name = media.keyword();
    let Some(payload) = packet.payload() else {
        return missing(Field::PayloadFirst, packet);
    };
    let needed = media.header_len();
    if payload.len() < needed {
        return format!(
            "the payload has {} bytes, {name} needs {needed}",
            payload.len()
        );
    }
    let checks = [
        (Field::PayloadFirst, media.first_byte()),
        (Field::PayloadSecond, media.second_byte()),
    ];
    for (field, set) in checks {
        if let Some(number) = packet.read(field)
            && !set.contains(number)
        {
            let wanted = value::set(field, &set);
            return format!("{} is {number}, {name} has {wanted}", field.name());
        }
    }
    format!("the payload does not look like {name}")
}

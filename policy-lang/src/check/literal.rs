//! Spelt numbers and addresses, read by themselves: what they are, not yet what they are for.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::diagnostic::{Code, Diagnostic};
use crate::field::Family;
use crate::syntax::tree::{Value, ValueKind};

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Literal {
    /// A number.
    Number(u128),
    /// The addresses of a prefix, lowest and highest; of a lone address, itself twice.
    Address {
        family: Family,
        low: u128,
        high: u128,
        /// Whether a prefix length is written.
        prefix: bool,
    },
    /// An Ethernet address.
    Mac(u128),
    /// A word or words: what it means depends on the field.
    Word,
}

/// Reads a value.
pub(super) fn read(value: &Value) -> Result<Literal, Diagnostic> {
    match value.kind {
        ValueKind::Number => number(value).map(Literal::Number),
        ValueKind::Ipv4 => address(value, Family::V4),
        ValueKind::Ipv6 => address(value, Family::V6),
        ValueKind::Mac => mac(value).map(Literal::Mac),
        ValueKind::Word | ValueKind::Flags => Ok(Literal::Word),
    }
}

fn bad(value: &Value, what: &str) -> Diagnostic {
    let message = format!("`{}` is not {what}", value.text);
    Diagnostic::new(Code::BadLiteral, message, value.span)
}

fn number(value: &Value) -> Result<u128, Diagnostic> {
    let text = value.text.as_str();
    let read = match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16),
        None if text.len() > 1 && text.starts_with('0') => {
            let decimal = text.trim_start_matches('0');
            let decimal = if decimal.is_empty() { "0" } else { decimal };
            return Err(bad(value, "a number")
                .label("starts with 0")
                .help("a leading zero means octal to some tools, so it is refused")
                .fix(format!("write `{decimal}`"), value.span, decimal));
        }
        None => text.parse(),
    };
    read.map_err(|_| {
        let message = format!("`{text}` is larger than any field");
        Diagnostic::new(Code::TooLarge, message, value.span)
    })
}

fn mac(value: &Value) -> Result<u128, Diagnostic> {
    let groups = value.text.split(':');
    if groups.clone().all(|group| group.len() == 2)
        && let Ok(address) = u128::from_str_radix(&value.text.replace(':', ""), 16)
    {
        return Ok(address);
    }
    let padded = groups
        .map(|group| format!("{group:0>2}"))
        .collect::<Vec<_>>()
        .join(":");
    Err(bad(value, "a MAC address")
        .label("each of the six groups has two digits")
        .fix(format!("write `{padded}`"), value.span, padded))
}

fn address(value: &Value, family: Family) -> Result<Literal, Diagnostic> {
    let (text, length) = match value.text.split_once('/') {
        Some((text, length)) => (text, Some(length)),
        None => (value.text.as_str(), None),
    };
    let (address, bits, what) = match family {
        Family::V4 => {
            let address = text.parse().map(|ip: Ipv4Addr| u128::from(u32::from(ip)));
            (address, 32_u32, "an IPv4 address")
        }
        Family::V6 => (
            text.parse().map(|ip: Ipv6Addr| u128::from(ip)),
            128,
            "an IPv6 address",
        ),
    };
    let address = address.map_err(|_| {
        let message = format!("`{text}` is not {what}");
        let help = match family {
            Family::V4 => "write four numbers up to 255, such as `10.0.0.0/8`",
            Family::V6 => "write groups of up to four hexadecimal digits, such as `2001:db8::/32`",
        };
        Diagnostic::new(Code::BadLiteral, message, value.span).help(help)
    })?;
    let Some(length) = length else {
        return Ok(Literal::Address {
            family,
            low: address,
            high: address,
            prefix: false,
        });
    };
    let length = length
        .parse()
        .ok()
        .filter(|&length: &u32| length <= bits)
        .ok_or_else(|| {
            bad(value, "a prefix").label(format!("the length is a number from 0 to {bits}"))
        })?;
    let host = 1_u128
        .checked_shl(bits - length)
        .map_or(u128::MAX, |past| past - 1);
    let low = address & !host;
    if low != address {
        let masked = format!("{}/{length}", spell(low, family));
        let message = format!("prefix `{}` has host bits set", value.text);
        return Err(Diagnostic::new(Code::HostBits, message, value.span)
            .label(format!("bits behind the first {length} are not zero"))
            .help(format!("for the single address write `{text}`"))
            .fix(format!("write `{masked}`"), value.span, masked));
    }
    Ok(Literal::Address {
        family,
        low,
        high: address | host,
        prefix: true,
    })
}

/// An address as people write it.
pub(super) fn spell(address: u128, family: Family) -> String {
    match (family, u32::try_from(address)) {
        (Family::V4, Ok(address)) => Ipv4Addr::from(address).to_string(),
        _ => Ipv6Addr::from(address).to_string(),
    }
}

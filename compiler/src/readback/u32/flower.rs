//! flower filters: what their words mean for frames that a u32 guard has let through.
//!
//! Follows `fl_classify` and `fl_set_key` of `net/sched/cls_flower.c`, `__skb_flow_dissect` of
//! `net/core/flow_dissector.c` and iproute2's `tc/f_flower.c`. The dissector looks at neither version
//! nor length fields, gives up on fragments in its own way and walks extension headers. Of this only
//! the plain case is modelled: a whole header of the right version without options, no fragment, and
//! the asked transport right behind it. A filter that may be asked about any other frame is not
//! guessed at: such frames are [`Outcome::unsure`](crate::readback::Outcome::unsure).

use std::net::{Ipv4Addr, Ipv6Addr};

use policy_lang::field::{Base, Place};
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, Space, SpaceFull};

use super::ast::ETH_P_ALL;
use super::words::{Read, Words, decimal, number, protocol};
use crate::smt::term;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;

/// What one filter asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// The family, transport protocol; without it a filter asks for nothing behind the addresses.
    plain: Option<Plain>,
    /// Masked bits.
    bits: Vec<(Place, u128, u128)>,
    /// Ranges of ports.
    ranges: Vec<(Place, u16, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plain {
    v6: bool,
    transport: u8,
}

impl Plain {
    fn header(self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    fn place(self, bit: usize, width: u32) -> Place {
        Place {
            base: Base::Network,
            bit,
            width,
        }
    }

    /// The frames about which the dissector is modelled.
    fn known(self, space: &Space) -> Result<PacketSet, SpaceFull> {
        let ethertype = if self.v6 { ETH_P_IPV6 } else { ETH_P_IP };
        let of_type = Place {
            base: Base::Type,
            bit: 0,
            width: 16,
        };
        let mut asked = vec![(of_type, u128::from(ethertype))];
        if self.v6 {
            asked.push((self.place(0, 4), 6));
            asked.push((self.place(48, 8), self.transport.into()));
        } else {
            asked.push((self.place(0, 8), 0x45));
            asked.push((self.place(72, 8), self.transport.into()));
            // More fragments, and the offset; the two bits before are free.
            asked.push((self.place(50, 14), 0));
        }
        // Ports are read as four bytes; of ICMP the whole header of eight is wanted.
        let behind = if matches!(self.transport, 1 | 58) {
            8
        } else {
            4
        };
        let mut set = space.at_least(self.header() + behind)?;
        for (place, value) in asked {
            set = space.intersection(&set, &space.bits_in(place, &ValueSet::single(value))?)?;
        }
        Ok(set)
    }

    /// The same as a term of SMT-LIB.
    fn smt(self) -> String {
        let transport = term::constant(self.transport.into(), 8);
        let long = match self.transport {
            1 | 58 => 8,
            _ => 4,
        };
        let long = term::constant((self.header() + long) as u128, 16);
        if self.v6 {
            format!("(and ip6 (= n6 {transport}) (bvuge rest {long}))")
        } else {
            format!("(and ip4 plain (= n9 {transport}) (bvuge rest {long}))")
        }
    }
}

impl Keys {
    /// Whether the filter matches every frame that it is asked about.
    fn is_empty(&self) -> bool {
        self.plain.is_none() && self.bits.is_empty() && self.ranges.is_empty()
    }

    /// The frames about which it is known what the filter does, and those that match.
    pub(super) fn matching(&self, space: &Space) -> Result<(PacketSet, PacketSet), SpaceFull> {
        let everything = space.at_least(0)?;
        if self.is_empty() {
            return Ok((everything.clone(), everything));
        }
        let Some(plain) = self.plain else {
            return Ok((space.none(), space.none()));
        };
        let known = plain.known(space)?;
        let mut set = known.clone();
        for (place, value, mask) in &self.bits {
            set = space.intersection(&set, &space.bits_masked(*place, *value, *mask)?)?;
        }
        for (place, low, high) in &self.ranges {
            let ports = ValueSet::range((*low).into(), (*high).into());
            set = space.intersection(&set, &space.bits_in(*place, &ports)?)?;
        }
        Ok((known, set))
    }

    /// The same as terms of SMT-LIB: whether it is known what the filter does, and whether it matches.
    /// What the names stand for is said in [`crate::smt::frame`].
    pub(super) fn smt(&self) -> (String, String) {
        if self.is_empty() {
            return (String::from("true"), String::from("true"));
        }
        let Some(plain) = self.plain else {
            return (String::from("false"), String::from("false"));
        };
        let known = plain.smt();
        let mut asked = vec![known.clone()];
        let bits = |place: &Place| {
            let byte = |at: usize| match place.base {
                Base::Frame => format!("b{at}"),
                _ => format!("n{at}"),
            };
            term::bits(byte, place.bit, place.width)
        };
        for (place, value, mask) in &self.bits {
            let number = |value| term::constant(value, place.width);
            let found = format!("(bvand {} {})", bits(place), number(*mask));
            asked.push(format!("(= {found} {})", number(value & mask)));
        }
        for (place, low, high) in &self.ranges {
            let ports = ValueSet::range((*low).into(), (*high).into());
            asked.push(term::within(&bits(place), place.width, &ports));
        }
        (known, term::all(&asked))
    }

    /// Reads one key, if `word` begins one.
    pub(super) fn read(&mut self, word: &str, words: &mut Words<'_>, of: Of) -> Read<bool> {
        match word {
            "ip_proto" => {
                let transport = words.value(word, |text| {
                    Some(match text {
                        "tcp" => 6,
                        "udp" => 17,
                        "sctp" => 132,
                        "icmp" => 1,
                        "icmpv6" => 58,
                        _ => return None,
                    })
                })?;
                let v6 = match of.network() {
                    ETH_P_IP => false,
                    ETH_P_IPV6 => true,
                    _ => return Err("`ip_proto` needs IPv4 or IPv6".to_owned()),
                };
                if transport == if v6 { 1 } else { 58 } {
                    return Err("this ICMP is of the other family".to_owned());
                }
                match self.plain.replace(Plain { v6, transport }) {
                    None => {}
                    Some(_) => return Err("`ip_proto` is given twice".to_owned()),
                }
            }
            "src_mac" | "dst_mac" => {
                let (value, mask) =
                    words.value(word, |text| masked(text, hardware, hardware_mask, 48))?;
                let bit = if word == "dst_mac" { 0 } else { 48 };
                let place = Place {
                    base: Base::Frame,
                    bit,
                    width: 48,
                };
                self.add(place, value, mask)?;
            }
            _ => return self.read_inside(word, words),
        }
        Ok(true)
    }

    /// A key of the headers behind the Ethernet header.
    fn read_inside(&mut self, word: &str, words: &mut Words<'_>) -> Read<bool> {
        if !matches!(
            word,
            "src_ip" | "dst_ip" | "ip_tos" | "ip_ttl" | "src_port" | "dst_port" | "type" | "code"
        ) {
            return Ok(false);
        }
        let plain = self
            .plain
            .ok_or_else(|| format!("`{word}` without `ip_proto` before it is not understood"))?;
        match word {
            "src_ip" | "dst_ip" => {
                let width = if plain.v6 { 128 } else { 32 };
                let (value, mask) = words.value(word, |text| prefix(text, plain.v6))?;
                let first = if plain.v6 { 64 } else { 96 };
                let second = if word == "dst_ip" { width as usize } else { 0 };
                self.add(plain.place(first + second, width), value, mask)?;
            }
            "ip_tos" | "ip_ttl" => {
                let read = |text| masked(text, byte, hexadecimal_byte, 8);
                let (value, mask) = words.value(word, read)?;
                let bit = match (word, plain.v6) {
                    ("ip_tos", false) => 8,
                    ("ip_tos", true) => 4,
                    (_, false) => 64,
                    (_, true) => 56,
                };
                self.add(plain.place(bit, 8), value, mask)?;
            }
            "src_port" | "dst_port" => {
                if !matches!(plain.transport, 6 | 17 | 132) {
                    return Err("this transport has no ports".to_owned());
                }
                let bit = plain.header() * 8 + if word == "dst_port" { 16 } else { 0 };
                let (low, high) = words.value(word, ports)?;
                if low == high {
                    self.add(plain.place(bit, 16), low.into(), 0xffff)?;
                } else {
                    self.add_range(plain.place(bit, 16), low, high)?;
                }
            }
            _ => {
                if !matches!(plain.transport, 1 | 58) {
                    return Err(format!("`{word}` needs ICMP"));
                }
                let read = |text| masked(text, decimal_byte, decimal_byte, 8);
                let (value, mask) = words.value(word, read)?;
                let bit = plain.header() * 8 + if word == "code" { 8 } else { 0 };
                self.add(plain.place(bit, 8), value, mask)?;
            }
        }
        Ok(true)
    }

    /// What only shows when all keys are read.
    pub(super) fn finish(self, of: Of) -> Read<Self> {
        let ports = |place: &Place| {
            let start = self.plain.map_or(0, |plain| plain.header() * 8);
            place.base == Base::Network && place.width == 16 && place.bit >= start
        };
        if !self.ranges.is_empty() && self.bits.iter().any(|(place, ..)| ports(place)) {
            return Err("kernels differ about a port beside a range of the other".to_owned());
        }
        if of.inner.is_some() && of.outer != ETH_P_8021Q {
            return Err("`vlan_ethtype` needs protocol 802.1Q".to_owned());
        }
        if self.plain.is_none() && (of.inner.is_some() || !self.bits.is_empty()) {
            return Err("keys without `ip_proto` are not understood".to_owned());
        }
        Ok(self)
    }

    fn add(&mut self, place: Place, value: u128, mask: u128) -> Read<()> {
        if self.bits.iter().any(|(known, ..)| *known == place) {
            return Err("a key is given twice".to_owned());
        }
        self.bits.push((place, value & mask, mask));
        Ok(())
    }

    /// Of two ranges of the same port tc sends the kernel the last one only.
    fn add_range(&mut self, place: Place, low: u16, high: u16) -> Read<()> {
        if self.ranges.iter().any(|(known, ..)| *known == place) {
            return Err("a range of ports is given twice".to_owned());
        }
        self.ranges.push((place, low, high));
        Ok(())
    }
}

/// The ethertypes that a filter is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    /// What `protocol` says.
    pub(super) outer: u16,
    /// What `vlan_ethtype` says.
    pub(super) inner: Option<u16>,
}

impl Of {
    /// The ethertype of the network header; 0 if the filter is for none in particular.
    pub(super) fn network(self) -> u16 {
        match self {
            Self {
                outer: ETH_P_8021Q,
                inner: Some(inner),
            } => inner,
            Self { outer, .. } if outer != ETH_P_ALL => outer,
            Self { .. } => 0,
        }
    }

    /// The value of `vlan_ethtype`.
    pub(super) fn read_inner(words: &mut Words<'_>) -> Read<u16> {
        words.value("vlan_ethtype", |text| {
            protocol(text).filter(|known| matches!(*known, ETH_P_IP | ETH_P_IPV6))
        })
    }
}

fn masked(
    text: &str,
    value: impl Fn(&str) -> Option<u128>,
    mask: impl Fn(&str) -> Option<u128>,
    width: u32,
) -> Option<(u128, u128)> {
    match text.split_once('/') {
        Some((before, behind)) => Some((value(before)?, mask(behind)?)),
        None => Some((value(text)?, policy_lang::values::max_value(width))),
    }
}

/// tc reads these numbers as decimal or, with `0x`, as hexadecimal; a leading zero it takes for neither.
fn byte(text: &str) -> Option<u128> {
    if text.len() > 1 && text.starts_with('0') && !text.starts_with("0x") {
        return None;
    }
    number(text).filter(|&n| n <= 0xff).map(u128::from)
}

/// What tc reads as hexadecimal whether or not it says so; here it has to.
fn hexadecimal_byte(text: &str) -> Option<u128> {
    byte(text).filter(|_| text.starts_with("0x"))
}

/// What tc reads as decimal only.
fn decimal_byte(text: &str) -> Option<u128> {
    byte(text).filter(|_| !text.starts_with("0x"))
}

fn hardware(text: &str) -> Option<u128> {
    let mut value = 0;
    let mut count = 0;
    for part in text.split(':') {
        if !matches!(part.len(), 1 | 2) || !part.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        value = value << 8 | u128::from_str_radix(part, 16).ok()?;
        count += 1;
    }
    (count == 6).then_some(value)
}

/// A mask as an address, or how many bits from the first on.
fn hardware_mask(text: &str) -> Option<u128> {
    let leading = |bits: u32| {
        let all = policy_lang::values::max_value(48);
        all & !(all.checked_shr(bits).unwrap_or(0))
    };
    let count = || decimal(text).filter(|bits| (1..=48).contains(bits));
    hardware(text).or_else(|| count().map(leading))
}

fn prefix(text: &str, v6: bool) -> Option<(u128, u128)> {
    let width: u32 = if v6 { 128 } else { 32 };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => {
            if length.is_empty() || !length.chars().all(|c| c.is_ascii_digit()) {
                return None;
            }
            (address, length.parse().ok().filter(|n| *n <= width)?)
        }
        None => (text, width),
    };
    let value = if v6 {
        address.parse::<Ipv6Addr>().ok()?.to_bits()
    } else {
        address.parse::<Ipv4Addr>().ok()?.to_bits().into()
    };
    let full = policy_lang::values::max_value(width);
    let free = match width - length {
        0 => 0,
        free => policy_lang::values::max_value(free),
    };
    Some((value & full & !free, full & !free))
}

/// A port, or a range of at least two: tc refuses `5-5`, and port 0 anywhere.
fn ports(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let zero = text.len() > 1 && text.starts_with('0');
        let port = (plain && !zero).then(|| text.parse().ok()).flatten();
        port.filter(|&port: &u16| port != 0)
    };
    match text.split_once('-') {
        Some((low, high)) => {
            let (low, high) = (port(low)?, port(high)?);
            (low < high).then_some((low, high))
        }
        None => port(text).map(|port| (port, port)),
    }
}

//! Random rulesets in nft's notation, written around a frame so that some rules meet it.
//!
//! Left out is what nft 1.0.6 lists as something else: `ether type` next to network fields, typed
//! fields of odd width in concatenations, lengths in concatenations.

use std::fmt::Write;

/// A small random generator (splitmix64), so that a failure can be repeated.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A frame as a rule sees it, only to pick values that occur.
struct View<'frame> {
    frame: &'frame [u8],
    network: &'frame [u8],
}

impl<'frame> View<'frame> {
    fn new(frame: &'frame [u8]) -> Self {
        let tagged = matches!(frame[12..14], [0x81, 0] | [0x88, 0xa8]);
        let at = if tagged { 18 } else { 14 };
        Self {
            frame,
            network: frame.get(at..).unwrap_or_default(),
        }
    }

    /// The bits of the network header, zeros behind its end; now and then something near.
    fn bits(&self, dice: &mut Dice, bit: u64, width: u64) -> u64 {
        let byte = |at: u64| self.network.get(at as usize).copied().unwrap_or(0);
        let value = (bit..bit + width).fold(0, |value, at| {
            value << 1 | u64::from(byte(at / 8) >> (7 - at % 8) & 1)
        });
        near(dice, value, width)
    }

    fn word(&self, at: usize) -> u64 {
        let bytes = self.frame.get(at..at + 2).unwrap_or(&[0, 0]);
        u64::from(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

fn near(dice: &mut Dice, value: u64, width: u64) -> u64 {
    let max = u64::MAX >> (64 - width);
    match dice.below(8) {
        0 => value.saturating_add(1).min(max),
        1 => value.saturating_sub(1),
        2 => dice.next() & max,
        _ => value,
    }
}

/// What values are compared with: `5`, `< 5`, `!= 3-9`, `{ 3, 7-9 }`
fn against(dice: &mut Dice, value: u64, width: u64) -> String {
    let max = u64::MAX >> (64 - width);
    let up = dice.below(40);
    let high = value.saturating_add(up).min(max);
    let above = high.saturating_add(2);
    match dice.below(9) {
        0 => format!("!= {value}"),
        1 => format!("< {}", value.max(1)),
        2 => format!(">= {value}"),
        3 if value < high => format!("{value}-{high}"),
        4 if value < high => format!("!= {value}-{high}"),
        5 if above < max => format!("{{ {value}, {above}-{max} }}"),
        6 if above < max => format!("!= {{ {value}, {above} }}"),
        7 => format!("{value:#x}"),
        _ => value.to_string(),
    }
}

fn raw(dice: &mut Dice, view: &View<'_>) -> String {
    let width = dice.of(&[8, 8, 16, 16, 32, 4, 13, 24, 1]);
    let bit = match width {
        4 | 1 => dice.below(120),
        13 => 51,
        _ => dice.below(44) * 8,
    };
    let value = view.bits(dice, bit, width);
    if dice.below(4) == 0 && width.is_multiple_of(8) {
        let mask = dice.of(&[0x0f, 0xf0, 0xff, 0x5a, 0xc0, 1]);
        let operator = dice.of(&["==", "!="]);
        return format!("@nh,{bit},{width} & {mask} {operator} {}", value & mask);
    }
    format!("@nh,{bit},{width} {}", against(dice, value, width))
}

fn length(dice: &mut Dice, view: &View<'_>) -> String {
    let value = near(dice, view.network.len() as u64, 8);
    format!("meta length {}", against(dice, value, 11))
}

fn protocol(dice: &mut Dice) -> String {
    let value = dice.of(&["ip", "ip6", "vlan", "8021ad", "0x0004", "0x0001", "0-0x5ff"]);
    match dice.below(3) {
        // With it, raw payload is listed as fields of ARP.
        0 => "meta protocol != arp".to_owned(),
        1 => format!("meta protocol != {value}"),
        _ => format!("meta protocol {value}"),
    }
}

fn link(dice: &mut Dice, view: &View<'_>) -> String {
    let at = [0, 2, 4, 6, 10, 12, 12, 12, 14, 14, 16, 16, 18, 20][dice.below(14) as usize];
    // Where the field is a length, the kernel shows a number of its own instead.
    let value = near(dice, view.word(at), 16);
    let value = if dice.below(8) == 0 {
        dice.below(5)
    } else {
        value
    };
    match dice.below(5) {
        0 => format!("@ll,{},8 {}", at * 8, against(dice, value >> 8, 8)),
        1 => format!("@ll,{},16 & 0x0fff == {}", at * 8, value & 0xfff),
        _ => format!("@ll,{},16 {}", at * 8, against(dice, value, 16)),
    }
}

fn address(value: u64) -> String {
    std::net::Ipv4Addr::from_bits(value as u32).to_string()
}

fn ipv4(dice: &mut Dice, view: &View<'_>) -> String {
    let (name, bit, width) = dice.of(&[
        ("version", 0, 4),
        ("hdrlength", 4, 4),
        ("dscp", 8, 6),
        ("ecn", 14, 2),
        ("length", 16, 16),
        ("id", 32, 16),
        ("frag-off", 48, 16),
        ("ttl", 64, 8),
        ("protocol", 72, 8),
        ("saddr", 96, 32),
        ("daddr", 128, 32),
    ]);
    let value = view.bits(dice, bit, width);
    if width < 32 {
        return format!("ip {name} {}", against(dice, value, width));
    }
    let (here, there) = (address(value), address(value.saturating_add(300)));
    let prefix = [8, 13, 16, 24, 31, 32][dice.below(6) as usize];
    match dice.below(6) {
        0 => format!("ip {name} {here}/{prefix}"),
        1 => format!("ip {name} != {here}/{prefix}"),
        2 if value < 0xffff_0000 => format!("ip {name} {here}-{there}"),
        3 if value < 0xffff_0000 => format!("ip {name} {{ {here}, {there}/31 }}"),
        4 => format!("ip {name} {{ {here}/{prefix} }}"),
        _ => format!("ip {name} != {here}"),
    }
}

fn ipv6(dice: &mut Dice, view: &View<'_>) -> String {
    let (name, bit, width) = dice.of(&[
        ("version", 0, 4),
        ("dscp", 4, 6),
        ("ecn", 10, 2),
        ("flowlabel", 12, 20),
        ("length", 32, 16),
        ("nexthdr", 48, 8),
        ("hoplimit", 56, 8),
        ("saddr", 64, 64),
    ]);
    let value = view.bits(dice, bit, width);
    if width < 64 {
        return format!("ip6 {name} {}", against(dice, value, width));
    }
    let low = view.bits(dice, 128, 64);
    let whole = u128::from(value) << 64 | u128::from(low);
    let prefix = [16, 32, 61, 64, 127, 128][dice.below(6) as usize];
    format!(
        "ip6 saddr {}/{prefix}",
        std::net::Ipv6Addr::from_bits(whole)
    )
}

fn tag(dice: &mut Dice, view: &View<'_>) -> String {
    let tci = near(dice, view.word(14), 16);
    match dice.below(4) {
        0 => format!("vlan pcp {}", against(dice, tci >> 13, 3)),
        1 => format!(
            "vlan type {}",
            dice.of(&["ip", "ip6", "0x8100", "< 0x0600", "0x88a8", "4"])
        ),
        _ => format!("vlan id {}", against(dice, tci & 0xfff, 12)),
    }
}

/// A lookup of two or three raw parts.
fn concatenation(dice: &mut Dice, view: &View<'_>, verdicts: bool) -> String {
    let first = dice.of(&["@nh,72,8", "@nh,48,8", "@nh,0,8"]);
    let bit = dice.of(&[160, 176, 320, 336, 16]);
    let type_bit = first[4..first.len() - 2].parse().expect("a bit");
    let (kind, port) = (view.bits(dice, type_bit, 8), view.bits(dice, bit, 16));
    let high = port.saturating_add(dice.below(5000)).min(65535);
    let other = (kind + 1) % 256;
    let (one, two) = if verdicts {
        (verdict(dice), verdict(dice))
    } else {
        (String::new(), String::new())
    };
    let colon = if verdicts { " : " } else { "" };
    let sign = match (verdicts, dice.below(4)) {
        (true, _) => "vmap ",
        (false, 0) => "!= ",
        _ => "",
    };
    format!(
        "{first} . @nh,{bit},16 {sign}{{ {kind} . {port}-{high}{colon}{one}, {other} . {port}{colon}{two} }}"
    )
}

/// A map from the leading bits of a field to verdicts.
fn leading_bits(dice: &mut Dice, view: &View<'_>) -> String {
    let (field, bit, width) = dice.of(&[
        ("ip saddr", 96, 32),
        ("ip daddr", 128, 32),
        ("@nh,128,32", 128, 32),
        ("@nh,160,16", 160, 16),
        ("@nh,336,16", 336, 16),
    ]);
    let free = dice.below(width) as u32;
    let mask = (u64::MAX << free) & (u64::MAX >> (64 - width));
    let here = view.bits(dice, bit, width) & mask;
    let there = (here ^ (1 << free)) & mask;
    let (one, two) = (verdict(dice), verdict(dice));
    if field.starts_with("ip") {
        let [mask, here, there] = [mask, here, there].map(address);
        return format!("{field} & {mask} vmap {{ {here} : {one}, {there} : {two} }}");
    }
    format!("{field} & {mask:#x} vmap {{ {here} : {one}, {there} : {two} }}")
}

fn verdict(dice: &mut Dice) -> String {
    dice.of(&[
        "accept",
        "accept",
        "return",
        "continue",
        "jump sub",
        "goto sub",
        "goto last",
    ])
    .to_owned()
}

fn ending(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => "fwd to \"ifb0\"".to_owned(),
        1 => "counter accept comment \"x # }\"".to_owned(),
        _ => verdict(dice),
    }
}

fn rule(dice: &mut Dice, view: &View<'_>, calls: bool) -> String {
    let kind = dice.below(10);
    let mut parts = Vec::new();
    for _ in 0..=dice.below(3) {
        let free = dice.below(6);
        parts.push(match (kind, free) {
            (_, 0) => length(dice, view),
            (0..4, 1) => protocol(dice),
            (9, _) => tag(dice, view),
            (4..6, 1..5) => ipv4(dice, view),
            (6, 1..5) => ipv6(dice, view),
            (_, 1 | 2) => link(dice, view),
            (_, 3) => concatenation(dice, view, false),
            _ => raw(dice, view),
        });
    }
    if kind < 9 && calls && dice.below(4) == 0 {
        parts.push(match dice.below(2) {
            0 => concatenation(dice, view, true),
            _ => leading_bits(dice, view),
        });
        return parts.join(" ");
    }
    let ending = ending(dice);
    if !calls && (ending.starts_with("jump") || ending.starts_with("goto")) {
        parts.push("return".to_owned());
    } else {
        parts.push(ending);
    }
    parts.join(" ")
}

/// A table with a chain on `vif0`, two that it calls, and a set.
pub(super) fn ruleset(dice: &mut Dice, frames: &[Vec<u8>]) -> String {
    let mut text = String::from("table netdev g {\n");
    let mut chain = |dice: &mut Dice, head: &str, rules: u64, calls: bool| {
        let _ = writeln!(text, "chain {head}");
        for _ in 0..rules {
            let frame = &frames[dice.below(frames.len() as u64) as usize];
            let _ = writeln!(text, "{}", rule(dice, &View::new(frame), calls));
        }
        text.push_str("}\n");
    };
    chain(dice, "sub {", 2, false);
    chain(dice, "last {", 1, false);
    let policy = dice.of(&["accept", "accept", "accept", "drop"]);
    let head = format!("i {{ type filter hook ingress device vif0 priority 0; policy {policy};");
    chain(dice, &head, 5, true);
    if dice.below(2) == 0 {
        text.truncate(text.trim_end().len() - 1);
        text.push_str("fwd to \"ifb0\"\n}\n");
    }
    text.push_str("}\n");
    text
}

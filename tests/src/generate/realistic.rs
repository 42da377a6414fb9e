//! Large policies as operators write them: prefix lists, port ranges, a few services by name.
//!
//! The same number of rules always gives the same text. The rules are disjoint: each has a source
//! prefix of its own.

use std::fmt::Write as _;

use policy_lang::Verdict;

/// A policy of `rules` disjoint rules with this verdict; all else gets the other one.
#[must_use]
pub fn policy(rules: usize, verdict: Verdict) -> String {
    let default = other(verdict).keyword();
    let mut text = String::from("# Made for benchmarks: prefix lists and port ranges.\n");
    let verdict = verdict.keyword();
    for Rule {
        protocol,
        source,
        port,
        low,
        high,
    } in (0..rules).map(rule)
    {
        let _ = match low == high {
            true => writeln!(text, "{verdict} {protocol} src {source} {port} {low};"),
            false => writeln!(
                text,
                "{verdict} {protocol} src {source} {port} {low}-{high};"
            ),
        };
    }
    let _ = writeln!(text, "default {default};");
    text
}

/// A policy of `rules` disjoint rules with this verdict, each a prefix and one of fifty ports; all else gets
/// the other one. A program of BPF has room for 1,000 of them, since many share their last steps.
#[must_use]
pub fn prefixes(rules: usize, verdict: Verdict) -> String {
    let default = other(verdict).keyword();
    let mut text = String::from("# Made for benchmarks: prefixes and ports.\n");
    for rule in 0..rules {
        let (high, low) = (rule >> 8 & 0xff, rule & 0xff);
        let port = 1024 + rule % 50;
        let _ = writeln!(
            text,
            "{} udp src 10.{high}.{low}.0/24 dport {port};",
            verdict.keyword()
        );
    }
    let _ = writeln!(text, "default {default};");
    text
}

const fn other(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Buffer => Verdict::Bypass,
        Verdict::Bypass => Verdict::Buffer,
    }
}

/// What a rule of [`policy`] asks for, all of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// A prefix, or an address of IPv4.
    pub source: String,
    /// `sport` or `dport`.
    pub port: &'static str,
    /// The lowest port.
    pub low: usize,
    /// The highest port, which may be the same.
    pub high: usize,
}

/// The rule of [`policy`] with this number. Every 8th is about IPv6, every 16th about TCP; the prefixes are
/// /24, /28 and /56.
#[must_use]
pub fn rule(number: usize) -> Rule {
    let (high, low) = (number >> 8 & 0xff, number & 0xff);
    let from = 10_000 + number % 97 * 200;
    let to = from + 99 + number % 5 * 20;
    let of = |protocol, source, port, low, high| Rule {
        protocol,
        source,
        port,
        low,
        high,
    };
    match number % 16 {
        3 | 11 => {
            let source = format!("2001:db8:{high:x}:{low:02x}00::/56");
            of("udp", source, "sport", from, to)
        }
        7 => {
            let port = 1024 + number % 500;
            of("tcp", format!("10.{high}.{low}.0/24"), "dport", port, port)
        }
        5 => of("udp", format!("172.16.{high}.{low}"), "dport", from, to),
        9 => of("udp", format!("10.{high}.{low}.16/28"), "sport", from, to),
        _ => of("udp", format!("10.{high}.{low}.0/24"), "sport", from, to),
    }
}

/// The rules of [`policy`] that are about IPv4 and UDP, as a naive line per rule of nftables.
#[must_use]
pub fn naive_nft(rules: usize, vif: &str) -> String {
    let mut text = format!(
        "table netdev naive {{\nchain c {{\ntype filter hook ingress device \"{vif}\" priority 0; policy accept;\n"
    );
    for rule in 0..rules {
        let (high, low) = (rule >> 8 & 0xff, rule & 0xff);
        let from = 10_000 + rule % 97 * 200;
        let _ = writeln!(
            text,
            "ip saddr 10.{high}.{low}.0/24 udp sport {from}-{} drop",
            from + 99
        );
    }
    text.push_str("}\n}\n");
    text
}

/// The same as linear u32 filters, one per rule, with three keys each; they hold on `ifb`.
#[must_use]
pub fn naive_u32(rules: usize, vif: &str, ifb: &str) -> String {
    let mut text = String::new();
    for rule in 0..rules {
        let (high, low) = (rule >> 8 & 0xff, rule & 0xff);
        let handle = rule % 2000 + 1;
        let pref = 10 + rule / 2000;
        let _ = writeln!(
            text,
            "filter add dev {vif} ingress pref {pref} protocol ip handle ::{handle:x} u32 \
             match ip protocol 17 0xff match ip src 10.{high}.{low}.0/24 \
             match ip sport {} 0xff00 flowid :1 action mirred egress redirect dev {ifb}",
            rule % 97 * 256
        );
    }
    text
}

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
    for rule in 0..rules {
        line(&mut text, rule, verdict.keyword());
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

/// Every 8th rule is about IPv6, every 16th about TCP; the prefixes are /24, /28 and /56.
fn line(text: &mut String, rule: usize, verdict: &str) {
    let (high, low) = (rule >> 8 & 0xff, rule & 0xff);
    let from = 10_000 + rule % 97 * 200;
    let to = from + 99 + rule % 5 * 20;
    let _ = match rule % 16 {
        3 | 11 => writeln!(
            text,
            "{verdict} udp src 2001:db8:{high:x}:{low:02x}00::/56 sport {from}-{to};"
        ),
        7 => writeln!(
            text,
            "{verdict} tcp src 10.{high}.{low}.0/24 dport {};",
            1024 + rule % 500
        ),
        5 => writeln!(
            text,
            "{verdict} udp src 172.16.{high}.{low} dport {from}-{to};"
        ),
        9 => writeln!(
            text,
            "{verdict} udp src 10.{high}.{low}.16/28 sport {from}-{to};"
        ),
        _ => writeln!(
            text,
            "{verdict} udp src 10.{high}.{low}.0/24 sport {from}-{to};"
        ),
    };
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

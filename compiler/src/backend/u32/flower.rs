//! Blocks that flower decides: a chain of their own behind the u32 guard.
//!
//! The guard is what flower can't ask: version, header length, options, fragments, the ends of
//! headers (`__skb_flow_dissect` in net/core/flow_dissector.c ignores the version and walks extension
//! headers). So a chain gets plain packets of one transport only, and what flower finds in those is
//! what stands in them. A block that asks for more than flower sees stays with u32.
//!
//! Facts from net/sched/cls_flower.c: filters of one pref are looked up mask by mask and not in the
//! order of their handles, so a pref has filters of one verdict only; two of the same keys are refused.
//! From tc/f_flower.c: a range of one port is refused, port 0 too, and ports are for TCP, UDP and
//! SCTP. Until 2025 the kernel mistook one port beside a range of the other, so that no filter asks
//! for both.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use policy_lang::Verdict;
use policy_lang::field::{Family, Field, Transport};
use policy_lang::values::{Range, ValueSet};

use super::cover::{Masked, cover, prefixes};
use super::guard::Outer;
use crate::ir::{FieldBox, Shape};

/// Most filters of one chain: more are left to u32.
const MOST: usize = 8_192;

/// Most masks in one chain. Each is a lookup by hash, of all that a packet costs in a chain the most: with one a
/// packet takes 0.4 of its own time more, and 0.16 for each further one. A block that takes more is left to u32, whose
/// tables decide about any number of rules in a few steps.
const MOST_MASKS: usize = 1;

/// Most filters of one chain with ranges of ports, which are tried one after the other.
const MOST_RANGES: usize = 8;

/// What a chain is about: the words that all its filters begin with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    /// What tc compares the outermost ethertype with.
    pub(super) protocol: &'static str,
    /// The ethertype behind a tag, if there is one.
    inner: Option<&'static str>,
    transport: &'static str,
    ports: bool,
    icmp: bool,
}

/// Filters with one verdict, which the kernel may try in any order.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What all of them decide.
    pub(super) verdict: Verdict,
    /// The words behind `flower`, and the policy rule that they come from.
    pub(super) filters: Vec<(String, usize)>,
}

impl Group {
    /// The masks that the kernel looks for one after the other (`fl_mask_lookup` of net/sched/cls_flower.c).
    /// Filters that differ in nothing but values share one, and so do those with other ranges.
    fn masks(&self) -> usize {
        let mask_of = |word: &str| match word.split_once('/') {
            Some((_, mask)) => format!("/{mask}"),
            None if is_range(word) => String::from("-"),
            None if is_value(word) => String::from("="),
            None => word.to_owned(),
        };
        let mask = |(words, _): &(String, usize)| -> String {
            words.split_whitespace().map(mask_of).collect()
        };
        let masks: BTreeSet<String> = self.filters.iter().map(mask).collect();
        masks.len()
    }

    /// The filters that the kernel tries one after the other below their mask (`fl_range_port_dst_cmp`).
    fn ranges(&self) -> usize {
        let has_range = |(words, _): &&(String, usize)| words.split_whitespace().any(is_range);
        self.filters.iter().filter(has_range).count()
    }
}

fn is_value(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

fn is_range(word: &str) -> bool {
    is_value(word) && word.contains('-')
}

/// The chain for the frames of a guard; `None` if they are not plain packets that flower looks into.
pub(super) fn chain(outer: Outer, shape: Shape) -> Option<Chain> {
    let Shape::Plain {
        family,
        transport,
        payload: 0,
    } = shape
    else {
        return None;
    };
    let ethertype = match family {
        Family::V4 => "ip",
        Family::V6 => "ipv6",
    };
    let (protocol, inner) = match outer {
        Outer::Untagged => (ethertype, None),
        Outer::Tag => ("802.1Q", Some(ethertype)),
        Outer::ServiceTag => return None,
    };
    let (transport, icmp) = match transport {
        Transport::Udp => ("udp", false),
        Transport::Tcp => ("tcp", false),
        Transport::Sctp => ("sctp", false),
        Transport::Icmp => ("icmp", true),
        Transport::Icmp6 => ("icmpv6", true),
        Transport::UdpLite => return None,
    };
    Some(Chain {
        protocol,
        inner,
        transport,
        ports: !icmp,
        icmp,
    })
}

impl Chain {
    /// The rules as groups in order; `None` if flower does not see what they ask for.
    pub(super) fn groups(
        &self,
        boxes: impl Iterator<Item = (Verdict, usize, FieldBox)>,
        default: Verdict,
    ) -> Option<Vec<Group>> {
        let mut groups: Vec<Group> = Vec::new();
        let mut count = 0;
        for (verdict, source, one) in boxes {
            let filters = self.filters(&one)?;
            count += filters.len();
            if count > MOST {
                return None;
            }
            if groups.last().is_none_or(|group| group.verdict != verdict) {
                groups.push(Group {
                    verdict,
                    filters: Vec::new(),
                });
            }
            let Some(group) = groups.last_mut() else {
                continue;
            };
            for words in filters {
                group.filters.push((words, source));
            }
        }
        // What comes last and decides as the default does is not needed.
        if groups.last().is_some_and(|group| group.verdict == default) {
            groups.pop();
        }
        for group in &mut groups {
            let mut seen = BTreeSet::new();
            group
                .filters
                .retain(|(words, _)| seen.insert(words.clone()));
        }
        let masks: usize = groups.iter().map(Group::masks).sum();
        let ranges: usize = groups.iter().map(Group::ranges).sum();
        (masks <= MOST_MASKS && ranges <= MOST_RANGES).then_some(groups)
    }

    /// The filters whose union is a box.
    fn filters(&self, one: &FieldBox) -> Option<Vec<String>> {
        let inner = self.inner.map(|inner| format!(" vlan_ethtype {inner}"));
        let mut filters = vec![format!(
            "{} ip_proto {}",
            inner.unwrap_or_default(),
            self.transport
        )];
        if self.mixes_ports(one) {
            return None;
        }
        for (field, values) in &one.fields {
            let words = match field {
                // One byte holds both.
                Field::Dscp | Field::Ecn => continue,
                field => self.words(*field, values)?,
            };
            filters = product(&filters, &words)?;
        }
        let tos = traffic_class(one);
        product(&filters, &tos)
    }

    fn words(&self, field: Field, values: &ValueSet) -> Option<Vec<String>> {
        let width = field.width();
        let masked =
            |word: &'static str| move |one: Masked| format!(" {word} {}/{}", one.value, one.mask);
        Some(match field {
            Field::SrcMac | Field::DstMac => {
                let word = if field == Field::SrcMac {
                    "src_mac"
                } else {
                    "dst_mac"
                };
                let text = |one: Masked| format!(" {word} {}/{}", mac(one.value), mac(one.mask));
                cover(values, width).into_iter().map(text).collect()
            }
            Field::Src4 | Field::Dst4 | Field::Src6 | Field::Dst6 => {
                let word = match field {
                    Field::Src4 | Field::Src6 => "src_ip",
                    _ => "dst_ip",
                };
                let mut words = Vec::new();
                for one in prefixes(values, width) {
                    let address = if width == 32 {
                        Ipv4Addr::from(u32::try_from(one.value).ok()?).to_string()
                    } else {
                        Ipv6Addr::from(one.value).to_string()
                    };
                    words.push(format!(" {word} {address}/{}", one.mask.count_ones()));
                }
                words
            }
            Field::Ttl => {
                let text = |one: Masked| format!(" ip_ttl {:#04x}/{:#04x}", one.value, one.mask);
                cover(values, width).into_iter().map(text).collect()
            }
            Field::Sport | Field::Dport if self.ports && !values.contains(0) => {
                let word = if field == Field::Sport {
                    "src_port"
                } else {
                    "dst_port"
                };
                let text = |range: &Range| {
                    if range.low == range.high {
                        format!(" {word} {}", range.low)
                    } else {
                        format!(" {word} {}-{}", range.low, range.high)
                    }
                };
                values.ranges().iter().map(text).collect()
            }
            Field::IcmpType if self.icmp => cover(values, width)
                .into_iter()
                .map(masked("type"))
                .collect(),
            Field::IcmpCode if self.icmp => cover(values, width)
                .into_iter()
                .map(masked("code"))
                .collect(),
            _ => return None,
        })
    }

    fn mixes_ports(&self, one: &FieldBox) -> bool {
        let ports = [Field::Sport, Field::Dport].map(|field| one.fields.get(&field));
        let [Some(source), Some(destination)] = ports else {
            return false;
        };
        let mut single = [source, destination]
            .into_iter()
            .flat_map(ValueSet::ranges)
            .map(|range| range.low == range.high);
        let first = single.next();
        single.any(|other| Some(other) != first)
    }
}

fn traffic_class(one: &FieldBox) -> Vec<String> {
    let covered = |field: Field| match one.fields.get(&field) {
        Some(values) => cover(values, field.width()),
        None => vec![Masked { value: 0, mask: 0 }],
    };
    let mut words = Vec::new();
    for dscp in covered(Field::Dscp) {
        for ecn in covered(Field::Ecn) {
            let (value, mask) = (dscp.value << 2 | ecn.value, dscp.mask << 2 | ecn.mask);
            let mut text = String::new();
            if mask != 0 {
                // Writing to a string can't fail.
                let _ = write!(text, " ip_tos {value:#04x}/{mask:#04x}");
            }
            words.push(text);
        }
    }
    words
}

fn product(first: &[String], then: &[String]) -> Option<Vec<String>> {
    if first.len().saturating_mul(then.len()) > MOST {
        return None;
    }
    let pairs = first
        .iter()
        .flat_map(|a| then.iter().map(move |b| format!("{a}{b}")));
    Some(pairs.collect())
}

fn mac(number: u128) -> String {
    let bytes = number.to_be_bytes();
    let bytes = bytes.iter().skip(10).map(|byte| format!("{byte:02x}"));
    bytes.collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_ranges_share_a_mask() {
        let counted = |words: &[&str]| {
            let filters = words
                .iter()
                .map(|words| (format!(" ip_proto udp {words}"), 1));
            let group = Group {
                verdict: Verdict::Buffer,
                filters: filters.collect(),
            };
            (group.masks(), group.ranges())
        };
        assert_eq!(counted(&["dst_port 7", "dst_port 8"]), (1, 0));
        assert_eq!(counted(&["dst_port 7", "src_port 8"]), (2, 0));
        assert_eq!(
            counted(&["src_ip 10.0.0.0/24", "src_ip 10.0.1.0/24"]),
            (1, 0)
        );
        assert_eq!(
            counted(&["src_ip 10.0.0.0/24", "src_ip 10.0.0.0/16"]),
            (2, 0)
        );
        let ranges = [
            "src_ip 10.0.0.0/24 dst_port 7-9",
            "src_ip 10.0.1.0/24 dst_port 7-19",
        ];
        assert_eq!(counted(&ranges), (1, 2));
        assert_eq!(counted(&["dst_port 7", "dst_port 8-9"]), (2, 1));
        assert_eq!(counted(&["ip_tos 0x10/0xfc", "ip_tos 0x20/0x3"]), (2, 0));
    }
}

//! Which frames belong together, and what a policy does to each such flow: the table of `trace`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use policy_lang::field::{Family, Field};
use policy_lang::packet::Packet;
use policy_lang::{Decision, Reason, Verdict};

/// What the frames of a flow have in common. One direction: replies are another flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// VLAN ID of the one 802.1Q tag that the language sees through.
    pub vlan: Option<u16>,
    /// Whose frames.
    pub ends: Ends,
}

/// The ends of a flow, as far as the headers of its frames tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ends {
    /// An IP header is there.
    Ip {
        /// Source address.
        src: IpAddr,
        /// Destination address, of the same family.
        dst: IpAddr,
        /// IPv4 protocol or next header of the fixed IPv6 header.
        protocol: u8,
        /// Whether the frames are fragments, which have no ports in the language.
        fragment: bool,
        /// Source and destination port, if the language sees them.
        ports: Option<(u16, u16)>,
    },
    /// Some other Ethernet frame, by its ethertype.
    Ethernet(u16),
    /// Too short for an Ethernet header.
    Short,
}

impl FlowKey {
    /// The flow that `frame` belongs to. Every byte string belongs to one.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        let packet = Packet::new(frame);
        let vlan = number(packet, Field::VlanId);
        let other = || number(packet, Field::Ethertype).map_or(Ends::Short, Ends::Ethernet);
        Self {
            vlan,
            ends: ip_ends(packet).unwrap_or_else(other),
        }
    }
}

fn ip_ends(packet: Packet<'_>) -> Option<Ends> {
    let (src, dst): (IpAddr, IpAddr) = match packet.family()? {
        Family::V4 => {
            let address = |field| number(packet, field).map(Ipv4Addr::from_bits);
            (address(Field::Src4)?.into(), address(Field::Dst4)?.into())
        }
        Family::V6 => {
            let address = |field| packet.read(field).map(Ipv6Addr::from_bits);
            (address(Field::Src6)?.into(), address(Field::Dst6)?.into())
        }
    };
    let ports = number(packet, Field::Sport).zip(number(packet, Field::Dport));
    let protocol = number(packet, Field::Protocol)?;
    Some(Ends::Ip {
        src,
        dst,
        protocol,
        fragment: packet.fragment(),
        ports,
    })
}

fn number<T: TryFrom<u128>>(packet: Packet<'_>, field: Field) -> Option<T> {
    T::try_from(packet.read(field)?).ok()
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ends {
            Ends::Ip {
                src,
                dst,
                protocol,
                fragment,
                ports,
            } => {
                match protocol_name(protocol, src) {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "proto {protocol}")?,
                }
                match ports {
                    Some((sport, dport)) => {
                        let (src, dst) = (SocketAddr::new(src, sport), SocketAddr::new(dst, dport));
                        write!(f, " {src} > {dst}")?;
                    }
                    None => write!(f, " {src} > {dst}")?,
                }
                if fragment {
                    f.write_str(" fragments")?;
                }
            }
            Ends::Ethernet(policy_lang::field::ETHERTYPE_ARP) => f.write_str("arp")?,
            Ends::Ethernet(ethertype) => write!(f, "ethertype {ethertype:#06x}")?,
            Ends::Short => f.write_str("too short for ethernet")?,
        }
        self.vlan.map_or(Ok(()), |id| write!(f, " vlan {id}"))
    }
}

/// The language's keyword for a transport, where it has one in that family.
fn protocol_name(protocol: u8, address: IpAddr) -> Option<&'static str> {
    match (protocol, address) {
        (1, IpAddr::V4(_)) => Some("icmp"),
        (6, _) => Some("tcp"),
        (17, _) => Some("udp"),
        (58, IpAddr::V6(_)) => Some("icmp6"),
        (132, _) => Some("sctp"),
        (136, _) => Some("udplite"),
        _ => None,
    }
}

/// What a policy does to the frames of a flow, or to all frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of frames.
    pub packets: u64,
    /// Their bytes on the wire, from the destination address on.
    pub bytes: u64,
    /// Frames that are held until the epoch commits.
    pub buffered: u64,
    /// Their bytes on the wire.
    pub buffered_bytes: u64,
    /// Frames that the capture cut: their verdict is that on the captured bytes only.
    pub cut: u64,
    /// Frames by what decided about them: the index of a rule, or none for the default.
    pub decided_by: BTreeMap<Option<usize>, u64>,
}

impl Totals {
    /// Frames that pass at once.
    #[must_use]
    pub fn bypassed(&self) -> u64 {
        self.packets.saturating_sub(self.buffered)
    }

    fn add(&mut self, seen: Seen, decision: Decision) {
        self.packets += 1;
        self.bytes += u64::from(seen.wire_len);
        if decision.verdict == Verdict::Buffer {
            self.buffered += 1;
            self.buffered_bytes += u64::from(seen.wire_len);
        }
        self.cut += u64::from(seen.cut);
        let rule = match decision.reason {
            Reason::Rule(index) => Some(index),
            Reason::Default | Reason::NothingMatched => None,
        };
        *self.decided_by.entry(rule).or_default() += 1;
    }
}

/// What a capture says of a frame besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Length on the wire in bytes.
    pub wire_len: u32,
    /// Whether the captured bytes are fewer.
    pub cut: bool,
}

/// Flows in the order in which they began.
#[derive(Clone, Debug, Default)]
pub struct FlowTable {
    flows: Vec<(FlowKey, Totals)>,
    places: BTreeMap<FlowKey, usize>,
    totals: Totals,
}

impl FlowTable {
    /// Counts `frame`, on which `decision` was made.
    pub fn add(&mut self, frame: &[u8], seen: Seen, decision: Decision) {
        self.totals.add(seen, decision);
        let key = FlowKey::of(frame);
        let place = *self.places.entry(key).or_insert(self.flows.len());
        if place == self.flows.len() {
            self.flows.push((key, Totals::default()));
        }
        if let Some((_, totals)) = self.flows.get_mut(place) {
            totals.add(seen, decision);
        }
    }

    /// The flows, first seen first.
    #[must_use]
    pub fn flows(&self) -> &[(FlowKey, Totals)] {
        &self.flows
    }

    /// All flows together.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame_text::parse;

    fn key(text: &str) -> String {
        FlowKey::of(&parse(text).unwrap()).to_string()
    }

    #[test]
    fn flows_are_named_in_the_words_of_the_language() {
        for (frame, flow) in [
            (
                "udp 10.0.0.2:1 > 10.0.0.3:2 len 9 dscp ef",
                "udp 10.0.0.2:1 > 10.0.0.3:2",
            ),
            (
                "tcp [::1]:1 > [::2]:2 flags syn vlan 5",
                "tcp [::1]:1 > [::2]:2 vlan 5",
            ),
            (
                "udp 10.0.0.2:1 > 10.0.0.3:2 frag-later",
                "udp 10.0.0.2 > 10.0.0.3 fragments",
            ),
            (
                "udp 10.0.0.2:1 > 10.0.0.3:2 options 01010101",
                "udp 10.0.0.2 > 10.0.0.3",
            ),
            (
                "icmp 10.0.0.2 > 10.0.0.3 type 0 code 0",
                "icmp 10.0.0.2 > 10.0.0.3",
            ),
            ("ip6 ::1 > ::2 proto 1", "proto 1 ::1 > ::2"),
            ("arp", "arp"),
            ("ethertype 0x88cc", "ethertype 0x88cc"),
            ("00", "too short for ethernet"),
        ] {
            assert_eq!(key(frame), flow);
        }
    }

    #[test]
    fn flows_keep_the_order_in_which_they_began() {
        let mut table = FlowTable::default();
        for (text, verdict, reason) in [
            (
                "udp 10.0.0.9:1 > 10.0.0.1:2",
                Verdict::Bypass,
                Reason::Rule(1),
            ),
            ("arp", Verdict::Buffer, Reason::NothingMatched),
            (
                "udp 10.0.0.9:1 > 10.0.0.1:2 len 5",
                Verdict::Buffer,
                Reason::Rule(0),
            ),
        ] {
            let frame = parse(text).unwrap();
            let seen = Seen {
                wire_len: 100,
                cut: text == "arp",
            };
            table.add(&frame, seen, Decision { verdict, reason });
        }
        let (first, udp) = &table.flows()[0];
        assert_eq!(first.to_string(), "udp 10.0.0.9:1 > 10.0.0.1:2");
        assert_eq!(
            (udp.packets, udp.bytes, udp.buffered, udp.bypassed()),
            (2, 200, 1, 1)
        );
        assert_eq!(udp.decided_by, BTreeMap::from([(Some(0), 1), (Some(1), 1)]));
        assert_eq!(table.flows()[1].1.cut, 1);
    }

    proptest! {
        #[test]
        fn flows_add_up_to_all_frames(
            frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), any::<bool>(), 0..5_usize), 0..30)
        ) {
            let mut table = FlowTable::default();
            for (frame, hold, rule) in &frames {
                let verdict = if *hold { Verdict::Buffer } else { Verdict::Bypass };
                let seen = Seen { wire_len: 1000, cut: false };
                table.add(frame, seen, Decision { verdict, reason: Reason::Rule(*rule) });
            }
            let mut sum = Totals::default();
            for (_, flow) in table.flows() {
                sum.packets += flow.packets;
                sum.bytes += flow.bytes;
                sum.buffered += flow.buffered;
                sum.buffered_bytes += flow.buffered_bytes;
                for (rule, count) in &flow.decided_by {
                    *sum.decided_by.entry(*rule).or_default() += count;
                }
            }
            prop_assert_eq!(&sum, table.totals());
            prop_assert_eq!(sum.packets, u64::try_from(frames.len()).unwrap());
        }
    }
}

//! Which frames belong together, and what a policy does to each such flow: the table of `trace`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use policy_lang::field::{Family, Field};
use policy_lang::{Decision, Headers, Reason, Verdict};

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
        Headers::of(frame).as_ref().map_or(
            Self {
                vlan: None,
                ends: Ends::Short,
            },
            Self::with,
        )
    }

    /// The flow of a frame whose headers have been found.
    #[must_use]
    pub fn with(headers: &Headers<'_>) -> Self {
        let of_tag = headers.bytes(Field::VlanId, Family::V4);
        let id = |tag: [u8; 2]| u16::from_be_bytes(tag) & VLAN_ID;
        Self {
            vlan: of_tag.map(id),
            ends: ends(headers).unwrap_or(Ends::Short),
        }
    }
}

/// The lower bits of a tag, which are its VLAN ID.
const VLAN_ID: u16 = (1 << Field::VlanId.width()) - 1;

fn ends(headers: &Headers<'_>) -> Option<Ends> {
    let (src, dst, family): (IpAddr, IpAddr, _) = match headers.family() {
        Some(Family::V4) => {
            let address = |field| headers.bytes::<4>(field, Family::V4).map(IpAddr::from);
            (address(Field::Src4)?, address(Field::Dst4)?, Family::V4)
        }
        Some(Family::V6) => {
            let address = |field| headers.bytes::<16>(field, Family::V6).map(IpAddr::from);
            (address(Field::Src6)?, address(Field::Dst6)?, Family::V6)
        }
        None => {
            let ethertype = headers.bytes(Field::Ethertype, Family::V4)?;
            return Some(Ends::Ethernet(u16::from_be_bytes(ethertype)));
        }
    };
    let port = |field| headers.bytes(field, family).map(u16::from_be_bytes);
    let [protocol] = headers.bytes(Field::Protocol, family)?;
    Some(Ends::Ip {
        src,
        dst,
        protocol,
        fragment: headers.fragment(),
        ports: port(Field::Sport).zip(port(Field::Dport)),
    })
}

/// Flows differ in their addresses and ports, mostly.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let tag = u64::from(self.vlan.unwrap_or(u16::MAX)) << 8;
        match self.ends {
            Ends::Ip {
                src,
                dst,
                protocol,
                ports,
                ..
            } => {
                match (src, dst) {
                    (IpAddr::V4(src), IpAddr::V4(dst)) => {
                        state.write_u64(u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()));
                    }
                    (src, dst) => {
                        for address in [src, dst] {
                            if let IpAddr::V6(address) = address {
                                state.write_u128(address.to_bits());
                            }
                        }
                    }
                }
                let (sport, dport) = ports.unwrap_or_default();
                let ports = u64::from(sport) << 16 | u64::from(dport);
                state.write_u64(ports << 32 | tag | u64::from(protocol));
            }
            Ends::Ethernet(ethertype) => state.write_u64(u64::from(ethertype) << 32 | tag),
            Ends::Short => {}
        }
    }
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

    fn plus(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.buffered += other.buffered;
        self.buffered_bytes += other.buffered_bytes;
        self.cut += other.cut;
        for (rule, packets) in &other.decided_by {
            *self.decided_by.entry(*rule).or_default() += packets;
        }
    }
}

/// What a capture says of a frame besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which frame of the capture it is.
    pub number: u64,
    /// Length on the wire in bytes.
    pub wire_len: u32,
    /// Whether the captured bytes are fewer.
    pub cut: bool,
}

/// A flow and what became of it.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Whose frames.
    pub key: FlowKey,
    /// What a policy does to them.
    pub totals: Totals,
    /// The number of the first of them.
    began: u64,
}

/// Flows that are added up frame by frame.
#[derive(Clone, Debug, Default)]
pub struct FlowTable {
    flows: Vec<Flow>,
    /// Looked up, never gone through: its order is no one's.
    places: HashMap<FlowKey, usize>,
    /// Places of flows that were seen of late.
    recent: Recent,
}

/// A power of two.
const RECENT: usize = 4096;

/// Places by a few bits of their keys: of each such bits the place that was seen last.
#[derive(Clone, Debug)]
pub(crate) struct Recent(Vec<usize>);

impl Default for Recent {
    fn default() -> Self {
        Self(vec![usize::MAX; RECENT])
    }
}

impl Recent {
    /// Where the place of `key` may be noted, or that of another key is.
    pub(crate) fn place(&mut self, key: &impl Hash) -> Option<&mut usize> {
        let mut mixed = Mixer::default();
        key.hash(&mut mixed);
        // The upper bits of a product depend on all bits of its factors.
        let slot = usize::try_from(mixed.finish() >> 52).unwrap_or_default();
        self.0.get_mut(slot)
    }
}

/// A quick hash, for places where a collision costs no more than a longer way.
#[derive(Clone, Copy, Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
}

impl FlowTable {
    /// Counts a frame of the flow `key`, on which `decision` was made.
    pub fn add(&mut self, key: FlowKey, seen: Seen, decision: Decision) {
        let recent = self.recent.place(&key);
        if let Some(flow) = recent.as_ref().and_then(|at| self.flows.get_mut(**at))
            && flow.key == key
        {
            flow.totals.add(seen, decision);
            return;
        }
        let place = *self.places.entry(key).or_insert(self.flows.len());
        if let Some(recent) = recent {
            *recent = place;
        }
        if place == self.flows.len() {
            self.flows.push(Flow {
                key,
                totals: Totals::default(),
                began: seen.number,
            });
        }
        if let Some(flow) = self.flows.get_mut(place) {
            flow.totals.add(seen, decision);
        }
    }

    /// The flows of several tables together, in the order in which they began.
    #[must_use]
    pub fn join(tables: impl IntoIterator<Item = Self>) -> Vec<Flow> {
        let mut tables = tables.into_iter();
        let Self {
            mut flows,
            mut places,
            ..
        } = tables.next().unwrap_or_default();
        for flow in tables.flat_map(|table| table.flows) {
            let place = *places.entry(flow.key).or_insert(flows.len());
            match flows.get_mut(place) {
                Some(known) => {
                    known.totals.plus(&flow.totals);
                    known.began = known.began.min(flow.began);
                }
                None => flows.push(flow),
            }
        }
        flows.sort_by_key(|flow| flow.began);
        flows
    }
}

impl<'a> FromIterator<&'a Flow> for Totals {
    /// All flows together.
    fn from_iter<I: IntoIterator<Item = &'a Flow>>(flows: I) -> Self {
        let mut all = Self::default();
        for flow in flows {
            all.plus(&flow.totals);
        }
        all
    }
}

#[cfg(test)]
mod tests;

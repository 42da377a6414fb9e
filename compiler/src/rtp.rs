//! RTP streams in captured frames, found without configuration.
//!
//! A frame may be RTP if it is plain UDP with an RTP header (the language's `rtp`: first payload
//! byte 128 to 191, second no RTCP type). Such frames with the same addresses, ports, VLAN and
//! SSRC are a stream if
//! - the receiving end, or else the sending one, was announced as taking RTP by an SDP (RFC 8866)
//!   that the capture showed before, or
//! - there are at least [`FEWEST`] of them and most sequence numbers step ahead by one to three.
//!
//! An end announced as taking something else takes no stream. Clock rates come from the SDP of the
//! receiving end, or that of the sending end, or the static payload types of RFC 3551 section 6. Other
//! payload types have no known clock.
//!
//! [`Spotter`] looks at frames, in any thread and any order; [`Announced`] and [`Candidate`] want to
//! know what it spotted in the order in which the frames were sent.

mod sdp;

use std::collections::HashMap;
use std::net::SocketAddr;

use policy_lang::Headers;
use policy_lang::field::Transport;
use qdisc_model::metrics::Arrival;
use qdisc_model::metrics::quality::Codec;

use crate::flow::{Ends, FlowKey, Recent};

pub use sdp::Session;

/// Fewer packets than this, and not announced, are no stream.
pub const FEWEST: u64 = 4;

/// Steps of sequence numbers that a stream usually makes.
const USUAL_STEPS: std::ops::RangeInclusive<u16> = 1..=3;

/// The fields of an RTP header (RFC 3550 section 5.1) that tell when and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// Reads the header of a UDP payload, if it looks like RTP.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        let header: &[u8; 12] = payload.first_chunk()?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *header;
        // Of these are the value sets of `Media::Rtp`; a test compares them.
        let is_rtp = matches!(first, 128..=191) && !matches!(second, 192..=223);
        is_rtp.then_some(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// What the packets of a stream have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Addresses, ports and VLAN.
    pub flow: FlowKey,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// A packet of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// Its header.
    pub header: Header,
    /// The clock of its payload type in Hz, if known.
    pub clock_rate: Option<u32>,
}

impl RtpPacket {
    /// The packet as a receiver sees it that gets it at `at_ms`.
    #[must_use]
    pub fn arrival(&self, at_ms: f64) -> Arrival {
        Arrival {
            at_ms,
            sequence: self.header.sequence,
            timestamp: self.header.timestamp,
            payload_type: self.header.payload_type,
            marker: self.header.marker,
            clock_rate: self.clock_rate,
        }
    }
}

/// A stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpStream {
    /// Whose packets.
    pub key: StreamKey,
    /// Whether an SDP announced it.
    pub announced: bool,
}

/// What a frame has to say of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spotted<'frame> {
    /// It may be a packet of a stream: the number of its key, and its header.
    Packet(u32, Header),
    /// It describes a session, in this text.
    Description(&'frame [u8]),
}

/// Spots streams and descriptions of sessions in frames.
#[derive(Debug, Default)]
pub struct Spotter {
    keys: Vec<StreamKey>,
    /// Looked up, never gone through: its order is no one's.
    numbers: HashMap<StreamKey, u32>,
    search: sdp::Search,
    recent: Recent,
}

impl Spotter {
    /// Looks at a frame.
    pub fn look<'frame>(&mut self, headers: &Headers<'frame>) -> Option<Spotted<'frame>> {
        if let Some(header) = headers.payload().and_then(Header::of) {
            let key = StreamKey {
                flow: FlowKey::with(headers),
                ssrc: header.ssrc,
            };
            return Some(Spotted::Packet(self.number(key)?, header));
        }
        matches!(headers.transport(), Some(Transport::Udp | Transport::Tcp))
            .then(|| self.search.text(headers.network()))
            .flatten()
            .map(Spotted::Description)
    }

    /// The keys of all packets so far, by their numbers.
    #[must_use]
    pub fn keys(&self) -> &[StreamKey] {
        &self.keys
    }

    fn number(&mut self, key: StreamKey) -> Option<u32> {
        let recent = self.recent.place(&key);
        if let Some(&number) = recent.as_deref()
            && self.keys.get(number) == Some(&key)
        {
            return u32::try_from(number).ok();
        }
        let next = u32::try_from(self.keys.len()).ok()?;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
        }
        if let Some(recent) = recent {
            *recent = usize::try_from(number).unwrap_or(usize::MAX);
        }
        Some(number)
    }
}

/// What has been said of streams up to now.
#[derive(Clone, Debug, Default)]
pub struct Announced {
    session: Session,
    /// How often the session has learnt something.
    learnt: u64,
}

impl Announced {
    /// Takes in a description.
    pub fn learn(&mut self, text: &[u8]) {
        self.session.learn(text);
        self.learnt += 1;
    }
}

/// Packets that may be a stream.
#[derive(Clone, Debug)]
pub struct Candidate {
    key: StreamKey,
    known: Known,
    announced: bool,
    packets: u64,
    /// Those of payload type 18.
    g729: u64,
    last_sequence: u16,
    usual_steps: u64,
}

/// What the session says of the ends of a candidate.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Of which state of the session the rest is, and of which payload type.
    of: Option<(u64, u8)>,
    takes_rtp: Option<bool>,
    clock_rate: Option<u32>,
}

impl Candidate {
    /// A candidate without a packet.
    #[must_use]
    pub fn new(key: StreamKey) -> Self {
        Self {
            key,
            known: Known::default(),
            announced: false,
            packets: 0,
            g729: 0,
            last_sequence: 0,
            usual_steps: 0,
        }
    }

    /// Takes the next packet; nothing if its ends don't take RTP.
    pub fn take(&mut self, announced: &Announced, header: Header) -> Option<RtpPacket> {
        let of = Some((announced.learnt, header.payload_type));
        if self.known.of != of {
            let ends = ends(self.key.flow)?;
            self.known = Known::new(&announced.session, ends, header.payload_type);
            self.known.of = of;
        }
        if self.known.takes_rtp == Some(false) {
            return None;
        }
        self.announced |= self.known.takes_rtp.is_some();
        let step = header.sequence.wrapping_sub(self.last_sequence);
        self.usual_steps += u64::from(self.packets > 0 && USUAL_STEPS.contains(&step));
        self.last_sequence = header.sequence;
        self.packets += 1;
        self.g729 += u64::from(header.payload_type == 18);
        Some(RtpPacket {
            header,
            clock_rate: self.known.clock_rate,
        })
    }

    /// What its packets have in common.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        self.key
    }

    /// How many packets it has taken.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Whether an SDP announced it.
    #[must_use]
    pub fn announced(&self) -> bool {
        self.announced
    }

    /// Whether it has enough packets for a stream, however these behave.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.announced || self.packets >= FEWEST
    }

    /// Whether it is a stream, if nothing more comes.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.announced || self.packets >= FEWEST && self.usual_steps * 2 >= self.packets
    }

    /// What loss does to the codec of most of its packets; codecs without values in G.113 count
    /// as G.711 with concealment.
    #[must_use]
    pub fn codec(&self) -> Codec {
        if self.g729 * 2 > self.packets {
            Codec::G729
        } else {
            Codec::G711
        }
    }
}

impl Known {
    fn new(
        session: &Session,
        (source, destination): (SocketAddr, SocketAddr),
        payload_type: u8,
    ) -> Self {
        let takes_rtp = |end| session.takes_rtp(end);
        let clock = |end| session.clock(end, payload_type);
        Self {
            of: None,
            takes_rtp: takes_rtp(destination).or_else(|| takes_rtp(source)),
            clock_rate: static_clock(payload_type)
                .or_else(|| clock(destination).or_else(|| clock(source)).flatten()),
        }
    }
}

/// The ends of a flow that has ports.
fn ends(flow: FlowKey) -> Option<(SocketAddr, SocketAddr)> {
    match flow.ends {
        Ends::Ip {
            src,
            dst,
            ports: Some((sport, dport)),
            ..
        } => Some((SocketAddr::new(src, sport), SocketAddr::new(dst, dport))),
        _ => None,
    }
}

/// Clock rates of the static payload types (RFC 3551 tables 4 and 5).
fn static_clock(payload_type: u8) -> Option<u32> {
    match payload_type {
        0..=5 | 7..=9 | 12 | 13 | 15 | 18 | 19 => Some(8_000),
        6 => Some(16_000),
        10 | 11 => Some(44_100),
        16 => Some(11_025),
        17 => Some(22_050),
        14 | 25 | 26 | 28 | 31..=34 => Some(90_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

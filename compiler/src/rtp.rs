//! RTP streams in captured frames, found without configuration.
//!
//! A frame may be RTP if it is plain UDP with an RTP header (the language's `rtp`: first payload
//! byte 128 to 191, second no RTCP type). Such frames with the same addresses, ports, VLAN and
//! SSRC are a stream if
//! - the receiving end, or else the sending one, was announced as taking RTP by an SDP (RFC 8866)
//!   that the capture showed before, or
//! - there are at least [`FEWEST`] of them and most sequence numbers step ahead by one to three.
//!
//! An end announced as taking something else takes no stream. Clock rates come from the SDP of the receiving end, or that of the sending end, or the static
//! payload types of RFC 3551 section 6. Other payload types have no known clock.

mod sdp;

use std::collections::HashMap;
use std::net::SocketAddr;

use policy_lang::Headers;
use policy_lang::field::Transport;
use qdisc_model::metrics;
use qdisc_model::metrics::quality::Codec;

use crate::flow::{Ends, FlowKey, Recent};

pub use sdp::Session;

/// Fewer packets than this, and not announced, are no stream.
pub const FEWEST: usize = 4;

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

/// One packet of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// Which of the frames it is, by index.
    pub frame: usize,
    /// Its header.
    pub header: Header,
    /// The clock of its payload type in Hz, if known.
    pub clock_rate: Option<u32>,
}

impl RtpPacket {
    /// The packet as a receiver sees it that gets it at `at_ms`.
    #[must_use]
    pub fn arrival(&self, at_ms: f64) -> metrics::Arrival {
        metrics::Arrival {
            at_ms,
            sequence: self.header.sequence,
            timestamp: self.header.timestamp,
            payload_type: self.header.payload_type,
            marker: self.header.marker,
            clock_rate: self.clock_rate,
        }
    }
}

/// A stream and its packets, in order of the capture.
#[derive(Clone, Debug)]
pub struct RtpStream {
    /// Whose packets.
    pub key: StreamKey,
    /// Whether an SDP announced it.
    pub announced: bool,
    /// The packets.
    pub packets: Vec<RtpPacket>,
}

impl RtpStream {
    /// What loss does to the codec of most of its packets; codecs without values in G.113 count
    /// as G.711 with concealment.
    #[must_use]
    pub fn codec(&self) -> Codec {
        let g729 = self.packets.iter().filter(|p| p.header.payload_type == 18);
        if g729.count() * 2 > self.packets.len() {
            Codec::G729
        } else {
            Codec::G711
        }
    }
}

/// Finds streams in frames that come one by one.
///
/// What a frame has to say is taken down at once, and put together at the end: only then is it known
/// in which order the frames were sent.
#[derive(Debug, Default)]
pub struct Finder {
    keys: Vec<StreamKey>,
    /// Looked up, never gone through: its order is no one's.
    numbers: HashMap<StreamKey, usize>,
    packets: Vec<Candidate>,
    descriptions: Vec<(usize, Vec<u8>)>,
    search: sdp::Search,
    recent: Recent,
}

/// A packet that may be of a stream.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    frame: usize,
    /// Which of the keys it has.
    key: u32,
    header: Header,
}

impl Finder {
    /// Looks at the frame with this index.
    pub fn add(&mut self, index: usize, frame: &[u8]) {
        if let Some(headers) = Headers::of(frame) {
            self.add_with(index, &headers);
        }
    }

    /// As [`Self::add`], for a frame whose headers have been found.
    pub fn add_with(&mut self, index: usize, headers: &Headers<'_>) {
        let Some(header) = headers.payload().and_then(Header::of) else {
            if matches!(headers.transport(), Some(Transport::Udp | Transport::Tcp))
                && let Some(text) = self.search.text(headers.network())
            {
                self.descriptions.push((index, text.to_vec()));
            }
            return;
        };
        let key = StreamKey {
            flow: FlowKey::with(headers),
            ssrc: header.ssrc,
        };
        let recent = self.recent.place(&key);
        let number = match recent.as_deref() {
            Some(&number) if self.keys.get(number) == Some(&key) => number,
            _ => *self.numbers.entry(key).or_insert_with(|| {
                self.keys.push(key);
                self.keys.len() - 1
            }),
        };
        if let Some(recent) = recent {
            *recent = number;
        }
        if let Ok(key) = u32::try_from(number) {
            self.packets.push(Candidate {
                frame: index,
                key,
                header,
            });
        }
    }

    /// The streams, first seen first, of frames that were sent in the order of their indices.
    #[must_use]
    pub fn finish(mut self) -> Vec<RtpStream> {
        let mut found = Found::new(&self.keys);
        let mut descriptions = std::mem::take(&mut self.descriptions)
            .into_iter()
            .peekable();
        for packet in &self.packets {
            while let Some((_, text)) = descriptions.next_if(|(at, _)| *at < packet.frame) {
                found.learn(&text);
            }
            found.packet(packet);
        }
        found.finish()
    }

    /// Gives every frame another index.
    pub fn reorder(&mut self, index_of: impl Fn(usize) -> usize) {
        for packet in &mut self.packets {
            packet.frame = index_of(packet.frame);
        }
        for (frame, _) in &mut self.descriptions {
            *frame = index_of(*frame);
        }
        self.packets.sort_by_key(|packet| packet.frame);
        self.descriptions.sort_by_key(|(frame, _)| *frame);
    }
}

/// Streams while they are put together.
#[derive(Debug)]
struct Found {
    session: Session,
    /// How often the session has learnt something.
    learnt: u64,
    candidates: Vec<(Known, RtpStream)>,
    /// The candidates that have packets, in the order of the first of them.
    order: Vec<usize>,
}

/// What the session says of the ends of a candidate.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Of which state of the session the rest is, and of which payload type.
    of: Option<(u64, u8)>,
    takes_rtp: Option<bool>,
    clock_rate: Option<u32>,
}

impl Found {
    fn new(keys: &[StreamKey]) -> Self {
        let candidate = |&key| {
            let stream = RtpStream {
                key,
                announced: false,
                packets: Vec::new(),
            };
            (Known::default(), stream)
        };
        Self {
            session: Session::default(),
            learnt: 0,
            candidates: keys.iter().map(candidate).collect(),
            order: Vec::new(),
        }
    }

    fn learn(&mut self, text: &[u8]) {
        self.session.learn(text);
        self.learnt += 1;
    }

    fn packet(&mut self, packet: &Candidate) {
        let number = usize::try_from(packet.key).unwrap_or(usize::MAX);
        let Some((known, stream)) = self.candidates.get_mut(number) else {
            return;
        };
        let of = Some((self.learnt, packet.header.payload_type));
        if known.of != of {
            let Some(ends) = ends(stream.key.flow) else {
                return;
            };
            *known = Known::new(&self.session, ends, packet.header.payload_type);
            known.of = of;
        }
        if known.takes_rtp == Some(false) {
            return;
        }
        stream.announced |= known.takes_rtp.is_some();
        if stream.packets.is_empty() {
            self.order.push(number);
        }
        stream.packets.push(RtpPacket {
            frame: packet.frame,
            header: packet.header,
            clock_rate: known.clock_rate,
        });
    }

    fn finish(mut self) -> Vec<RtpStream> {
        let mut streams = Vec::new();
        for number in self.order {
            if let Some((_, stream)) = self.candidates.get_mut(number)
                && (stream.announced || behaves(stream))
            {
                streams.push(RtpStream {
                    packets: std::mem::take(&mut stream.packets),
                    ..*stream
                });
            }
        }
        streams
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

/// Whether the numbers of a candidate are those of a stream.
fn behaves(stream: &RtpStream) -> bool {
    let numbers = || stream.packets.iter().map(|packet| packet.header.sequence);
    let steps = numbers().zip(numbers().skip(1));
    let usual = steps.filter(|(before, next)| USUAL_STEPS.contains(&next.wrapping_sub(*before)));
    stream.packets.len() >= FEWEST && usual.count() * 2 >= stream.packets.len()
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

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

use std::collections::BTreeMap;
use std::net::SocketAddr;

use policy_lang::field::Transport;
use policy_lang::packet::Packet;
use policy_lang::policy::Media;
use qdisc_model::metrics;
use qdisc_model::metrics::quality::Codec;

use crate::flow::{Ends, FlowKey};

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
        let is_rtp = Media::Rtp.first_byte().contains(first.into())
            && Media::Rtp.second_byte().contains(second.into());
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Debug, Default)]
pub struct Finder {
    session: Session,
    candidates: BTreeMap<StreamKey, RtpStream>,
    order: Vec<StreamKey>,
}

impl Finder {
    /// Looks at the frame with this index.
    pub fn add(&mut self, index: usize, frame: &[u8]) {
        let packet = Packet::new(frame);
        let Some(header) = packet.payload().and_then(Header::of) else {
            if matches!(packet.transport(), Some(Transport::Udp | Transport::Tcp)) {
                self.session.learn(packet.network());
            }
            return;
        };
        let flow = FlowKey::of(frame);
        let Some((source, destination)) = ends(flow) else {
            return;
        };
        let key = StreamKey {
            flow,
            ssrc: header.ssrc,
        };
        let takes_rtp = |end| self.session.takes_rtp(end);
        let announced = match takes_rtp(destination).or_else(|| takes_rtp(source)) {
            Some(false) => return,
            announced => announced.is_some(),
        };
        let clock_rate = static_clock(header.payload_type).or_else(|| {
            let clock = |end| self.session.clock(end, header.payload_type);
            clock(destination).or_else(|| clock(source)).flatten()
        });
        let stream = self.candidates.entry(key).or_insert_with(|| {
            self.order.push(key);
            RtpStream {
                key,
                announced,
                packets: Vec::new(),
            }
        });
        stream.announced |= announced;
        stream.packets.push(RtpPacket {
            frame: index,
            header,
            clock_rate,
        });
    }

    /// The streams, first seen first.
    #[must_use]
    pub fn finish(mut self) -> Vec<RtpStream> {
        let candidates = self
            .order
            .iter()
            .filter_map(|key| self.candidates.remove(key));
        candidates
            .filter(|stream| stream.announced || behaves(stream))
            .collect()
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

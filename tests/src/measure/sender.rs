//! The paced sender, and what comes of its packets: RTP of some calls (RFC 3550, payload type 8) and
//! one stream of TCP packets, each 20 ms, shifted against each other. Each packet says when it was
//! due. What is due while the guest is stopped is sent when it goes on, all at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use compiler::replay::Figures;
use qdisc_model::metrics::Arrival;
use qdisc_model::metrics::receiver::{Assumptions, Receiver};

use super::Heard;
use crate::netlab::Session;

/// From one packet of a stream to the next.
pub(super) const PACKET_TIME: Duration = Duration::from_millis(20);
/// Samples of 8 kHz in it.
const TICKS: u32 = 160;
/// A packet that is later than this was stopped, not late.
pub(super) const STOPPED_MS: f64 = 5.0;

/// What is sent.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) calls: u32,
    pub(super) begin: Instant,
    pub(super) duration: Duration,
}

/// Sends everything into all laboratories. Returns the mean delay of the clock, in milliseconds.
pub(super) fn send_all(
    paced: &Paced,
    guest: &Mutex<()>,
    sessions: &[Mutex<Session>],
) -> Result<f64, String> {
    // In an emulated guest there is one processor: whoever else runs has time, the clock has not.
    let _ = rustix::process::nice(-20);
    let streams = paced.calls + 1;
    let (mut late, mut packets) = (0.0, 0.0);
    let begin = wall_clock() + (paced.begin - Instant::now());
    for number in 0.. {
        let (round, stream) = (number / streams, number % streams);
        let due = PACKET_TIME * round + PACKET_TIME * stream / streams;
        if due > paced.duration {
            break;
        }
        thread::sleep((paced.begin + due).saturating_duration_since(Instant::now()));
        let _running = guest.lock().map_err(|_| "the replicator died")?;
        let lateness = (paced.begin + due).elapsed().as_secs_f64() * 1e3;
        if lateness < STOPPED_MS {
            (late, packets) = (late + lateness, packets + 1.0);
        }
        let at = (begin + due).as_nanos() as u64;
        let frame = [match stream.checked_sub(1) {
            Some(call) => media_frame(call, round, at),
            None => tcp_frame(round, at),
        }];
        for session in sessions {
            let mut session = session.lock().map_err(|_| "a reader died")?;
            session.send(&frame).map_err(|e| e.to_string())?;
        }
    }
    Ok(late / f64::max(packets, 1.0))
}

/// As the captures have it.
pub(super) fn wall_clock() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0];
/// Where the RTP header begins, and the time in either kind.
const RTP: usize = 14 + 20 + 8;
const RTP_TIME: usize = RTP + 12;
const TCP_TIME: usize = 14 + 20 + 20;

fn ip(protocol: u8, payload: usize) -> Vec<u8> {
    let mut frame = ETHERNET.to_vec();
    frame.extend([0x45, 0]);
    frame.extend(((20 + payload) as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3]);
    frame
}

/// A packet of a call, G.711.
pub(super) fn media_frame(call: u32, round: u32, at: u64) -> Vec<u8> {
    let payload = 160;
    let mut frame = ip(17, 8 + 12 + payload);
    frame.extend((16_384 + 2 * call as u16).to_be_bytes());
    frame.extend((30_000 + 2 * call as u16).to_be_bytes());
    frame.extend(((8 + 12 + payload) as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend([0x80, if round == 0 { 0x88 } else { 8 }]);
    frame.extend((round as u16).to_be_bytes());
    frame.extend((round.wrapping_mul(TICKS)).to_be_bytes());
    frame.extend((0xe900_0000 + call).to_be_bytes());
    frame.extend(at.to_be_bytes());
    frame.resize(RTP_TIME + payload, 0xd5);
    frame
}

fn tcp_frame(round: u32, at: u64) -> Vec<u8> {
    let mut frame = ip(6, 20 + 200);
    frame.extend([0, 80, 0xc0, 1]);
    frame.extend((round * 200).to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(at.to_be_bytes());
    frame.resize(TCP_TIME + 200, 0);
    frame
}

/// Source port of a packet of a call, and which one it is: all clocks begin at zero.
pub(super) fn port_and_round(frame: &[u8]) -> Option<(u16, u32)> {
    let is_rtp = frame.get(23) == Some(&17) && frame.get(RTP) == Some(&0x80);
    let port = (number(frame, RTP - 8) >> 16) as u16;
    (is_rtp && frame.len() > RTP_TIME).then(|| (port, number(frame, RTP + 4) / TICKS))
}

/// What the receivers make of what arrived: each call by its source port, and all of them together.
/// `begun` says when the clock of a call began whose packets don't say when they were due.
pub(super) fn heard(
    arrived: &[(Duration, Vec<u8>)],
    begun: &BTreeMap<u16, Duration>,
) -> (BTreeMap<u16, Figures>, Heard) {
    let mut calls: BTreeMap<u16, Receiver> = BTreeMap::new();
    let (mut media, mut tcp) = (Delays::default(), Delays::default());
    // From the first frame on, as analysers count: what is left of the figures is then the same.
    let start = arrived.first().map(|(at, _)| *at).unwrap_or_default();
    for (at, frame) in arrived {
        if let Some((port, round)) = port_and_round(frame) {
            match begun.get(&port) {
                Some(begun) => media.add(*at, *begun + PACKET_TIME * round),
                None => media.add(*at, written(frame, RTP_TIME)),
            }
            let receiver = calls.entry(port);
            let receiver = receiver.or_insert_with(|| Receiver::new(Assumptions::default()));
            receiver.arrive(Arrival {
                at_ms: milliseconds(at.saturating_sub(start)),
                sequence: (number(frame, RTP) & 0xffff) as u16,
                timestamp: number(frame, RTP + 4),
                payload_type: 8,
                marker: frame[RTP + 1] & 0x80 != 0,
                clock_rate: Some(8_000),
            });
        } else if frame.get(23) == Some(&6) {
            tcp.add(*at, written(frame, TCP_TIME));
        }
    }
    calls.values_mut().for_each(Receiver::finish);
    let figures: BTreeMap<u16, Figures> = calls
        .iter()
        .map(|(port, receiver)| (*port, Figures::of(receiver)))
        .collect();
    let heard = Heard::of(figures.values(), media.mean(), tcp.mean());
    (figures, heard)
}

/// As Wireshark adds it up, so that what is lost in the last digit is the same.
fn milliseconds(time: Duration) -> f64 {
    time.as_secs() as f64 * 1e3 + f64::from(time.subsec_nanos()) / 1e6
}

/// When a packet of ours says that it was due.
fn written(frame: &[u8], place: usize) -> Duration {
    let due = frame.get(place..).and_then(|rest| rest.first_chunk());
    Duration::from_nanos(due.map_or(0, |bytes| u64::from_be_bytes(*bytes)))
}

fn number(frame: &[u8], at: usize) -> u32 {
    let bytes = frame.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[derive(Debug, Default)]
struct Delays {
    sum_ms: f64,
    count: f64,
}

impl Delays {
    fn add(&mut self, at: Duration, due: Duration) {
        self.sum_ms += at.saturating_sub(due).as_secs_f64() * 1e3;
        self.count += 1.0;
    }

    fn mean(&self) -> f64 {
        self.sum_ms / f64::max(self.count, 1.0)
    }
}

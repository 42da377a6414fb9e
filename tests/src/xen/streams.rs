//! Whose frame a frame of the domU is: the kinds that tables tell apart, and the numbers that the streams of
//! `frames` put into their packets.

use super::call::SERVICE_MEDIA;
use super::frames::{MEDIA, PHONE, SIP, TCP};

/// Kinds of frames, as tables call them.
pub const KINDS: [&str; 4] = ["IPv4", "IPv6", "ARP", "tagged"];

/// Where a UDP or TCP header is, and where the IP header says so; without options or extension headers, which
/// the domU does not send.
struct Layout {
    transport: usize,
    protocol: usize,
}

impl Layout {
    fn of(frame: &[u8]) -> Option<Self> {
        match ethertype(frame) {
            0x0800 => Some(Self {
                transport: 14 + 20,
                protocol: 14 + 9,
            }),
            0x86dd => Some(Self {
                transport: 14 + 40,
                protocol: 14 + 6,
            }),
            _ => None,
        }
    }
}

/// What the domU says again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// RTP.
    Call,
    /// SIP over UDP.
    Sip,
    /// Records over TCP.
    Tcp,
    /// ARP announcements of `frames`.
    Arp,
    /// Tagged frames.
    Tagged,
    /// What the service sends back of a call that the far side made (`call`).
    Answer,
}

/// A packet of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which stream.
    pub stream: Stream,
    /// 4 or 6; 4 for what is not IP.
    pub family: u8,
    /// Its number; of TCP the sequence number behind its last byte (RFC 9293 section 3.4).
    pub number: u32,
    /// Where the RTP header is, of a call.
    pub rtp: usize,
}

/// Whose packet a frame is, if it is one of a stream's.
#[must_use]
pub fn packet(frame: &[u8]) -> Option<Packet> {
    let simple = |stream, at| Packet {
        stream,
        family: 4,
        number: number(frame, at),
        rtp: 0,
    };
    match ethertype(frame) {
        0x8100 => return Some(simple(Stream::Tagged, 18 + 24)),
        // Behind the ARP packet, where an announcement of the kernel's own has padding or nothing.
        0x0806 if number(frame, 42) > 0 => return Some(simple(Stream::Arp, 42)),
        _ => {}
    }
    let Layout {
        transport,
        protocol,
    } = Layout::of(frame)?;
    let ports = number(frame, transport);
    let (source, destination) = ((ports >> 16) as u16, ports as u16);
    let (stream, number) = match (frame.get(protocol)?, source, destination) {
        (17, MEDIA, PHONE) => (Stream::Call, number(frame, transport + 8 + 12)),
        // Behind each other for twenty minutes (RFC 3550 section 5.1).
        (17, SERVICE_MEDIA, _) => (Stream::Answer, number(frame, transport + 8) & 0xffff),
        (17, SIP, SIP) => (Stream::Sip, sip_number(frame.get(transport + 8..)?)?),
        (6, _, TCP) => {
            let header = usize::from(frame.get(transport + 12)? >> 4) * 4;
            let carried = frame.len().checked_sub(transport + header)?;
            // Neither a bare acknowledgement nor a question whether the other end lives.
            if carried < 2 {
                return None;
            }
            let sequence = number(frame, transport + 4);
            (
                Stream::Tcp,
                sequence.wrapping_add(u32::try_from(carried).ok()?),
            )
        }
        _ => return None,
    };
    Some(Packet {
        stream,
        family: if ethertype(frame) == 0x0800 { 4 } else { 6 },
        number,
        rtp: transport + 8,
    })
}

fn sip_number(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("CSeq: "))?;
    line.split(' ').next()?.parse().ok()
}

/// Whether the frame opens a TCP connection of the domU (SYN without ACK).
#[must_use]
pub fn opens_connection(frame: &[u8]) -> bool {
    let Some(layout) = Layout::of(frame) else {
        return false;
    };
    let flags = frame.get(layout.transport + 13).copied();
    frame.get(layout.protocol) == Some(&6) && flags.is_some_and(|flags| flags & 0x12 == 0x02)
}

/// Whether the frame tells the neighbours where the domU is now, as its kernel does behind a failover: an ARP
/// announcement (RFC 5227 section 3) that is none of `frames`, or an unsolicited neighbour advertisement
/// (RFC 4861 section 7.2.6).
#[must_use]
pub fn is_announcement(frame: &[u8]) -> bool {
    match ethertype(frame) {
        0x0806 => {
            number(frame, 42) == 0
                && frame.get(28..32).is_some()
                && frame.get(28..32) == frame.get(38..42)
        }
        // ICMPv6, type 136, with no solicited flag.
        0x86dd => {
            frame.get(20) == Some(&58)
                && frame.get(54) == Some(&136)
                && frame.get(58).is_some_and(|flags| flags & 0x40 == 0)
        }
        _ => false,
    }
}

/// The frame without the checksum of its UDP or TCP header: before the frame has left the machine it may not
/// be there yet (CHECKSUM_PARTIAL in include/linux/skbuff.h).
#[must_use]
pub fn without_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    if let Some(layout) = Layout::of(&frame) {
        let at = match frame.get(layout.protocol) {
            Some(17) => layout.transport + 6,
            Some(6) => layout.transport + 16,
            _ => return frame,
        };
        if let Some(checksum) = frame.get_mut(at..at + 2) {
            checksum.fill(0);
        }
    }
    frame
}

/// Which of [`KINDS`] a frame is of.
#[must_use]
pub fn kind(frame: &[u8]) -> &'static str {
    match ethertype(frame) {
        0x0800 => "IPv4",
        0x86dd => "IPv6",
        0x0806 => "ARP",
        0x8100 => "tagged",
        _ => "other",
    }
}

/// Four bytes of a frame in network order; nought behind its end.
#[must_use]
pub fn number(frame: &[u8], at: usize) -> u32 {
    let bytes = frame.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn ethertype(frame: &[u8]) -> u16 {
    (number(frame, 12) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::super::frames;
    use super::*;

    fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = [frames::FAR_MAC, frames::GUEST_MAC].concat();
        frame.extend([0x08, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([10, 9, 0, 2, 10, 9, 0, 9]);
        frame.extend(source.to_be_bytes());
        frame.extend(destination.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn streams_are_told_by_their_frames() {
        for n in [1, 7, 70_000] {
            let found = packet(&frames::tagged(n)).unwrap();
            assert_eq!((found.stream, found.number), (Stream::Tagged, n));
            let found = packet(&frames::announcement(n)).unwrap();
            assert_eq!((found.stream, found.number), (Stream::Arp, n));
            let found = packet(&udp(MEDIA, PHONE, &frames::rtp(n))).unwrap();
            assert_eq!((found.stream, found.number), (Stream::Call, n));
            let found = packet(&udp(SIP, SIP, &frames::sip(n))).unwrap();
            assert_eq!((found.stream, found.number), (Stream::Sip, n));
        }
        assert_eq!(packet(&[0; 60]), None);
    }

    #[test]
    fn announcements_of_the_kernel_are_told_from_those_of_the_traffic() {
        assert!(is_announcement(&frames::announcement(0)));
        assert!(!is_announcement(&frames::announcement(5)));
        assert!(!is_announcement(&frames::tagged(5)));
    }

    #[test]
    fn a_checksum_makes_no_difference() {
        let frame = udp(SIP, SIP, b"CSeq: 1 MESSAGE\r\n");
        let mut other = frame.clone();
        other[14 + 20 + 6] ^= 0x55;
        assert_ne!(frame, other);
        assert_eq!(without_checksum(frame), without_checksum(other));
    }
}

//! The frames and packets that the domU says again and again, each with its number.

/// MAC address of the domU.
pub const GUEST_MAC: [u8; 6] = [0x00, 0x16, 0x3e, 0, 0, 1];
/// MAC address of the far side.
pub const FAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x09, 0x09];
/// Source port of calls, and of what answers like a call.
pub const MEDIA: u16 = 16_384;
/// Destination port of calls.
pub const PHONE: u16 = 30_000;
/// Source and destination port of SIP.
pub const SIP: u16 = 5_060;
/// Where the domU's connections lead.
pub const TCP: u16 = 5_070;
/// The VLAN of the tagged frames.
pub const VLAN: u16 = 7;

/// An RTP packet of G.711 A-law, with its number and the sender's time behind the header.
#[must_use]
pub fn rtp(number: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number.wrapping_mul(160)).to_be_bytes());
    packet.extend(0xe900_0000_u32.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.resize(12 + 160, 0xd5);
    packet
}

/// A SIP request (RFC 3428), with its number as CSeq.
#[must_use]
pub fn sip(number: u32) -> Vec<u8> {
    let text = format!(
        "MESSAGE sip:far@10.9.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.2;branch=z9hG4bK{number:08x}\r\n\
         From: <sip:guest@10.9.0.2>;tag=1\r\nTo: <sip:far@10.9.0.9>\r\nCall-ID: {number:08x}\r\n\
         CSeq: {number} MESSAGE\r\nContent-Length: 0\r\n\r\n"
    );
    text.into_bytes()
}

/// A TCP packet behind a VLAN tag; its number is its sequence number.
#[must_use]
pub fn tagged(number: u32) -> Vec<u8> {
    let mut frame = [FAR_MAC, GUEST_MAC].concat();
    frame.extend([0x81, 0x00]);
    frame.extend(VLAN.to_be_bytes());
    // 172 bytes of IPv4: a datagram that no policy here lets pass for its port.
    frame.extend([0x08, 0x00, 0x45, 0, 0, 172, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([10, 9, 0, 2, 10, 9, 0, 9]);
    frame.extend([0x13, 0xcf, 0x13, 0xcf]);
    frame.extend(number.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(18 + 172, b't');
    frame
}

/// An ARP announcement (RFC 5227 section 3), with its number behind the ARP packet.
#[must_use]
pub fn announcement(number: u32) -> Vec<u8> {
    let mut frame = [[0xff; 6], GUEST_MAC].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(GUEST_MAC);
    frame.extend([10, 9, 0, 2]);
    frame.extend([0; 6]);
    frame.extend([10, 9, 0, 2]);
    // Behind the ARP packet, where Ethernet's padding is: each frame is another one.
    frame.extend(number.to_be_bytes());
    frame.resize(60, 0);
    frame
}

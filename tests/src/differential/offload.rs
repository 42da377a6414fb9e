//! Frames as a guest with offloads sends them: segments that are still to be cut (GSO), checksums
//! that are still to be worked out, and frames longer than a wire's, some with their headers outside
//! of the linear part of the packet.
//!
//! From `virtio_net_hdr_to_skb` (include/linux/virtio_net.h) and `tun_get_user` (drivers/net/tun.c):
//! what they refuse is not made here. The segmentation code checks the headers of such a packet on
//! its way through each device, so only whole ones are dressed up.

use policy_lang::field::{ETHERNET_LEN, Family, TAG_LEN, Transport};
use policy_lang::packet::Packet;
use proptest::prelude::{Rng, RngExt};

use super::batch::{LONGEST, Offload, pattern};

/// Bit of the flags: the checksum is missing.
const NEEDS_CHECKSUM: u8 = 1;
/// Segmentation of TCP over IPv4, TCP over IPv6, and UDP.
const TCP4: u8 = 1;
const TCP6: u8 = 4;
const UDP: u8 = 5;

/// What is done to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// Many segments in one packet.
    Segments,
    /// No checksum yet.
    Partial,
    /// Far longer than the MTU of any wire.
    Jumbo,
    /// The same, with all headers behind the Ethernet header in a page of their own.
    SplitJumbo,
}

impl Dress {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Segments, Self::Partial, Self::Jumbo, Self::SplitJumbo];
}

/// Dresses `frame` up; `None` if it is not of a kind that a guest would send so.
pub fn dress(
    dress: Dress,
    mut frame: Vec<u8>,
    random: &mut impl Rng,
) -> Option<(Vec<u8>, Offload)> {
    let mut header = [0; 10];
    match dress {
        Dress::Jumbo => lengthen(&mut frame, random.random_range(1_515..LONGEST)),
        Dress::SplitJumbo => {
            // The kernel puts a packet of less than a page into one piece whatever is asked.
            lengthen(&mut frame, random.random_range(4_200..LONGEST));
            header[2] = ETHERNET_LEN as u8;
        }
        Dress::Partial | Dress::Segments => {
            let plain = Plain::find(&frame)?;
            if dress == Dress::Segments {
                let size = random.random_range(536_u16..1_449);
                let segments = random.random_range(2..40);
                let payload = usize::from(size) * segments + random.random_range(1..536);
                lengthen(&mut frame, plain.payload + payload);
                header[1] = plain.segmentation();
                header[4..6].copy_from_slice(&size.to_le_bytes());
            }
            header[0] = NEEDS_CHECKSUM;
            header[2..4].copy_from_slice(&(plain.payload as u16).to_le_bytes());
            header[6..8].copy_from_slice(&(plain.transport_at as u16).to_le_bytes());
            header[8..].copy_from_slice(&plain.checksum_offset().to_le_bytes());
        }
    }
    set_lengths(&mut frame);
    Some((frame, Offload(header)))
}

fn lengthen(frame: &mut Vec<u8>, to: usize) {
    frame.extend((frame.len()..to.min(LONGEST)).map(pattern));
}

/// Where the headers of a plain TCP or UDP packet are.
struct Plain {
    family: Family,
    transport: Transport,
    transport_at: usize,
    payload: usize,
}

impl Plain {
    fn find(frame: &[u8]) -> Option<Self> {
        let packet = Packet::new(frame);
        let family = packet.family()?;
        let transport = packet.transport()?;
        let tag = if packet.tagged() { TAG_LEN } else { 0 };
        let transport_at = ETHERNET_LEN + tag + family.header_len();
        // The length of a TCP header is the kernel's own to believe: only the usual one is.
        let usual = match transport {
            Transport::Tcp => frame.get(transport_at + 12)? >> 4 == 5,
            Transport::Udp => true,
            _ => false,
        };
        usual.then(|| Self {
            family,
            transport,
            transport_at,
            payload: transport_at + transport.header_len(),
        })
    }

    fn segmentation(&self) -> u8 {
        match (self.transport, self.family) {
            (Transport::Tcp, Family::V4) => TCP4,
            (Transport::Tcp, Family::V6) => TCP6,
            _ => UDP,
        }
    }

    fn checksum_offset(&self) -> u16 {
        if self.transport == Transport::Tcp {
            16
        } else {
            6
        }
    }
}

/// Makes the lengths in the IP and UDP headers those of the frame, as segmentation wants them.
fn set_lengths(frame: &mut [u8]) {
    let packet = Packet::new(frame);
    let (Some(family), tagged) = (packet.family(), packet.tagged()) else {
        return;
    };
    let udp = packet.transport() == Some(Transport::Udp);
    let at = ETHERNET_LEN + if tagged { TAG_LEN } else { 0 };
    let (place, length) = match family {
        Family::V4 => (at + 2, frame.len() - at),
        Family::V6 => (at + 4, frame.len() - at - family.header_len()),
    };
    let mut write = |place: usize, length: usize| {
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        frame[place..place + 2].copy_from_slice(&length.to_be_bytes());
    };
    write(place, length);
    if udp {
        let transport = at + family.header_len();
        let behind = frame.len() - transport;
        frame[transport + 4..transport + 6]
            .copy_from_slice(&u16::try_from(behind).unwrap_or(u16::MAX).to_be_bytes());
    }
}

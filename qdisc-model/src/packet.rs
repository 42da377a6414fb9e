//! The packet as a queue sees it: an identity, sizes and a verdict.
//!
//! Sizes follow the kernel's two measures (`include/linux/skbuff.h`, `include/net/sch_generic.h`):
//! the bytes of the buffer itself, and the bytes the queueing layer charges for it.

/// What the policy decided about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Held until the epoch that produced it is committed.
    Buffer,
    /// Passes at once.
    Bypass,
}

/// One packet of the guest, or one segmentation-offload super-packet: a queue never splits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Packet {
    /// Tells it from every other packet of the same trace.
    pub id: u64,
    /// `skb->len`: bytes from the Ethernet header on, as they lie in memory.
    pub bytes: u32,
    /// `qdisc_pkt_len`: `bytes` plus the headers that segmentation will repeat. What
    /// `tc -s qdisc show` adds up as backlog.
    pub wire_bytes: u32,
    /// Held or passed.
    pub verdict: Verdict,
}

impl Packet {
    /// A packet to be held that is one frame on the wire.
    #[must_use]
    pub fn held(id: u64, bytes: u32) -> Self {
        Self {
            id,
            bytes,
            wire_bytes: bytes,
            verdict: Verdict::Buffer,
        }
    }

    /// A packet that may pass and is one frame on the wire.
    #[must_use]
    pub fn passing(id: u64, bytes: u32) -> Self {
        Self {
            id,
            bytes,
            wire_bytes: bytes,
            verdict: Verdict::Bypass,
        }
    }
}

/// How many packets, and how many of their `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Packets.
    pub packets: u64,
    /// Sum of [`Packet::bytes`].
    pub bytes: u64,
}

impl Tally {
    /// Counts one more packet.
    pub fn add(&mut self, packet: &Packet) {
        self.packets += 1;
        self.bytes += u64::from(packet.bytes);
    }

    /// The sum of two tallies.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }

    /// What is left when `other`, which was counted here before, is taken away.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            packets: self.packets - other.packets,
            bytes: self.bytes - other.bytes,
        }
    }
}

impl<'a> FromIterator<&'a Packet> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a Packet>>(packets: I) -> Self {
        let mut tally = Self::default();
        packets.into_iter().for_each(|packet| tally.add(packet));
        tally
    }
}

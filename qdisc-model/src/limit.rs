//! How small the byte limit of a gate may be before it stops being a gate and becomes a sieve.
//!
//! The figures: a guest hands over segmentation-offload packets of up to 64 KiB as one packet
//! (`GSO_LEGACY_MAX_SIZE`, and 65,535 is all that an IPv4 total length can say), and `sch_plug`
//! takes a packet only if it fits whole (`net/sched/sch_plug.c`, `plug_enqueue`).

/// The largest frame a guest can hand over: an IP packet of 65,535 bytes, the Ethernet header and
/// one 802.1Q tag.
pub const LARGEST_PACKET: u32 = 65_535 + 14 + 4;

/// Queue length of an IFB unless it is set otherwise (`TX_Q_LIMIT` in `drivers/net/ifb.c`).
pub const IFB_TX_QUEUE_LEN: u32 = 32;

/// What `psched_mtu` gives for an IFB with the usual MTU: 1,500 bytes and the Ethernet header.
pub const ETHERNET_PSCHED_MTU: u32 = 1_514;

/// The limit that `sch_plug` takes when it is created without options, in bytes.
///
/// On an IFB that is 32 x 1,514 = 48,448: a full segmentation-offload packet never fits, so a bulk
/// TCP sender behind it stalls for good while pings get through.
#[must_use]
pub fn default_plug_limit(tx_queue_len: u32, psched_mtu: u32) -> u32 {
    tx_queue_len.wrapping_mul(psched_mtu)
}

/// Whether every packet a guest can send fits into an empty gate with this limit, in bytes.
///
/// A limit below [`LARGEST_PACKET`] is a fault, not a trade-off: no checkpoint, however early,
/// makes room for a packet that is larger than the whole gate.
#[must_use]
pub fn admits_every_packet(limit: u32) -> bool {
    limit >= LARGEST_PACKET
}

/// The least limit, in bytes, with which nothing is dropped at this load.
///
/// `bytes_per_second` is what the held classes send, `hold_ms` the longest time from a packet's
/// arrival to its release (checkpoint interval, pause, transfer and acknowledgement together).
/// Never below [`LARGEST_PACKET`]; saturates where a 32-bit limit can't say it.
#[must_use]
pub fn least_limit(bytes_per_second: u64, hold_ms: u64) -> u32 {
    let held = u128::from(bytes_per_second) * u128::from(hold_ms);
    // What arrives in the time, and one packet of any size on top: it must fit whole.
    let bytes = held.div_ceil(1000) + u128::from(LARGEST_PACKET);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{
        ETHERNET_PSCHED_MTU, IFB_TX_QUEUE_LEN, LARGEST_PACKET, admits_every_packet,
        default_plug_limit, least_limit,
    };

    #[test]
    fn the_default_limit_on_an_ifb_refuses_a_full_offload_packet() {
        let limit = default_plug_limit(IFB_TX_QUEUE_LEN, ETHERNET_PSCHED_MTU);
        assert_eq!(limit, 48_448);
        assert!(!admits_every_packet(limit));
    }

    #[test]
    fn the_edge_is_exactly_one_packet() {
        assert!(admits_every_packet(LARGEST_PACKET));
        assert!(!admits_every_packet(LARGEST_PACKET - 1));
    }

    #[test]
    fn a_load_adds_to_the_least_limit_and_saturates() {
        assert_eq!(least_limit(0, 400), LARGEST_PACKET);
        // 100 Mbit/s for 400 ms.
        assert_eq!(least_limit(12_500_000, 400), 5_000_000 + LARGEST_PACKET);
        assert_eq!(least_limit(u64::MAX, u64::MAX), u32::MAX);
    }
}

//! How far a frame gets whatever the rules say: facts about the kernel around the rules, so that a
//! frame that is seen nowhere is never taken for a right verdict.
//!
//! From `br_handle_frame` and `br_handle_frame_finish` (net/bridge/br_input.c) with the settings of
//! [`super::rig`], from `nf_bridge_encap_header_len` (net/bridge/br_netfilter_hooks.c), and from
//! [`compiler::hook`].

use compiler::hook::{self, ETHERTYPE_8021AD};

/// The first five bytes of the addresses of the bridge and of its ports.
pub const STATION: [u8; 5] = [0x02, 0x65, 0x67, 0, 0];
/// Their last bytes: `vif0`, `out0`, `br0`.
pub const STATIONS: std::ops::RangeInclusive<u8> = 1..=3;
/// The destination of PAUSE frames (IEEE 802.3 annex 31B), which no bridge forwards.
const PAUSE: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x01];

/// How far a frame gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the bridge and out at the far side.
    Whole,
    /// To the rules; then the bridge takes it away.
    ToTheBridge,
    /// Out at the far side, unless the kernel has br_netfilter: that drops frames which end within
    /// the header behind their ethertype, whatever its settings are.
    ToBrNetfilter,
    /// Not even to the rules.
    Nowhere,
}

/// The way that is open to a frame of at least 14 bytes.
#[must_use]
pub fn open_to(frame: &[u8]) -> Way {
    if !hook::reaches(frame) {
        return Way::Nowhere;
    }
    let (to, from) = (&frame[..6], &frame[6..12]);
    let not_a_station = from[0] & 1 == 1 || from.iter().all(|byte| *byte == 0);
    let local = to[..5] == STATION && STATIONS.contains(&to[5]);
    if not_a_station || local || to == PAUSE {
        Way::ToTheBridge
    } else if ends_in_encapsulation(frame) {
        Way::ToBrNetfilter
    } else {
        Way::Whole
    }
}

/// Whether the header that br_netfilter looks behind is not whole. The first tag is out of the
/// frame by then, so what is meant is a second tag, or PPPoE.
fn ends_in_encapsulation(frame: &[u8]) -> bool {
    let ethertype = |at: usize| frame.get(at..at + 2);
    let tagged = [0x8100_u16, ETHERTYPE_8021AD].map(u16::to_be_bytes);
    let outer = ethertype(12);
    let at = if tagged.iter().any(|tag| outer == Some(tag)) {
        16
    } else {
        12
    };
    let needs = match ethertype(at) {
        Some([0x81, 0x00]) => 4,
        Some([0x88, 0x64]) => 8,
        _ => 0,
    };
    frame.len() < at + 2 + needs
}

/// Rules for nft that copy to `seen0` each frame that gets past the rules under test and may end in
/// the bridge: what [`open_to`] says, once more.
pub const WITNESS: &str = "\
table netdev witness {
    chain seen {
        type filter hook ingress device \"vif0\" priority 2147483647; policy accept;
        ether saddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 dup to \"seen0\" accept
        ether saddr 00:00:00:00:00:00 dup to \"seen0\" accept
        ether daddr { 01:80:c2:00:00:01, 02:65:67:00:00:01, 02:65:67:00:00:02, 02:65:67:00:00:03 } dup to \"seen0\" accept
        @ll,96,16 { 0x8100, 0x88a8 } @ll,128,16 0x8100 meta length < 4 dup to \"seen0\" accept
        @ll,96,16 { 0x8100, 0x88a8 } @ll,128,16 0x8864 meta length < 8 dup to \"seen0\" accept
        @ll,96,16 0x8864 meta length < 8 dup to \"seen0\" accept
    }
}
";

/// The same as a classic BPF program, for frames on their way into the IFB.
#[must_use]
pub fn witness_bpf() -> String {
    // Instructions with their targets by number: load half word, word, byte, length; jumps.
    const KEEP: u8 = 22;
    const DROP: u8 = 21;
    const PROGRAM: [(u8, u8, u8, u32); 23] = [
        (0x30, 0, 0, 6),             // 0: the source
        (0x45, KEEP, 2, 1),          // 1: is a group
        (0x20, 0, 0, 6),             // 2
        (0x15, 4, 6, 0),             // 3: or begins with zeros
        (0x28, 0, 0, 10),            // 4
        (0x15, KEEP, 6, 0),          // 5: and ends with them
        (0x20, 0, 0, 0),             // 6: the destination
        (0x15, 8, 10, 0x0180_c200),  // 7
        (0x28, 0, 0, 4),             // 8
        (0x15, KEEP, 14, 1),         // 9: is PAUSE
        (0x15, 11, 14, 0x0265_6700), // 10: or a station
        (0x28, 0, 0, 4),             // 11
        (0x35, 13, 14, 1),           // 12: from 1
        (0x25, 14, KEEP, 3),         // 13: to 3
        (0x28, 0, 0, 12),            // 14: the ethertype behind a tag
        (0x15, 16, 18, 0x8100),      // 15: is a second tag
        (0x80, 0, 0, 0),             // 16
        (0x35, DROP, KEEP, 18),      // 17: that is not whole
        (0x15, 19, DROP, 0x8864),    // 18: or PPPoE
        (0x80, 0, 0, 0),             // 19
        (0x35, DROP, KEEP, 22),      // 20: that is not whole
        (0x06, 0, 0, 0),             // 21
        (0x06, 0, 0, u32::MAX),      // 22
    ];
    const JUMP: u8 = 5;
    let instruction = |(at, (code, yes, no, k)): (u8, (u8, u8, u8, u32))| {
        let from = if code & 7 == JUMP { at + 1 } else { 0 };
        format!(",{code} {} {} {k}", yes - from, no - from)
    };
    let instructions = (0..).zip(PROGRAM).map(instruction);
    format!("{}{}", PROGRAM.len(), instructions.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
        [&to[..], &from, &[8, 0, 0x45]].concat()
    }

    const NORMAL: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];

    #[test]
    fn each_reason_to_end_in_the_bridge_is_known() {
        assert_eq!(open_to(&frame(NORMAL, NORMAL)), Way::Whole);
        assert_eq!(open_to(&frame([0xff; 6], NORMAL)), Way::Whole);
        assert_eq!(open_to(&frame(NORMAL, [0xff; 6])), Way::ToTheBridge);
        assert_eq!(open_to(&frame(NORMAL, [0; 6])), Way::ToTheBridge);
        assert_eq!(open_to(&frame(PAUSE, NORMAL)), Way::ToTheBridge);
        let station = |last| [0x02, 0x65, 0x67, 0, 0, last];
        let ways = (0..5).map(|last| open_to(&frame(station(last), NORMAL)));
        let local = Way::ToTheBridge;
        assert!(ways.eq([Way::Whole, local, local, local, Way::Whole]));
        let encapsulated = |bytes: &[u8]| {
            let whole = [&frame(NORMAL, NORMAL)[..12], bytes].concat();
            open_to(&whole)
        };
        assert_eq!(
            encapsulated(&[0x81, 0, 0, 1, 0x81, 0, 0, 1, 8]),
            Way::ToBrNetfilter
        );
        assert_eq!(
            encapsulated(&[0x81, 0, 0, 1, 0x81, 0, 0, 1, 8, 0]),
            Way::Whole
        );
        assert_eq!(
            encapsulated(&[0x88, 0x64, 1, 2, 3, 4, 5, 6, 7]),
            Way::ToBrNetfilter
        );
        assert_eq!(encapsulated(&[0x91, 0, 0, 1]), Way::Whole);
        let mut short_tagged = frame(NORMAL, NORMAL);
        short_tagged[12] = 0x81;
        assert_eq!(open_to(&short_tagged), Way::Nowhere);
    }
}

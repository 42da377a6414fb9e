//! Hand-written filters and what the kernel's source says they do: one test for each trap.

mod listing;
mod programs_and_chains;
mod refusals;
mod walk;

use std::fmt::Write as _;

use policy_lang::Space;

use super::{read_batch, read_listing};
use crate::readback::{Outcome, ReadbackError};

/// Far more than is used at a time: what is not used any more is collected by a thread, which on a busy
/// machine may come late.
const NODES: usize = 1 << 23;
const HOLD: &str = "action mirred egress redirect dev ifb0";
/// What starts a filter of preference 10.
const ALL: &str = "filter add dev vif0 ingress pref 10 protocol all";

/// Reads a batch, and answers questions about single frames.
struct Rules {
    space: Space,
    outcome: Outcome,
}

impl Rules {
    fn batch(text: &str) -> Self {
        let space = Space::new(NODES).unwrap();
        let outcome = read_batch(&space, text, "vif0").unwrap();
        let rules = Self { space, outcome };
        rules.is_partition();
        rules
    }

    /// The sets share no frame and miss none.
    fn is_partition(&self) {
        let (space, outcome) = (&self.space, &self.outcome);
        let mut all = space.none();
        let sets = [&outcome.bypass, &outcome.dropped];
        for set in sets.into_iter().chain(outcome.held.values()) {
            assert!(space.intersection(&all, set).unwrap().is_empty());
            all = space.union(&all, set).unwrap();
        }
        assert_eq!(all, space.all());
    }

    fn fate(&self, frame: &[u8]) -> &str {
        if self.space.contains(&self.outcome.bypass, frame) {
            return "pass";
        }
        if self.space.contains(&self.outcome.dropped, frame) {
            return "drop";
        }
        let mut held = self.outcome.held.iter();
        held.find(|(_, set)| self.space.contains(set, frame))
            .map_or("nothing", |(device, _)| device)
    }

    #[track_caller]
    fn check(&self, frame: &[u8], expected: &str) {
        assert_eq!(self.fate(frame), expected, "{frame:02x?}");
    }
}

/// What is wrong with a batch, and the line.
fn refusal(text: &str) -> (usize, String) {
    refused(read_batch(&Space::new(NODES).unwrap(), text, "vif0"))
}

fn refused(outcome: Result<Outcome, ReadbackError>) -> (usize, String) {
    match outcome {
        Err(ReadbackError::NotUnderstood { line, reason, .. }) => (line, reason),
        other => panic!("{other:?}"),
    }
}

/// A frame with these tags, this ethertype and these bytes behind it.
fn frame(tags: &[u16], ethertype: u16, behind: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(behind);
    frame
}

/// An IPv4 UDP packet to `port`, with four bytes of payload.
fn udp(port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend([10, 0, 0, 2, 10, 0, 0, 3]);
    packet.extend([0x12, 0x34]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 12, 0, 0, 0x80, 0, 1, 2]);
    packet
}

/// Thousands of filters in a hashed table: more than a walk rule by rule could read in time.
#[test]
fn thousands_of_filters_in_a_hashed_table() {
    let address_of = |n: u32| 0x0a00_0000 | (n * 7) << 8 | (n % 256);
    let mut text = format!("{ALL} handle 2: u32 divisor 256\n");
    for n in 0_u32..3_000 {
        let (bucket, node) = (n % 256, n / 256 + 1);
        writeln!(
            text,
            "{ALL} handle 2:{bucket:x}:{node:x} u32 ht 2:{bucket:x}: match u32 {:#x} \
             0xffffffff at 16 match u16 {:#x} 0xff00 at 22 flowid :1",
            address_of(n),
            n & 0xff00
        )
        .unwrap();
    }
    writeln!(
        text,
        "{ALL} u32 match u16 0x0800 0xffff at -2 match u8 0x45 0xff at 0 \
         link 2: hashkey mask 0x000000ff at 16\n\
         filter add dev vif0 ingress pref 20 protocol all u32 match u32 0 0 at -12 {HOLD}"
    )
    .unwrap();
    let rules = Rules::batch(&text);
    let mut packet = udp(2424 & 0xff00);
    packet[16..20].copy_from_slice(&address_of(2424).to_be_bytes());
    rules.check(&frame(&[], 0x0800, &packet), "pass");
    packet[19] ^= 1;
    rules.check(&frame(&[], 0x0800, &packet), "ifb0");
}

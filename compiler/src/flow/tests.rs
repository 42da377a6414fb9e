//! Flows: their names, their order, and that they are what the packet says.

use policy_lang::packet::Packet;
use proptest::prelude::*;

use super::*;
use crate::frame_text::parse;

fn key(text: &str) -> String {
    FlowKey::of(&parse(text).unwrap()).to_string()
}

#[test]
fn flows_are_named_in_the_words_of_the_language() {
    for (frame, flow) in [
        (
            "udp 10.0.0.2:1 > 10.0.0.3:2 len 9 dscp ef",
            "udp 10.0.0.2:1 > 10.0.0.3:2",
        ),
        (
            "tcp [::1]:1 > [::2]:2 flags syn vlan 5",
            "tcp [::1]:1 > [::2]:2 vlan 5",
        ),
        (
            "udp 10.0.0.2:1 > 10.0.0.3:2 frag-later",
            "udp 10.0.0.2 > 10.0.0.3 fragments",
        ),
        (
            "udp 10.0.0.2:1 > 10.0.0.3:2 options 01010101",
            "udp 10.0.0.2 > 10.0.0.3",
        ),
        (
            "icmp 10.0.0.2 > 10.0.0.3 type 0 code 0",
            "icmp 10.0.0.2 > 10.0.0.3",
        ),
        ("ip6 ::1 > ::2 proto 1", "proto 1 ::1 > ::2"),
        ("arp", "arp"),
        ("ethertype 0x88cc", "ethertype 0x88cc"),
        ("00", "too short for ethernet"),
    ] {
        assert_eq!(key(frame), flow);
    }
}

#[test]
fn flows_keep_the_order_in_which_they_began() {
    let mut table = FlowTable::default();
    for (number, (text, verdict, reason)) in (1..).zip([
        (
            "udp 10.0.0.9:1 > 10.0.0.1:2",
            Verdict::Bypass,
            Reason::Rule(1),
        ),
        ("arp", Verdict::Buffer, Reason::NothingMatched),
        (
            "udp 10.0.0.9:1 > 10.0.0.1:2 len 5",
            Verdict::Buffer,
            Reason::Rule(0),
        ),
    ]) {
        let frame = parse(text).unwrap();
        let seen = Seen {
            number,
            wire_len: 100,
            cut: text == "arp",
        };
        table.add(FlowKey::of(&frame), seen, Decision { verdict, reason });
    }
    let flows = FlowTable::join([table]);
    let udp = &flows[0].totals;
    assert_eq!(flows[0].key.to_string(), "udp 10.0.0.9:1 > 10.0.0.1:2");
    assert_eq!(
        (udp.packets, udp.bytes, udp.buffered, udp.bypassed()),
        (2, 200, 1, 1)
    );
    assert_eq!(udp.decided_by, BTreeMap::from([(Some(0), 1), (Some(1), 1)]));
    assert_eq!(flows[1].totals.cut, 1);
}

proptest! {
    /// Whoever counts which frames, the flows are the same and add up to all frames.
    #[test]
    fn flows_add_up_to_all_frames(
        frames in prop::collection::vec(
            (0..6_u8, prop::collection::vec(any::<u8>(), 0..40), any::<bool>(), 0..5_usize, 0..4_usize),
            0..30,
        )
    ) {
        let mut tables = vec![FlowTable::default(); 4];
        let (mut alone, mut all) = (FlowTable::default(), Totals::default());
        for (number, (kind, rest, hold, rule, of)) in (0..).zip(&frames) {
            let mut frame = vec![0; 14];
            frame[13] = *kind;
            frame.extend(rest);
            let verdict = if *hold { Verdict::Buffer } else { Verdict::Bypass };
            let seen = Seen { number, wire_len: 1000, cut: frame.len() > 40 };
            let decision = Decision { verdict, reason: Reason::Rule(*rule) };
            for table in [&mut tables[*of], &mut alone] {
                table.add(FlowKey::of(&frame), seen, decision);
            }
            all.add(seen, decision);
        }
        let (joined, alone) = (FlowTable::join(tables), FlowTable::join([alone]));
        prop_assert_eq!(format!("{joined:?}"), format!("{alone:?}"));
        prop_assert_eq!(all, joined.iter().collect());
    }

    /// The fast view of the headers tells the same flows as the plain one.
    #[test]
    fn keys_are_what_the_packet_says(
        tagged: bool,
        v6: bool,
        protocol in prop::sample::select(vec![6_u8, 17, 1, 58, 132, 136, 44, 0]),
        mut frame in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let at = if tagged { 16 } else { 12 };
        let head = [0x81, 0, 0xe0, 5].into_iter().filter(|_| tagged);
        let head = head.chain(if v6 { [0x86, 0xdd] } else { [8, 0] });
        for (place, byte) in frame.iter_mut().skip(12).zip(head.chain([if v6 { 0x60 } else { 0x45 }])) {
            *place = byte;
        }
        if let Some(byte) = frame.get_mut(at + if v6 { 8 } else { 11 }) {
            *byte = protocol;
        }
        let packet = Packet::new(&frame);
        let key = FlowKey::of(&frame);
        let number = |field| packet.read(field);
        if frame.len() < 14 {
            prop_assert_eq!(key.ends, Ends::Short);
            return Ok(());
        }
        prop_assert_eq!(key.vlan.map(u128::from), number(Field::VlanId));
        let address = |v4, v6| number(v4).or_else(|| number(v6));
        let bits = |address| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        match key.ends {
            Ends::Ip { src, dst, protocol, fragment, ports } => {
                prop_assert_eq!(Some(bits(src)), address(Field::Src4, Field::Src6));
                prop_assert_eq!(Some(bits(dst)), address(Field::Dst4, Field::Dst6));
                prop_assert_eq!(packet.family() == Some(Family::V4), src.is_ipv4());
                prop_assert_eq!(Some(u128::from(protocol)), number(Field::Protocol));
                prop_assert_eq!(fragment, packet.fragment());
                let both = number(Field::Sport).zip(number(Field::Dport));
                prop_assert_eq!(ports.map(|(s, d)| (s.into(), d.into())), both);
            }
            other => {
                prop_assert_eq!(packet.family(), None);
                let ethertype = number(Field::Ethertype)
                    .map(|ethertype| Ends::Ethernet(u16::try_from(ethertype).unwrap()));
                prop_assert_eq!(Some(other), ethertype);
            }
        }
    }
}

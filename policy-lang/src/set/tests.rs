//! The set algebra on small known sets; the meaning itself is tested against `classify` elsewhere.

use super::*;
use crate::field::{Family, Field, Transport};

const SMALL: usize = 1 << 16;

fn udp_frame(bytes_behind_udp: usize) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17]);
    frame.resize(14 + 28 + bytes_behind_udp, 0);
    frame
}

#[test]
fn a_witness_is_in_its_set_and_nowhere_else() {
    let space = Space::new(SMALL).unwrap();
    let udp = space.plain(Family::V4, Transport::Udp, 0).unwrap();
    let frame = space.witness(&udp).unwrap().unwrap();
    assert_eq!(
        frame.len(),
        udp_frame(0).len(),
        "no longer than it has to be"
    );
    assert!(space.contains(&udp, &frame));
    assert!(!space.contains(&space.complement(&udp).unwrap(), &frame));
}

#[test]
fn a_header_cut_short_is_no_header() {
    let space = Space::new(SMALL).unwrap();
    let udp = space.plain(Family::V4, Transport::Udp, 0).unwrap();
    let whole = udp_frame(0);
    assert!(space.contains(&udp, &whole));
    assert!(!space.contains(&udp, &whole[..whole.len() - 1]));
}

#[test]
fn a_whole_tag_never_shows_as_an_ethertype() {
    let space = Space::new(SMALL).unwrap();
    let place = Field::Ethertype.place(Family::V4).unwrap();
    let typed = space
        .bits_in(place, &ValueSet::single(ETHERTYPE_VLAN.into()))
        .unwrap();
    let untagged = space.complement(&space.tagged().unwrap()).unwrap();
    let both = space.intersection(&typed, &untagged).unwrap();
    assert!(
        space
            .intersection(&both, &space.at_least(TAG_LEN).unwrap())
            .unwrap()
            .is_empty()
    );
    let cut = space.witness(&both).unwrap().unwrap();
    assert!(cut.len() < 14 + TAG_LEN);
}

#[test]
fn first_match_is_what_it_says() {
    let space = Space::new(SMALL).unwrap();
    let short = space.complement(&space.at_least(10).unwrap()).unwrap();
    let shorter = space.complement(&space.at_least(5).unwrap()).unwrap();
    let hold = space
        .decided(shorter.clone(), crate::Verdict::Buffer)
        .unwrap();
    let pass = space
        .decided(short.clone(), crate::Verdict::Bypass)
        .unwrap();
    let decided = space.first_match_all(vec![hold, pass]).unwrap();
    assert!(decided.matched == short);
    assert!(decided.bypass == space.minus(&short, &shorter).unwrap());
}

#[test]
fn a_space_that_is_too_small_says_so() {
    assert!(Space::new(8).is_err());
}

#[test]
fn the_shortest_frame_is_in_its_set_and_nothing_is_shorter() {
    let space = Space::new(SMALL).unwrap();
    for behind in [0_usize, 1, 45, 46, 1000, 65_534] {
        let long = space.at_least(behind).unwrap();
        let frame = space.shortest(&long).unwrap().unwrap();
        assert_eq!(Packet::new(&frame).network().len(), behind);
        assert!(space.contains(&long, &frame));
    }
    assert_eq!(space.shortest(&space.none()).unwrap(), None);
    // Not the first that a diagram leads to, which is long and untagged.
    let long = space.at_least(100).unwrap();
    let either = space.union(&long, &space.tagged().unwrap()).unwrap();
    let frame = space.shortest(&either).unwrap().unwrap();
    assert_eq!(frame.len(), 14 + TAG_LEN);
}

//! What is read, what is refused, and that a load behind the end of a frame is no match.

use policy_lang::Space;

use crate::readback::u32::read_batch;
use crate::readback::{Outcome, ReadbackError};

fn read(program: &str) -> (Space, Result<Outcome, ReadbackError>) {
    let space = Space::new(1 << 16).unwrap();
    let add = "filter add dev vif1.0 ingress";
    let text = format!(
        "{add} pref 65000 protocol all handle 1 bpf bytecode \"1,6 0 0 4294967295\" flowid :1 \
         action mirred egress redirect dev ifb0\n\
         {add} pref 10 protocol all handle 1 bpf bytecode \"{program}\" flowid :1\n"
    );
    let outcome = read_batch(&space, &text, "vif1.0");
    (space, outcome)
}

fn passes(program: &str, frame: &[u8]) -> bool {
    let (space, outcome) = read(program);
    let outcome = outcome.unwrap();
    let (bypass, held) = (&outcome.bypass, outcome.held.get("ifb0"));
    let held = held.is_some_and(|held| space.contains(held, frame));
    assert_ne!(space.contains(bypass, frame), held);
    !held
}

#[test]
fn a_load_behind_the_end_is_no_match() {
    let program = "2,48 0 0 14,6 0 0 4294967295";
    assert!(!passes(program, &[0; 14]));
    assert!(passes(program, &[0; 15]));
}

#[test]
fn masks_and_shifts_are_followed() {
    let program = "6,40 0 0 0,84 0 0 4032,116 0 0 6,21 1 0 37,6 0 0 0,6 0 0 1";
    let mut frame = [0; 14];
    frame[0..2].copy_from_slice(&(37_u16 << 6 | 0xf03f).to_be_bytes());
    assert!(passes(program, &frame));
    frame[1] ^= 0x40;
    assert!(!passes(program, &frame));
}

#[test]
fn a_service_tag_lies_beside_the_packet() {
    let program = "6,48 0 0 4294963248,21 0 2 1,40 0 0 12,21 1 0 2048,6 0 0 0,6 0 0 1";
    let tagged = |kind: [u8; 2]| [&[0; 12], &kind[..], &[0, 1, 8, 0, 0, 0]].concat();
    assert!(passes(program, &tagged([0x88, 0xa8])));
    assert!(passes(program, &tagged([0x81, 0x00])));
    assert!(!passes(program, &tagged([0x91, 0x00])));
}

#[test]
fn what_is_not_understood_is_refused() {
    for program in [
        "2,6 0 0 0",
        "1,5 0 0 7",
        "1,48 0 0 0",
        "2,48 0 0 4294963200,6 0 0 0",
        "2,177 0 0 14,6 0 0 0",
        "2,32 0 0 11,6 0 0 0",
        "3,40 0 0 0,84 0 0 5,6 0 0 0",
        "1,6 0 0",
    ] {
        let (_, outcome) = read(program);
        assert!(
            matches!(outcome, Err(ReadbackError::NotUnderstood { .. })),
            "{program}"
        );
    }
}

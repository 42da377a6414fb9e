//! The fast way to decide about a frame comes to what the judge says: the same verdict, by the same
//! rule. Tried on random policies and frames and on every capture, and proved for whole policies.

use compiler::verify::{in_space, verify_table};
use policy_lang::field::{Family, Field};
use policy_lang::packet::Packet;
use policy_lang::policy::{Condition, Policy, Rule, Test, Verdict};
use policy_lang::source::Span;
use policy_lang::values::{Range, ValueSet, max_value};
use policy_lang::{Headers, Space, SpaceFull, Table, classify};
use proptest::prelude::*;
use tests::captures::{directory, ethernet_frames};
use tests::examples::{all, checked};
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, policy, tabular};
use tests::generate::realistic;
use tests::skip;

const NODES: usize = 1 << 20;

/// Whole frames, what is left of them when they are cut anywhere, and any bytes.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let cut = (frame(), 0..120_usize).prop_map(|(mut frame, at)| {
        frame.truncate(at);
        frame
    });
    let bytes = proptest::collection::vec(any::<u8>(), 0..100);
    prop_oneof![6 => frame(), 3 => cut, 1 => bytes]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![2 => policy(Terms::All, 8), 1 => tabular(Terms::All)]
}

/// The fields that a packet has are where the fast view finds them.
fn assert_same_headers(frame: &[u8]) {
    let packet = Packet::new(frame);
    let Some(headers) = Headers::of(frame) else {
        assert!(frame.len() < 14, "{frame:02x?}");
        return;
    };
    assert_eq!(headers.tagged(), packet.tagged(), "{frame:02x?}");
    assert_eq!(headers.family(), packet.family(), "{frame:02x?}");
    assert_eq!(headers.transport(), packet.transport(), "{frame:02x?}");
    assert_eq!(headers.fragment(), packet.fragment(), "{frame:02x?}");
    assert_eq!(headers.network(), packet.network(), "{frame:02x?}");
    assert_eq!(headers.payload(), packet.payload(), "{frame:02x?}");
    let family = packet.family().unwrap_or(Family::V4);
    let ports = [Field::Sport, Field::Dport];
    for field in ports {
        let fast = headers.bytes(field, family).map(u16::from_be_bytes);
        assert_eq!(fast.map(u128::from), packet.read(field), "{frame:02x?}");
    }
    for field in [Field::Src4, Field::Dst4] {
        let fast = headers.bytes(field, Family::V4).map(u32::from_be_bytes);
        assert_eq!(fast.map(u128::from), packet.read(field), "{frame:02x?}");
    }
    for field in [Field::Src6, Field::Dst6] {
        let fast = headers.bytes(field, Family::V6).map(u128::from_be_bytes);
        assert_eq!(fast, packet.read(field), "{frame:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_fast_view_sees_the_same_headers(frames in proptest::collection::vec(any_frame(), 64)) {
        for frame in frames {
            assert_same_headers(&frame);
        }
    }

    #[test]
    fn the_table_decides_as_the_judge(
        policy in any_policy(),
        frames in proptest::collection::vec(any_frame(), 96),
    ) {
        let table = Table::new(&policy);
        prop_assert!(table.is_whole());
        for frame in frames {
            prop_assert_eq!(table.classify(&frame), classify(&policy, &frame), "{:02x?}", frame);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For all frames at once.
    #[test]
    fn the_table_is_proved(policy in any_policy()) {
        let space = Space::new(NODES).unwrap();
        prop_assert_eq!(verify_table(&space, &policy, &Table::new(&policy)).unwrap(), Ok(()));
    }
}

#[test]
fn tables_of_the_examples_are_proved() {
    for example in all() {
        let table = Table::new(&example.policy);
        assert!(table.is_whole(), "{}", example.name);
        let proof = in_space(|space| verify_table(space, &example.policy, &table));
        assert_eq!(proof, Ok::<_, SpaceFull>(Ok(())), "{}", example.name);
    }
}

#[test]
fn real_frames_are_decided_as_by_the_judge() {
    let name = "meaning::table::real_frames_are_decided_as_by_the_judge";
    let Some(directory) = directory() else {
        skip(name, "no shared/captures beside the project");
        return;
    };
    let frames = ethernet_frames(&directory).unwrap().frames;
    let mut policies: Vec<Policy> = all().into_iter().map(|example| example.policy).collect();
    policies.push(checked("large", &realistic::policy(300, Verdict::Bypass)));
    let tables: Vec<Table<'_>> = policies.iter().map(Table::new).collect();
    for (name, frame) in &frames {
        assert_same_headers(frame);
        for (policy, table) in policies.iter().zip(&tables) {
            assert_eq!(table.classify(frame), classify(policy, frame), "{name}");
        }
    }
    println!("{} frames", frames.len());
}

#[test]
fn large_lists_fit() {
    let policy = checked("large", &realistic::policy(2_000, Verdict::Bypass));
    let table = Table::new(&policy);
    assert!(table.is_whole());
    assert!(table.size() < 4 << 20, "{} bytes", table.size());
}

/// Every rule asks for other values of every address and port: what is left after each of them is
/// another list, so that the diagram grows with the product.
fn pathological(rules: u128) -> Policy {
    let fields = [
        Field::Src6,
        Field::Dst6,
        Field::SrcMac,
        Field::DstMac,
        Field::Sport,
        Field::Dport,
    ];
    let rule = |n: u128| {
        let of_field = |(field, at): (Field, u128)| {
            let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835 ^ at << 60 | 1);
            let max = max_value(field.width());
            let ranges = (0..8_u32).map(|turn| {
                let low = spread.rotate_left(turn * 13) & max;
                Range::new(low, low.saturating_add(max / 5).min(max))
            });
            Condition::Test {
                test: Test::Field(field, ValueSet::from_ranges(ranges.step_by(3))),
                span: Span::default(),
            }
        };
        Rule {
            verdict: if n.is_multiple_of(2) {
                Verdict::Bypass
            } else {
                Verdict::Buffer
            },
            condition: Condition::All(fields.into_iter().zip(1..).map(of_field).collect()),
            because: None,
            span: Span::default(),
        }
    };
    Policy {
        rules: (1..=rules).map(rule).collect(),
        ..checked("none", "")
    }
}

#[test]
fn what_does_not_fit_is_left_to_the_judge() {
    let policy = pathological(400);
    let start = std::time::Instant::now();
    let table = Table::new(&policy);
    println!("{:?}, {} bytes", start.elapsed(), table.size());
    assert!(!table.is_whole(), "{} bytes", table.size());
    assert!(table.size() < 64 << 20, "{} bytes", table.size());
    proptest!(ProptestConfig::with_cases(64), |(frame in any_frame())| {
        prop_assert_eq!(table.classify(&frame), classify(&policy, &frame), "{:02x?}", frame);
    });
}

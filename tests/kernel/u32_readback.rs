//! The read-back of u32 filters against the kernel itself: random filters, random frames.
//!
//! Filters and frames draw from few values, so that keys match, hash keys choose, and words lie past
//! the end of a frame again and again. Neither of them looks like a policy's: what is tested is
//! whether `compiler::readback::u32` understands the kernel, not whether a policy is kept.

use std::fmt::Write as _;

use compiler::readback::{Outcome, u32::read_batch, u32::read_listing};
use libtest_mimic::{Failed, Trial};
use policy_lang::Space;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::netlab::{Lab, Observed, VIF};

use crate::Here;

const NODES: usize = 1 << 20;
/// Sets of filters that are loaded one after the other.
const ROUNDS: usize = 25;
/// Frames that are sent through each of them.
const FRAMES: usize = 200;
const HOLD: &str = "action mirred egress redirect dev ifb0";

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial(
            "u32_readback::random_filters_do_what_is_read_back",
            random_filters,
        ),
        here.trial("u32_readback::the_traps_by_hand", traps),
    ]
}

/// A frame's destination and source, tags, ethertype, and a few bytes behind.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let byte = || select(&[0_u8, 1, 2, 3, 0x45, 0xff][..]);
    let tags = prop_oneof![
        4 => Just(vec![]),
        2 => Just(vec![0x8100_u16]),
        2 => Just(vec![0x88a8]),
        1 => select(&[0x8100_u16, 0x88a8, 0x9100][..]).prop_map(|inner| vec![0x8100, inner]),
        1 => select(&[0x8100_u16, 0x88a8, 0x9100][..]).prop_map(|inner| vec![0x88a8, inner]),
    ];
    (
        [byte(), byte()],
        tags,
        select(&[0x0800_u16, 0x0800, 0x86dd, 0x0101, 0x9100, 2, 0][..]),
        proptest::collection::vec(byte(), 0..28),
    )
        .prop_map(|(address, tags, ethertype, behind)| {
            let mut frame = vec![2, 0, 0, 0, 0, address[0], 2, 0, 0, 0, 0, address[1]];
            for tag in tags {
                frame.extend(tag.to_be_bytes());
                frame.extend([0, address[1] & 3]);
            }
            frame.extend(ethertype.to_be_bytes());
            frame.extend(behind);
            frame
        })
}

/// One key, as tc takes it.
fn key() -> impl Strategy<Value = String> {
    let offset = || {
        select(
            &[
                -14, -12, -8, -4, -2, 0, 0, 1, 2, 3, 4, 8, 9, 10, 11, 16, 20, 23,
            ][..],
        )
    };
    let value = || select(&[0_u32, 0, 0, 1, 2, 3, 0x45, 0xff][..]);
    let mask = || select(&[0_u32, 1, 1, 2, 3, 0xff][..]);
    prop_oneof![
        (value(), mask(), offset()).prop_map(|(v, m, at)| format!("match u8 {v} {m:#x} at {at}")),
        (value(), mask(), offset()).prop_map(|(v, m, at)| format!("match u16 {v} {m:#x} at {at}")),
        (value(), mask(), offset()).prop_map(|(v, m, at)| {
            format!(
                "match u32 {:#x} {:x} at {}",
                v << 8,
                m << 8,
                at.max(-12) & !3
            )
        }),
        select(&[0x0800_u32, 0x86dd, 2, 0x8100, 0x9100][..])
            .prop_map(|kind| format!("match u16 {kind:#x} 0xffff at -2")),
    ]
}

/// What a rule does: link, class, action, or some of them.
fn end() -> impl Strategy<Value = String> {
    let hash = prop_oneof![
        1 => Just(String::new()),
        4 => (
            select(&[0_u32, 1, 3, 0x0f, 0x0300, 0xff00, 0x0005_0000, 0x0f00_0000, 0xc000_0000][..]),
            select(&[-12, -8, -4, 0, 4, 8, 16][..]),
        )
            .prop_map(|(mask, at)| format!("hashkey mask {mask:#010x} at {at}")),
    ];
    let link = prop_oneof![
        2 => Just(String::new()),
        2 => (1_u32..4, hash).prop_map(|(table, hash)| format!("link {table}: {hash}")),
    ];
    let last = prop_oneof![
        1 => Just(String::new()),
        2 => Just("flowid :1".to_owned()),
        2 => Just(HOLD.to_owned()),
        1 => Just(format!("{HOLD} flowid 1:7")),
    ];
    (link, last).prop_map(|(link, last)| format!("{link} {last}"))
}

/// Filters in three preferences, some of them in tables with numbers 1 to 3.
fn batch() -> impl Strategy<Value = String> {
    let protocol = || select(&["all", "all", "ip", "802.1Q", "802.1ad", "802_2", "0x9100"][..]);
    let tables = [1_u32, 1, 1].map(|_| select(&[1_u32, 2, 4, 16][..]));
    let rule = (
        0_usize..3,
        prop_oneof![3 => Just(0_u32), 4 => 1_u32..4],
        0_u32..16,
        proptest::option::of(1_u32..0x40),
        proptest::collection::vec(key(), 1..4),
        end(),
    );
    (
        [protocol(), protocol(), protocol()],
        tables,
        proptest::collection::vec(rule, 1..14),
        any::<bool>(),
    )
        .prop_map(|(protocols, tables, rules, hold_last)| {
            let add = |pref: usize| {
                let protocol = protocols[pref];
                format!(
                    "filter add dev {VIF} ingress pref {} protocol {protocol}",
                    (pref + 1) * 10
                )
            };
            let mut text = String::new();
            for (table, divisor) in (1..).zip(tables) {
                writeln!(text, "{} handle {table}: u32 divisor {divisor}", add(0)).unwrap();
            }
            for (pref, table, bucket, node, keys, end) in rules {
                let bucket = if table == 0 { 0 } else { bucket % tables[table as usize - 1] };
                let handle = node.map_or_else(String::new, |node| format!("handle ::{node:x} "));
                let ht = match table {
                    0 => String::new(),
                    _ => format!("ht {table}:{bucket:x}: "),
                };
                writeln!(text, "{} {handle}u32 {ht}{} {end}", add(pref), keys.join(" ")).unwrap();
            }
            if hold_last {
                writeln!(
                    text,
                    "filter add dev {VIF} ingress pref 99 protocol all u32 match u32 0 0 at -12 {HOLD}"
                )
                .unwrap();
            }
            text
        })
}

/// Random numbers that are the same in every run.
fn runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config::default(), rng)
}

fn draw<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    let tree = strategy
        .new_tree(runner)
        .expect("the strategy never rejects");
    tree.current()
}

/// A laboratory with an IFB and the hook.
fn lab() -> Result<Lab, Failed> {
    let lab = Lab::new()?;
    lab.shell("ip link add ifb0 type ifb; ip link set ifb0 arp off up")?;
    Ok(lab)
}

/// Loads a batch in the place of what was there; says whether tc and the kernel took all of it.
fn load(lab: &Lab, batch: &str) -> Result<bool, Failed> {
    lab.shell(&format!(
        "tc qdisc del dev {VIF} clsact 2>/dev/null || true; tc qdisc add dev {VIF} clsact"
    ))?;
    Ok(lab
        .shell(&format!("tc -batch - <<'BATCH'\n{batch}BATCH\n"))
        .is_ok())
}

/// The kernel drops frames with a cut tag before the hook.
fn never_arrives(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) && frame.len() < 20
}

fn expected(space: &Space, outcome: &Outcome, frame: &[u8]) -> Observed {
    if never_arrives(frame) || space.contains(&outcome.dropped, frame) {
        Observed::Dropped
    } else if space.contains(&outcome.bypass, frame) {
        Observed::Bypassed
    } else {
        Observed::Held
    }
}

/// Sends the frames through loaded filters and compares; what tc lists must mean the same, too.
fn compare(lab: &Lab, space: &Space, batch: &str, frames: &[Vec<u8>]) -> Result<usize, Failed> {
    let outcome = read_batch(space, batch, VIF).map_err(|e| format!("{e}\n{batch}"))?;
    for options in ["", "-s -d"] {
        let listed = lab.shell(&format!("tc {options} filter show dev {VIF} ingress"))?;
        let listed = String::from_utf8(listed.stdout)?;
        let again = read_listing(space, &listed).map_err(|e| format!("{e}\n{listed}"))?;
        if again != outcome {
            return Err(format!("the listing means something else\n{batch}\n{listed}").into());
        }
    }
    let run = lab.run(Some("ifb0"), frames)?;
    let mut held = 0;
    for (frame, seen) in frames.iter().zip(&run.observations) {
        let wanted = expected(space, &outcome, frame);
        held += usize::from(wanted == Observed::Held);
        if seen.observed != wanted {
            let seen = seen.observed;
            return Err(format!("{seen:?} and not {wanted:?}: {frame:02x?}\n{batch}").into());
        }
    }
    Ok(held)
}

fn random_filters() -> Result<(), Failed> {
    let lab = lab()?;
    let mut runner = runner();
    let (batches, one) = (batch(), frame());
    let (mut rounds, mut refused, mut held) = (0, 0, 0);
    while rounds < crate::number("EPOCHGATE_POLICIES", ROUNDS) {
        let space = Space::new(NODES)?;
        let batch = draw(&batches, &mut runner);
        let taken = load(&lab, &batch)?;
        // Contradicting keys and handles that are taken: both refuse the same batches.
        if read_batch(&space, &batch, VIF).is_ok() != taken {
            let read = read_batch(&space, &batch, VIF);
            return Err(format!("taken: {taken}, read: {read:?}\n{batch}").into());
        }
        if !taken {
            refused += 1;
            continue;
        }
        let frames: std::collections::BTreeSet<_> =
            (0..FRAMES).map(|_| draw(&one, &mut runner)).collect();
        let frames: Vec<_> = frames.into_iter().collect();
        held += compare(&lab, &space, &batch, &frames)?;
        rounds += 1;
    }
    eprintln!("u32: {rounds} sets of filters, {held} frames held, {refused} sets refused by all");
    assert!(held > 0 && refused > 0);
    Ok(())
}

/// Filters that the random ones meet too seldom.
fn traps() -> Result<(), Failed> {
    let lab = lab()?;
    let add = format!("filter add dev {VIF} ingress pref 10 protocol all");
    let mut deep = String::new();
    for links in [8_u32, 9] {
        let mut text = String::new();
        for table in 1..=links {
            writeln!(text, "{add} handle {table:x}: u32 divisor 1")?;
        }
        for table in 1..=links {
            let from = if table == 1 { 0x800 } else { table - 1 };
            writeln!(
                text,
                "{add} handle {from:x}:0:1 u32 ht {from:x}: match u32 0 0 at -4 link {table:x}:"
            )?;
        }
        writeln!(
            text,
            "{add} handle {links:x}:0:1 u32 ht {links:x}: match u32 0 0 at -4 {HOLD}"
        )?;
        if links == 8 {
            deep = text;
        } else {
            // The ninth link ends the preference, so the hold behind the eighth is not reached.
            text += &format!("{add} handle ::2 u32 match u32 0 0 at -4 {HOLD}\n");
            deep += "---\n";
            deep += &text;
        }
    }
    let mut runner = runner();
    let one = frame();
    let others = [
        // A preference's rules in the root of another.
        format!(
            "{add} u32 match u8 0x46 0xff at 0 flowid :1\n\
             filter add dev {VIF} ingress pref 20 protocol ip u32 ht 800: match u32 0 0 at -4 {HOLD}\n\
             filter add dev {VIF} ingress pref 30 protocol ip u32 divisor 4\n\
             filter add dev {VIF} ingress pref 30 protocol 0x0800 u32 ht 803:3: match u32 0 0 at 0\n"
        ),
        // A table that links to itself.
        format!(
            "{add} handle 2: u32 divisor 1\n\
             {add} handle 2:0:1 u32 ht 2: match u8 1 1 at 0 link 2:\n\
             {add} handle 2:0:2 u32 ht 2: match u32 0 0 at 0 {HOLD}\n\
             {add} handle ::1 u32 match u32 0 0 at -4 link 2:\n\
             {add} handle ::2 u32 match u32 0 0 at -4 flowid :1\n"
        ),
        // Raw 802.3, told from LLC by its first two bytes.
        format!(
            "filter add dev {VIF} ingress pref 10 protocol 802_3 u32 match u32 0 0 at -4 {HOLD}\n"
        ),
    ];
    for batch in deep.split("---\n").chain(others.iter().map(String::as_str)) {
        let space = Space::new(NODES)?;
        assert!(load(&lab, batch)?, "{batch}");
        let frames: std::collections::BTreeSet<_> =
            (0..FRAMES).map(|_| draw(&one, &mut runner)).collect();
        let frames: Vec<_> = frames.into_iter().collect();
        compare(&lab, &space, batch, &frames)?;
    }
    Ok(())
}

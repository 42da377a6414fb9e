//! `replay`: a call through the gate, as a table, as JSON and as a capture.

use serde_json::Value;

use crate::program::{run, run_with};

const PAPER: &str = "examples/paper.gate";
const ALL_HELD: &str = "examples/remus.gate";

/// A pcap file of a G.711 call of `packets` packets, 20 ms apart.
pub(crate) fn call(packets: u16) -> Vec<u8> {
    let head = compiler::frame_text::parse("udp 10.0.0.2:17000 > 192.0.2.9:40000 len 172").unwrap();
    let records: Vec<compiler::capture::Record> = (0..packets)
        .map(|n| {
            let mut frame = head[..42].to_vec();
            frame.extend([0x80, 8]);
            frame.extend(n.to_be_bytes());
            frame.extend((u32::from(n) * 160).to_be_bytes());
            frame.extend(0x0e57_u32.to_be_bytes());
            frame.extend([0xd5; 160]);
            compiler::capture::Record {
                number: u64::from(n) + 1,
                time: std::time::Duration::from_millis(1000 + 20 * u64::from(n)),
                original_len: u32::try_from(frame.len()).unwrap(),
                frame,
            }
        })
        .collect();
    compiler::capture::write::pcap(&records)
}

#[test]
fn a_call_before_and_after() {
    let args = [
        "replay",
        ALL_HELD,
        "-",
        "--interval",
        "300ms",
        "--pause",
        "20ms",
    ];
    let table = run_with(&args, &call(500)).exits(0);
    assert_eq!(table.err, "");
    insta::assert_snapshot!("replay-table", table.out);
    let json = run_with(&[&args[..], &["--json"]].concat(), &call(500)).exits(0);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    insta::assert_json_snapshot!("replay-json", json);
}

#[test]
fn the_policys_own_interval_counts_unless_told_otherwise() {
    let period = |args: &[&str]| {
        let run = run_with(
            &[&["replay", PAPER, "-", "--json"], args].concat(),
            &call(9),
        );
        let json: Value = serde_json::from_str(&run.exits(0).out).unwrap();
        json["gate"]["period_ms"].as_f64().unwrap()
    };
    for (args, expected) in [
        (&[][..], 300.0),
        (&["--interval", "40ms"], 40.0),
        (&["--pause", "20ms", "--transfer", "80ms"], 400.0),
        (
            &[
                "--pause",
                "20ms",
                "--transfer",
                "80ms",
                "--timer",
                "suspend",
            ],
            300.0,
        ),
    ] {
        assert!((period(args) - expected).abs() < 1e-9, "{args:?}");
    }
}

#[test]
fn what_is_written_is_the_after() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out.pcap");
    let out = out.to_str().unwrap();
    let figures = |args: &[&str], input: &[u8], when: &str| {
        let json: Value = serde_json::from_str(&run_with(args, input).exits(0).out).unwrap();
        json["streams"][0][when].clone()
    };
    let after = figures(
        &["replay", ALL_HELD, "-", "--json", "-w", out],
        &call(200),
        "after",
    );
    let before = figures(&["replay", ALL_HELD, out, "--json"], b"", "before");
    assert_eq!(after, before);
    assert_eq!(after["longest_burst"], 10);
}

#[test]
fn wrong_times_and_captures_are_told() {
    for (args, told) in [
        (["--interval", "0ms"], "must be more than zero"),
        (["--interval", "3 weeks"], "such as `40ms`"),
        (["--guest", "10.0.0"], "invalid IP address"),
    ] {
        let run = run(&[&["replay", PAPER, "-"], &args[..]].concat()).exits(2);
        assert!(run.err.contains(told), "{}", run.err);
    }
    let damaged = &call(50)[..5000];
    let run = run_with(&["replay", PAPER, "-"], damaged).exits(1);
    assert!(run.out.contains("before") && run.err.contains("ends in the middle"));
}

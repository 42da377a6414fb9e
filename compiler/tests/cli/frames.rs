//! `explain` and `trace`: what they say about frames.

use std::fmt::Write;

use crate::program::{run, run_with};

const VOIP: &str = "tests/cases/accept/voip.gate";

#[test]
fn explain_tells_the_story_of_each_frame() {
    let frames = [
        "udp 10.0.0.2:17000 > 192.0.2.9:40000 rtp pt 8 len 172",
        "udp 10.0.0.2:5060 > 192.0.2.9:5060",
        "udp 10.0.0.2:16383 > 192.0.2.9:16384 len 172",
        "udp 10.0.0.2:17000 > 192.0.2.9:40000 frag-later",
        "udp [2001:db8::2]:17000 > [2001:db8::9]:40000 payload 80",
        "tcp 10.0.0.2:17000 > 192.0.2.9:40000 flags syn",
        "arp",
        "ethertype 0x88cc payload 0207",
        "ffffffffffff",
        "02 00 00 00 00 01 02 00 00 00 00 02 88 a8 00 01 08 00 45",
    ];
    let mut told = String::new();
    for frame in frames {
        let run = run(&["explain", VOIP, frame]).exits(0);
        assert_eq!(run.err, "");
        writeln!(told, "$ {frame}\n{}", run.out).unwrap();
    }
    insta::assert_snapshot!("explain", told);
}

#[test]
fn explain_takes_words_one_by_one_and_frames_one_by_one() {
    let words = [
        "explain",
        VOIP,
        "udp",
        "10.0.0.2:17000",
        ">",
        "192.0.2.9:4",
        "len",
        "9",
    ];
    let quoted = ["explain", VOIP, "udp 10.0.0.2:17000 > 192.0.2.9:4 len 9"];
    assert_eq!(run(&words).exits(0).out, run(&quoted).exits(0).out);
    let two = run(&["explain", VOIP, "arp", "udp 10.0.0.2:1 > 10.0.0.3:2"])
        .exits(0)
        .out;
    assert_eq!(two.matches("verdict").count(), 2);
    let wrong = run(&["explain", VOIP, "arp", "udp 10.0.0.2:1 > nowhere"]).exits(2);
    insta::assert_snapshot!("explain-wrong-frame", wrong.transcript());
}

/// A pcap file of these frames with this link type.
fn pcap(link_type: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    for word in [0, 0, 65535, link_type] {
        file.extend(u32::to_le_bytes(word));
    }
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap();
        for word in [1, 0, length, length.max(60)] {
            file.extend(word.to_le_bytes());
        }
        file.extend(*frame);
    }
    file
}

fn frame(text: &str) -> Vec<u8> {
    compiler::frame_text::parse(text).unwrap()
}

fn call() -> Vec<u8> {
    let media = frame("udp 10.0.0.2:17000 > 192.0.2.9:40000 rtp pt 8 len 172");
    let sip = frame("udp 10.0.0.2:5060 > 192.0.2.9:5060 len 300");
    let cut = frame("udp [2001:db8::2]:17000 > [2001:db8::9]:40000 rtp pt 0 len 172");
    let lldp = frame("ethertype 0x88cc payload 0207");
    pcap(1, &[&sip, &media, &media, &cut[..50], &lldp, &media])
}

#[test]
fn trace_counts_flows() {
    let run = |format| {
        run_with(&["trace", VOIP, "-", "--format", format], &call())
            .exits(0)
            .out
    };
    insta::assert_snapshot!("trace-table", run("table"));
    let json: serde_json::Value = serde_json::from_str(&run("json")).unwrap();
    insta::assert_json_snapshot!("trace-json", json);
}

#[test]
fn explain_shows_a_captured_frame() {
    let all = run_with(&["explain", VOIP, "--pcap", "-"], &call())
        .exits(0)
        .out;
    assert_eq!(all.matches("verdict").count(), 6);
    let one = run_with(&["explain", VOIP, "--pcap", "-", "--frame", "4"], &call())
        .exits(0)
        .out;
    assert!(
        one.starts_with("frame 4 (cut to 50 of 60 bytes)\n"),
        "{one}"
    );
    assert!(all.contains(&one));
    let none = run_with(&["explain", VOIP, "--pcap", "-", "--frame", "7"], &call());
    assert!(
        none.exits(2)
            .err
            .contains("no Ethernet frame with number 7")
    );
}

#[test]
fn damaged_captures_are_told_after_what_could_be_read() {
    let whole = call();
    let damaged = &whole[..whole.len() - 3];
    let traced = run_with(&["trace", VOIP, "-"], damaged).exits(1);
    assert!(traced.out.contains("total"), "{}", traced.out);
    assert!(traced.err.contains("`<stdin>`"), "{}", traced.err);
    let explained = run_with(&["explain", VOIP, "--pcap", "-"], damaged).exits(1);
    assert_eq!(explained.out.matches("verdict").count(), 5);
    for bytes in [&b""[..], b"no capture", &pcap(113, &[&[0; 20]])] {
        let run = run_with(&["trace", VOIP, "-"], bytes).exits(1);
        assert!(run.err.starts_with("error: `<stdin>`"), "{}", run.err);
        run_with(&["explain", VOIP, "--pcap", "-"], bytes).exits(1);
    }
}

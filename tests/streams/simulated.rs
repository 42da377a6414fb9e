//! Simulated calls, written as captures: `simulate` says of them what tshark prints.

use std::fs;
use std::time::Duration;

use compiler::capture::{Record, write};
use compiler::frame_text;
use qdisc_model::metrics::Arrival;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{
    Calls, Checkpoints, Codec, Config, Failover, Network, Outcome, Verdicts, run,
};
use tests::{skip, tshark};

const MS: u64 = 1_000_000;
const SSRC: u32 = 0x0e57_0e57;

/// A call of half a minute with every kind of disturbance but checkpoints.
fn disturbed(codec: Codec) -> Config {
    let held = Verdict::Buffer;
    Config {
        seed: 7,
        duration: 30_000 * MS,
        calls: Calls {
            count: 1,
            codec,
            packet_time: 20 * MS,
            silences: true,
            timer_noise: MS / 5,
        },
        signalling_rate: 0.0,
        bulk: None,
        verdicts: Verdicts {
            media: held,
            signalling: held,
            bulk: held,
        },
        limit: 64 << 20,
        checkpoints: None,
        network: Network {
            rate: 1e8,
            delay: 20 * MS,
            noise: 3 * MS,
            loss: 0.02,
        },
        failover: None,
        assumptions: Assumptions::default(),
        record: true,
    }
}

const CHECKPOINTS: Checkpoints = Checkpoints {
    interval: 300 * MS,
    timer: Timer::AfterCommit,
    pause: 30 * MS,
    dirty_rate: 4e6,
    working_set: 64e6,
    copy_rate: 1e9,
    link_rate: 1e9,
    acknowledgement: 0,
};

/// The frame in which a packet arrives.
fn record(number: u64, packet: &Arrival, codec: Codec) -> Record {
    let payload = usize::try_from(codec.bit_rate() / 8 / 50).unwrap();
    let head = format!("udp 10.0.0.2:16384 > 192.0.2.9:40000 len {}", 12 + payload);
    let mut frame = frame_text::parse(&head).unwrap();
    frame.truncate(14 + 20 + 8);
    frame.extend([0x80, packet.payload_type | u8::from(packet.marker) << 7]);
    frame.extend(packet.sequence.to_be_bytes());
    frame.extend(packet.timestamp.to_be_bytes());
    frame.extend(SSRC.to_be_bytes());
    frame.resize(frame.len() + payload, 0xd5);
    Record {
        number,
        // Milliseconds made of whole nanoseconds, which come back exactly.
        time: Duration::from_nanos((packet.at_ms * 1e6).round() as u64),
        original_len: u32::try_from(frame.len()).unwrap(),
        frame,
    }
}

/// An INVITE whose SDP says what the dynamic payload type of Opus is: without it nobody knows its
/// clock.
fn announcement() -> Record {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
               m=audio 40000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n";
    let message = format!(
        "INVITE sip:a@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1\r\n\
         From: <sip:b@192.0.2.9>;tag=1\r\nTo: <sip:a@10.0.0.2>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    let head = format!("udp 192.0.2.9:5060 > 10.0.0.2:5060 len {}", message.len());
    let mut frame = frame_text::parse(&head).unwrap();
    frame.truncate(14 + 20 + 8);
    frame.extend(message.as_bytes());
    Record {
        number: 1,
        time: Duration::ZERO,
        original_len: u32::try_from(frame.len()).unwrap(),
        frame,
    }
}

/// As tshark would print what `simulate` says of the one call: packets, lost, largest gap, mean and
/// largest jitter.
fn said(outcome: &Outcome) -> (u64, i64, [String; 3]) {
    let calls = &outcome.calls;
    let times = [
        calls.max_delta_ms,
        calls.mean_jitter_ms,
        calls.max_jitter_ms,
    ];
    let printed = times.map(|time| format!("{time:.3}"));
    (calls.packets, calls.lost, printed)
}

#[test]
fn simulated_calls_are_as_tshark_prints_them() {
    if !tshark::is_here() {
        skip(
            "streams::simulated_calls_are_as_tshark_prints_them",
            "no tshark",
        );
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("call.pcap");
    for codec in [Codec::G711, Codec::G729, Codec::Opus] {
        let free = disturbed(codec);
        let held = Config {
            checkpoints: Some(CHECKPOINTS),
            ..free
        };
        let passing = Config {
            verdicts: Verdicts {
                media: Verdict::Bypass,
                ..held.verdicts
            },
            ..held
        };
        let failing = Config {
            failover: Some(Failover {
                at: 15_100 * MS,
                detection: 1_000 * MS,
                announcement: 200 * MS,
            }),
            ..passing
        };
        for (name, config) in [
            ("no checkpoints", free),
            ("held", held),
            ("passing", passing),
            ("failing", failing),
        ] {
            let outcome = run(&config, |_, _| ());
            let packets = outcome.points.iter().map(|point| &point.arrival);
            let mut records = vec![announcement()];
            records.extend(
                (2..)
                    .zip(packets)
                    .map(|(n, packet)| record(n, packet, codec)),
            );
            fs::write(&path, write::pcap(&records)).unwrap();
            let streams = tshark::streams(&path, false).unwrap();
            let theirs = &streams[&(16_384, 40_000, SSRC)];
            let [_, _, delta, _, mean, most] = theirs.milliseconds.clone();
            let at = format!("{codec:?}, {name}");
            let theirs = (theirs.packets, theirs.lost, [delta, mean, most]);
            assert_eq!(said(&outcome), theirs, "{at}");
            assert!(
                outcome.calls.packets > 300 && outcome.calls.lost != 0,
                "{at}"
            );
        }
    }
}

//! Captures through gates.

mod plain;

use std::io::{self, Read};
use std::time::Duration;

use policy_lang::Policy;
use policy_lang::source::SourceFile;
use proptest::prelude::*;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::schedule::{Schedule, Timer};

use super::{Options, Replay, Replayed, replay};
use crate::capture::{Record, write};
use crate::frame_text::parse;

fn policy(text: &str) -> Policy {
    let (policy, findings) = policy_lang::check(&SourceFile::new("test", text));
    policy.unwrap_or_else(|| panic!("{findings:?}"))
}

/// One G.711 packet every 20 ms from 1 s on, and a TCP segment with each.
fn call(packets: u16) -> Vec<Record> {
    let tcp = parse("tcp 10.0.0.2:80 > 192.0.2.9:4000 flags ack").unwrap();
    (0..packets)
        .flat_map(|n| {
            let mut rtp = parse("udp 10.0.0.2:17000 > 192.0.2.9:40000 payload 80").unwrap();
            rtp.truncate(42);
            rtp.extend([0x80, 8]);
            rtp.extend(n.to_be_bytes());
            rtp.extend((u32::from(n) * 160).to_be_bytes());
            rtp.extend([0, 0, 0, 7]);
            rtp.extend([0; 160]);
            [rtp, tcp.clone()].map(|frame| Record {
                number: 1,
                time: Duration::from_millis(1000 + 20 * u64::from(n)),
                original_len: u32::try_from(frame.len()).unwrap(),
                frame,
            })
        })
        .collect()
}

fn run(text: &str, interval: u64, guest: &[&str]) -> Replayed {
    replay(&policy(text), &options(interval, guest), &call(2000))
}

fn options(interval: u64, guest: &[&str]) -> Options {
    Options {
        schedule: Schedule {
            interval: interval * 1_000_000,
            timer: Timer::FromSuspend,
            pause: 0,
            transfer: 0,
        },
        limit: 1 << 20,
        guest: guest
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
        assumptions: Assumptions::default(),
    }
}

#[test]
fn a_bypassed_stream_is_untouched() {
    let replayed = run("buffer tcp; default bypass;", 300, &[]);
    let [stream] = replayed.streams.as_slice() else {
        panic!("one stream");
    };
    assert_eq!(stream.before, stream.after);
    assert_eq!((stream.held, stream.before.packets), (0, 2000));
    assert_eq!(
        (replayed.held.packets, replayed.bypassed.packets),
        (2000, 2000)
    );
    assert_eq!(replayed.most_held.packets, 15);
    assert!((replayed.waited_ms.1 - 300.0).abs() < 1e-6);
}

#[test]
fn a_held_stream_comes_in_bursts() {
    let replayed = run("buffer;", 300, &[]);
    let stream = &replayed.streams[0];
    assert_eq!(
        (stream.held, stream.after.packets, stream.after.lost),
        (2000, 2000, 0)
    );
    assert!((stream.after.max_delta_ms - 300.0).abs() < 1e-6);
    // RFC 3550's jitter saturates; an independent estimate of this case gave 37.1 ms.
    let jitter = stream.after.mean_jitter_ms.unwrap();
    assert!((jitter - 37.1).abs() < 1.0, "{jitter}");
    assert_eq!(stream.after.longest_burst, 15);
    assert!(stream.after.mos.unwrap() < 1.5 && stream.before.mos.unwrap() > 4.3);
}

#[test]
fn what_others_send_is_left_alone() {
    let replayed = run("buffer;", 300, &["10.0.0.77"]);
    assert_eq!(replayed.streams[0].before, replayed.streams[0].after);
    assert_eq!(replayed.foreign, 4000);
    let replayed = run("buffer;", 300, &["10.0.0.77", "10.0.0.2"]);
    assert_eq!(replayed.held.packets, 4000);
}

#[test]
fn the_output_is_what_was_measured() {
    let replayed = run("buffer;", 300, &[]);
    let after = &replayed.streams[0].after;
    let file = write::pcap(&replayed.output);
    let records = crate::capture::Capture::open(&file).unwrap();
    let records: Vec<Record> = records.map(Result::unwrap).collect();
    assert!(records.is_sorted_by_key(|record| record.time));
    let options = Options {
        schedule: Schedule {
            interval: 1,
            timer: Timer::FromSuspend,
            pause: 0,
            transfer: 0,
        },
        limit: 0,
        guest: vec!["10.0.0.77".parse().unwrap()],
        assumptions: Assumptions::default(),
    };
    let again = replay(&policy("buffer;"), &options, &records);
    assert_eq!(&again.streams[0].before, after);
}

/// Wherever the disorder is: the gate has already taken thousands of frames when it comes to the
/// end of these.
#[test]
fn the_order_of_the_file_changes_nothing() {
    let mut records = call(6000);
    for (record, shift) in records.iter_mut().zip((0..).step_by(1000)) {
        record.time += Duration::from_nanos(shift);
    }
    let policy = policy("buffer udp; default bypass;");
    for guest in [&[][..], &["10.0.0.2"], &["192.0.2.9"]] {
        let wanted = replay(&policy, &options(300, guest), &records);
        assert_eq!(wanted.streams.len(), 1);
        let last = records.len() - 1;
        for (one, other) in [(0, 1), (0, last), (4095, 4096), (last - 1, last)] {
            let mut mixed = records.clone();
            mixed.swap(one, other);
            let replayed = replay(&policy, &options(300, guest), &mixed);
            assert_eq!(format!("{replayed:?}"), format!("{wanted:?}"));
            let file = write::pcap(&mixed);
            let replay = Replay::new(&policy, options(300, guest), true);
            assert!(replay.in_order(&file[..]).unwrap().is_none());
            let (mut replayed, _) = replay.in_any_order(&file[..]).unwrap();
            for record in &mut replayed.output {
                // The file counts them; these do not.
                record.number = 1;
            }
            assert_eq!(format!("{replayed:?}"), format!("{wanted:?}"));
        }
    }
}

/// Gives so many bytes at once, at most: each of them becomes a piece of its own.
struct Slowly<'file>(&'file [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.1.min(buffer.len());
        self.0.read(&mut buffer[..most])
    }
}

/// RTP of a few streams that stand still, jump or go on; descriptions that let ends take RTP or
/// something else; TCP; and something that is no IP.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let rtp = (
        0..2_u8,
        0..2_u8,
        0..3_u32,
        0..20_u16,
        prop::sample::select(vec![8, 18, 96]),
    );
    let rtp = rtp.prop_map(|(from, to, ssrc, sequence, payload_type)| {
        let text = format!("udp 10.0.0.{from}:17000 > 192.0.2.{to}:40000 payload 80");
        let mut frame = parse(&text).unwrap();
        frame.truncate(42);
        frame.extend([0x80, payload_type]);
        frame.extend(sequence.to_be_bytes());
        frame.extend((u32::from(sequence) * 160).to_be_bytes());
        frame.extend(ssrc.to_be_bytes());
        frame
    });
    let description = (0..2_u8, any::<bool>()).prop_map(|(end, fax)| {
        let mut frame = parse("udp 192.0.2.9:5060 > 10.0.0.1:5060 payload 00").unwrap();
        frame.truncate(42);
        let media = if fax {
            "image 40000 udptl t38"
        } else {
            "audio 40000 RTP/AVP 8 96"
        };
        let map = "a=rtpmap:96 opus/48000/2";
        frame.extend(format!("v=0\r\nc=IN IP4 192.0.2.{end}\r\nm={media}\r\n{map}\r\n").bytes());
        frame
    });
    let other = prop::sample::select(vec!["tcp 10.0.0.1:80 > 192.0.2.9:4000", "arp"]);
    prop_oneof![
        8 => rtp,
        1 => description,
        2 => other.prop_map(|text| parse(text).unwrap()),
    ]
}

proptest! {
    /// Through threads, pieces and receivers that hear as they go, it comes to what it does plainly.
    #[test]
    fn a_replay_is_what_it_is_plainly(
        frames in prop::collection::vec((frame(), 0..40_u64), 0..80),
        late in prop::collection::vec((any::<prop::sample::Index>(), 1..60_u64), 0..3),
        in_order: bool,
        text in prop::sample::select(vec![
            "buffer;", "bypass;", "bypass udp;", "bypass arp; bypass src 10.0.0.1;", "buffer dst 192.0.2.1; default bypass;",
        ]),
        (interval, pause, transfer) in (1..150_u64, 0..40_u64, 0..90_u64),
        after: bool,
        limit in prop::sample::select(vec![200, 500, 1 << 20]),
        guest in prop::sample::select(vec![vec![], vec!["10.0.0.0"], vec!["10.0.0.1", "192.0.2.9"]]),
        at_once in 20..400_usize,
    ) {
        let mut now = 1_000;
        let mut records: Vec<Record> = (1..).zip(&frames).map(|(number, (frame, step))| {
            now += step;
            Record {
                number,
                time: Duration::from_millis(now),
                original_len: u32::try_from(frame.len()).unwrap(),
                frame: frame.clone(),
            }
        }).collect();
        for (index, by) in late {
            if !in_order && !records.is_empty() {
                let index = index.index(records.len());
                records[index].time -= Duration::from_millis(by);
            }
        }
        let options = Options {
            schedule: Schedule {
                interval: interval * 1_000_000,
                timer: if after { Timer::AfterCommit } else { Timer::FromSuspend },
                // Often a commit at the end of the pause.
                pause: pause.saturating_sub(10) * 1_000_000,
                transfer: transfer.saturating_sub(40) * 1_000_000,
            },
            limit,
            ..options(0, &guest)
        };
        let policy = policy(text);
        let wanted = format!("{:?}", plain::replay(&policy, &options, &records));
        prop_assert_eq!(format!("{:?}", replay(&policy, &options, &records)), wanted.as_str());
        let file = write::pcap(&records);
        let replay = Replay::new(&policy, options, true);
        let (replayed, end) = replay.in_any_order(Slowly(&file, at_once)).unwrap();
        prop_assert_eq!(format!("{replayed:?}"), wanted.as_str());
        prop_assert_eq!(end.error, None);
        let replayed = replay.in_order(Slowly(&file, at_once)).unwrap();
        let sorted = records.is_sorted_by_key(|record| record.time);
        prop_assert_eq!(replayed.map(|(replayed, _)| format!("{replayed:?}")), sorted.then_some(wanted));
    }
}

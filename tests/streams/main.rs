//! RTP streams: ours and those of `tshark -q -z rtp,streams`, digit by digit as it prints them: on
//! every capture beside the project, on what `replay` writes, and on simulated calls.

mod simulated;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use compiler::capture::{Capture, Record, write};
use compiler::replay::{Options, Replayed, replay};
use compiler::rtp::FEWEST;
use policy_lang::Policy;
use policy_lang::source::SourceFile;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::schedule::{Schedule, Timer};
use tests::captures::directory;
use tests::skip;
use tests::tshark::{self, Key, Printed, key};

/// The captures with RTP, and how many streams each has.
const WITH_RTP: [(&str, usize); 6] = [
    ("FAX-Call-t38-CA-TDM-SIP-FB-1.pcap", 2),
    ("rtp.pcapng", 5),
    ("sip.pcap", 1),
    ("sipp_dtmf_2833_1.pcap", 1),
    ("sipp_g711a.pcap", 1),
    ("stun_dtls_rtp.pcapng", 1),
];

fn records(file: &Path) -> Vec<Record> {
    let bytes = fs::read(file).expect("a readable capture");
    Capture::open(&bytes).map_or_else(
        |_| Vec::new(),
        |capture| capture.map_while(Result::ok).collect(),
    )
}

/// What a gate does to a capture: its policy, checkpoints and room.
#[derive(Clone, Copy)]
struct Gate {
    policy: &'static str,
    interval_ms: u64,
    pause_ms: u64,
    transfer_ms: u64,
    limit: u64,
    /// Whether SIP comes where it was among the media, and all of it.
    keeps_sdp: bool,
}

/// Everything held, with epochs of 100 ms.
const HELD: Gate = Gate {
    policy: "buffer;",
    interval_ms: 100,
    pause_ms: 0,
    transfer_ms: 0,
    limit: 64 << 20,
    keeps_sdp: true,
};

/// Gates that change the times of packets in different ways, or lose some.
const GATES: [Gate; 4] = [
    HELD,
    Gate {
        policy: "buffer tcp; default bypass;",
        interval_ms: 300,
        pause_ms: 35,
        transfer_ms: 62,
        ..HELD
    },
    Gate {
        policy: "bypass udp rtp pt { 0, 8 };",
        interval_ms: 37,
        pause_ms: 7,
        keeps_sdp: false,
        ..HELD
    },
    Gate {
        limit: 2_000,
        interval_ms: 700,
        keeps_sdp: false,
        ..HELD
    },
];

fn through(gate: Gate, records: &[Record]) -> Replayed {
    let (policy, findings) = policy_lang::check(&SourceFile::new("test", gate.policy));
    let policy: Policy = policy.unwrap_or_else(|| panic!("{findings:?}"));
    let options = Options {
        schedule: Schedule {
            interval: gate.interval_ms * 1_000_000,
            timer: Timer::AfterCommit,
            pause: gate.pause_ms * 1_000_000,
            transfer: gate.transfer_ms * 1_000_000,
        },
        limit: gate.limit,
        guest: Vec::new(),
        assumptions: Assumptions::default(),
    };
    replay(&policy, &options, records)
}

/// The captures, unless they or tshark are missing.
fn captures(test: &str) -> Vec<PathBuf> {
    let Some(directory) = directory() else {
        skip(test, "no shared/captures beside the project");
        return Vec::new();
    };
    if !tshark::is_here() {
        skip(test, "no tshark");
        return Vec::new();
    }
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|e| e == "pcap" || e == "pcapng")
    });
    files.sort();
    files
}

#[test]
fn figures_are_those_that_tshark_prints() {
    let files = captures("streams::figures_are_those_that_tshark_prints");
    let mut found = Vec::new();
    for file in &files {
        let ours: BTreeMap<Key, Printed> = through(HELD, &records(file))
            .streams
            .iter()
            .map(|stream| (key(stream), Printed::of(&stream.before)))
            .collect();
        // What SDP announces must be found; what else is found, tshark finds when it may guess.
        for (key, theirs) in tshark::streams(file, false).unwrap() {
            assert_eq!(ours.get(&key), Some(&theirs), "{} {key:x?}", file.display());
        }
        let guessed = tshark::streams(file, true).unwrap();
        for (key, ours) in &ours {
            assert_eq!(Some(ours), guessed.get(key), "{} {key:x?}", file.display());
        }
        // It calls a single packet a stream; we don't, unless an SDP said so.
        for (key, theirs) in &guessed {
            let few = theirs.packets < FEWEST;
            assert!(ours.contains_key(key) || few, "{} {key:x?}", file.display());
        }
        if !ours.is_empty() {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, ours.len()));
        }
    }
    let expected = WITH_RTP.map(|(name, streams)| (name.to_owned(), streams));
    assert!(files.is_empty() || found == expected, "{found:?}");
}

#[test]
fn what_leaves_the_gate_is_what_was_said() {
    let files = captures("streams::what_leaves_the_gate_is_what_was_said");
    let place = tempfile::tempdir().expect("a place for files");
    let path = place.path().join("out.pcap");
    let (mut compared, mut lost) = (0, 0);
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !WITH_RTP.iter().any(|(with, _)| *with == name) {
            continue;
        }
        let records = records(file);
        for gate in GATES {
            let replayed = through(gate, &records);
            fs::write(&path, write::pcap(&replayed.output)).expect("a written capture");
            let theirs = tshark::streams(&path, true).unwrap();
            for stream in &replayed.streams {
                let at = format!("{name} {:x?} through {}", key(stream), gate.policy);
                // An SDP that comes late, or not at all, ends other media than it did.
                if stream.stream.announced && !gate.keeps_sdp {
                    continue;
                }
                let ours = (stream.after.packets > 0).then(|| Printed::of(&stream.after));
                assert_eq!(theirs.get(&key(stream)), ours.as_ref(), "{at}");
                compared += 1;
                lost += u64::from(stream.after.packets < stream.before.packets);
            }
        }
    }
    assert!(
        files.is_empty() || (compared, lost > 0) == (38, true),
        "{compared}, {lost}"
    );
}

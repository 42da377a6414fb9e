//! RTP streams: ours and those of `tshark -q -z rtp,streams`, digit by digit as it prints them, on
//! every capture beside the project and on what `replay` writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use compiler::capture::{Capture, Record, write};
use compiler::flow::Ends;
use compiler::replay::{Compared, Figures, Options, replay};
use policy_lang::Policy;
use policy_lang::source::SourceFile;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::schedule::{Schedule, Timer};
use tests::captures::directory;
use tests::skip;

/// What tshark prints of a stream: packets, lost, then deltas and jitters, each least, mean, most.
#[derive(Clone, Debug, PartialEq)]
struct Printed {
    packets: u64,
    lost: i64,
    milliseconds: [String; 6],
}

/// Source port, destination port and SSRC.
type Key = (u16, u16, u32);

/// Runs tshark over a capture. With `guess` it takes for RTP what looks like it, without SDP.
fn tshark(file: &Path, guess: bool) -> BTreeMap<Key, Printed> {
    let mut command = Command::new("tshark");
    if guess {
        command.args(["--enable-heuristic", "rtp_udp"]);
    }
    command.args(["-q", "-z", "rtp,streams", "-r"]).arg(file);
    let output = command.output().expect("tshark runs");
    let text = String::from_utf8(output.stdout).expect("plain text");
    text.lines().filter_map(printed).collect()
}

/// One line of its table: start, end, source, port, destination, port, SSRC, payloads, packets,
/// lost, (percent), six times, and perhaps an X for a problem.
fn printed(line: &str) -> Option<(Key, Printed)> {
    let line = line.trim_end().trim_end_matches('X').trim_end();
    let words: Vec<&str> = line.split_whitespace().collect();
    let ssrc = words.get(6)?.strip_prefix("0x")?;
    let key = (
        words[3].parse().ok()?,
        words[5].parse().ok()?,
        u32::from_str_radix(ssrc, 16).ok()?,
    );
    let (head, times) = words.split_at(words.len() - 6);
    let [.., packets, lost, _percent] = head else {
        return None;
    };
    let printed = Printed {
        packets: packets.parse().ok()?,
        lost: lost.parse().ok()?,
        milliseconds: std::array::from_fn(|n| times[n].to_owned()),
    };
    Some((key, printed))
}

/// Our figures as tshark would print them.
fn as_printed(figures: &Figures) -> Printed {
    let least = |value: Option<f64>| value.unwrap_or(-1.0);
    let milliseconds = [
        least(figures.min_delta_ms),
        figures.mean_delta_ms,
        figures.max_delta_ms,
        least(figures.min_jitter_ms),
        figures.mean_jitter_ms.unwrap_or(0.0),
        figures.max_jitter_ms.unwrap_or(0.0),
    ];
    Printed {
        packets: figures.packets,
        lost: figures.lost,
        milliseconds: milliseconds.map(|value| format!("{value:.3}")),
    }
}

fn key(compared: &Compared) -> Key {
    match compared.stream.key.flow.ends {
        Ends::Ip {
            ports: Some((sport, dport)),
            ..
        } => (sport, dport, compared.stream.key.ssrc),
        other => panic!("{other:?} has no ports"),
    }
}

fn records(file: &Path) -> Vec<Record> {
    let bytes = fs::read(file).expect("a readable capture");
    Capture::open(&bytes).map_or_else(
        |_| Vec::new(),
        |capture| capture.map_while(Result::ok).collect(),
    )
}

/// Through a gate that holds everything, with epochs of 100 ms.
fn held(records: Vec<Record>) -> compiler::replay::Replayed {
    let (policy, findings) = policy_lang::check(&SourceFile::new("test", "buffer;"));
    let policy: Policy = policy.unwrap_or_else(|| panic!("{findings:?}"));
    let options = Options {
        schedule: Schedule {
            interval: 100_000_000,
            timer: Timer::AfterCommit,
            pause: 0,
            transfer: 0,
        },
        limit: 64 << 20,
        guest: Vec::new(),
        assumptions: Assumptions::default(),
    };
    replay(&policy, &options, &records)
}

/// The captures, unless they or tshark are missing.
fn captures(test: &str) -> Vec<PathBuf> {
    let Some(directory) = directory() else {
        skip(test, "no shared/captures beside the project");
        return Vec::new();
    };
    if Command::new("tshark").arg("--version").output().is_err() {
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
    let mut compared = 0;
    for file in &files {
        let ours: BTreeMap<Key, Printed> = held(records(file))
            .streams
            .iter()
            .map(|stream| (key(stream), as_printed(&stream.before)))
            .collect();
        // What SDP announces must be found; what else is found, tshark finds when it may guess.
        for (key, theirs) in tshark(file, false) {
            assert_eq!(ours.get(&key), Some(&theirs), "{} {key:x?}", file.display());
        }
        let guessed = tshark(file, true);
        for (key, ours) in &ours {
            assert_eq!(Some(ours), guessed.get(key), "{} {key:x?}", file.display());
            compared += 1;
        }
    }
    assert!(files.is_empty() || compared >= 11, "{compared} streams");
}

#[test]
fn what_leaves_the_gate_is_what_was_said() {
    let files = captures("streams::what_leaves_the_gate_is_what_was_said");
    let directory = tempfile::tempdir().expect("a place for files");
    let mut compared = 0;
    for (number, file) in files.iter().enumerate() {
        let replayed = held(records(file));
        let path = directory.path().join(format!("{number}.pcap"));
        fs::write(&path, write::pcap(&replayed.output)).expect("a written capture");
        let theirs = tshark(&path, true);
        for stream in &replayed.streams {
            // Behind the gate an SDP can come at the same time as what it announces.
            if let Some(theirs) = theirs.get(&key(stream)) {
                assert_eq!(&as_printed(&stream.after), theirs, "{}", file.display());
                compared += 1;
            }
        }
    }
    assert!(files.is_empty() || compared >= 11, "{compared} streams");
}

//! Real captures through our reader: it finds what two other readers find, and broken copies of
//! them never make it panic or invent frames.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use compiler::capture::{Capture, CaptureError, Record};
use compiler::flow::{Ends, FlowKey};
use compiler::frame_text::{describe, parse};
use policy_lang::classify::test_holds;
use policy_lang::field::Field;
use policy_lang::packet::Packet;
use policy_lang::policy::{Media, Test};
use proptest::prelude::*;
use tests::captures::{directory, ethernet_frames};
use tests::skip;

/// The capture files beside the project, each with its bytes; says aloud if there are none.
fn captures(test: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Some(directory) = directory() else {
        skip(test, "no shared/captures beside the project");
        return Vec::new();
    };
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("a readable directory")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "pcap" || e == "pcapng")
        })
        .map(|path| (path.clone(), std::fs::read(path).expect("a readable file")))
        .collect();
    files.sort();
    files
}

fn read(file: &[u8]) -> (Vec<Record>, Option<CaptureError>) {
    let mut records = Vec::new();
    match Capture::open(file) {
        Err(error) => (records, Some(error)),
        Ok(capture) => {
            for record in capture {
                match record {
                    Ok(record) => records.push(record),
                    Err(error) => return (records, Some(error)),
                }
            }
            (records, None)
        }
    }
}

#[test]
fn frames_are_those_that_pcap_file_finds() {
    let name = "captures::frames_are_those_that_pcap_file_finds";
    let files = captures(name);
    let Some(directory) = directory() else { return };
    let mut theirs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    theirs.extend(
        ethernet_frames(&directory)
            .expect("a readable directory")
            .frames,
    );
    let mut ours = BTreeMap::new();
    for (path, file) in &files {
        let file_name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        for record in read(file).0 {
            ours.insert(format!("{file_name}#{}", record.number), record.frame);
        }
    }
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    assert!(ours == theirs, "frames differ");
}

/// Time, captured length and length on the wire of each frame as tshark reads the file, with what
/// it takes for the outermost protocol; nothing if there is no tshark.
fn tshark(path: &Path) -> Option<Vec<(String, usize, u32, String)>> {
    let fields = [
        "frame.time_epoch",
        "frame.cap_len",
        "frame.len",
        "frame.protocols",
    ];
    let output = Command::new("tshark")
        .args(["-n", "-T", "fields"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .arg("-r")
        .arg(path)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let row = |line: &str| {
        let mut columns = line.split('\t');
        let time = columns.next()?.to_owned();
        let captured = columns.next()?.parse().ok()?;
        let wire = columns.next()?.parse().ok()?;
        Some((
            time,
            captured,
            wire,
            columns.next()?.split(':').next()?.to_owned(),
        ))
    };
    Some(
        text.lines()
            .map(|line| row(line).expect("four columns"))
            .collect(),
    )
}

#[test]
fn times_and_lengths_are_those_that_tshark_finds() {
    let name = "captures::times_and_lengths_are_those_that_tshark_finds";
    let mut frames = 0;
    for (path, file) in captures(name) {
        // Made by a fuzzer: its times and lengths are beyond what tshark can count.
        if path.ends_with("fuzz-2021-06-07-c6c72a0a56.pcap") {
            continue;
        }
        let Some(rows) = tshark(&path) else {
            skip(name, "there is no tshark");
            return;
        };
        let (records, error) = read(&file);
        if let Some(CaptureError::LinkType(_)) = error {
            assert!(
                rows.iter().all(|(.., outermost)| outermost != "eth"),
                "{}",
                path.display()
            );
            continue;
        }
        assert_eq!(error, None, "{}", path.display());
        let theirs: Vec<_> = (1..)
            .zip(rows)
            .filter(|(_, (.., outermost))| outermost == "eth")
            .collect();
        assert_eq!(records.len(), theirs.len(), "{}", path.display());
        for (record, (number, (time, captured, wire, _))) in records.iter().zip(&theirs) {
            let at = format!(
                "{}.{:09}",
                record.time.as_secs(),
                record.time.subsec_nanos()
            );
            assert_eq!(
                (record.number, &at, record.frame.len(), record.original_len),
                (*number, time, *captured, *wire),
                "{}",
                path.display()
            );
            frames += 1;
        }
    }
    println!("{frames} frames agree");
}

/// All that a policy can ask of a frame.
fn meaning(frame: &[u8]) -> Vec<Option<u128>> {
    let packet = Packet::new(frame);
    let shapes = [Test::Tagged, Test::Fragment].into_iter();
    let shapes = shapes.chain(Media::ALL.map(Test::Media));
    let shapes = shapes.map(|shape| Some(u128::from(test_holds(&shape, packet))));
    Field::ALL
        .into_iter()
        .map(|field| packet.read(field))
        .chain(shapes)
        .collect()
}

#[test]
fn real_frames_keep_their_meaning_in_words() {
    let (mut whole, mut elided) = (0, 0);
    for (path, file) in captures("captures::real_frames_keep_their_meaning_in_words") {
        for record in read(&file).0 {
            let described = describe(&record.frame);
            assert_ne!(FlowKey::of(&record.frame).ends, Ends::Short, "{described}");
            match parse(&described) {
                Ok(frame) => {
                    assert_eq!(meaning(&frame), meaning(&record.frame), "{described}");
                    whole += 1;
                }
                Err(_) => {
                    assert!(described.contains("..."), "{}: {described}", path.display());
                    elided += 1;
                }
            }
        }
    }
    println!("{whole} frames said whole, {elided} with dots");
}

#[test]
fn broken_copies_of_real_captures_yield_no_more_than_is_there() {
    let files = captures("captures::broken_copies_of_real_captures_yield_no_more_than_is_there");
    if files.is_empty() {
        return;
    }
    let at = any::<prop::sample::Index>;
    let flips = prop::collection::vec((at(), 0..8_u32), 0..8);
    proptest!(ProptestConfig::with_cases(2_000), |(file in at(), cut in at(), flips in flips)| {
        let whole = file.get(&files).1.as_slice();
        // Short copies, so that damage near the headers is common and cases are quick.
        let mut copy = whole[..cut.index(whole.len().min(20_000)) + 1].to_vec();
        if flips.is_empty() {
            let (records, _) = read(&copy);
            prop_assert!(read(whole).0.starts_with(&records));
        }
        for (at, bit) in flips {
            let at = at.index(copy.len());
            copy[at] ^= 1 << bit;
        }
        let bytes: usize = read(&copy).0.iter().map(|record| record.frame.len()).sum();
        prop_assert!(bytes <= copy.len());
    });
}

//! What a replication left behind, read: frames on both sides of the buffer, what libxl told the plug, and
//! round trips. All times are nanoseconds of dom0's wall clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use pcap_file::PcapError;
use pcap_file::pcap::PcapReader;
use serde::Deserialize;

use super::frames::GUEST_MAC;
use super::streams::without_checksum;

/// The files of a recording, by their names in dom0.
pub const FILES: [&str; 7] = [
    "vif.pcap", "far.pcap", "trace", "answers", "times", "left", "xl.log",
];

/// What libxl told the plug (sch_plug.c, `plug_change`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The epoch is over.
    Buffer,
    /// The epoch before is committed.
    ReleaseOne,
    /// The gate is open.
    ReleaseIndefinite,
}

/// A frame of the domU that entered at its vif.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When it entered.
    pub entered: u64,
    /// When it came out on the far side, if it did.
    pub left: Option<u64>,
    /// Its first bytes, with its tag.
    pub frame: Vec<u8>,
}

/// A round trip as `lab-xen far` tells it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Answer {
    /// `media`, `sip` or `tcp`.
    pub class: String,
    /// 4 or 6.
    pub family: u8,
    /// When it was asked.
    pub asked: u64,
    /// How long the answer took, in milliseconds.
    pub ms: f64,
}

/// A replication.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Frames in the order in which they entered.
    pub frames: Vec<Sighting>,
    /// Frames of the domU that came out and were not seen to enter, while both captures ran: what the first
    /// capture has lost, or what found another way.
    pub strangers: usize,
    /// What the plug was told, in order.
    pub commands: Vec<(u64, Command)>,
    /// Round trips.
    pub answers: Vec<Answer>,
    /// What is left of rules and devices when it is over.
    pub left: String,
    /// Seconds from the call of `xl remus` to its first checkpoint.
    pub set_up: f64,
}

impl Recording {
    /// Reads the files, in the order of [`FILES`].
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn read(files: &[Vec<u8>; 7]) -> Result<Self, String> {
        let [vif, far, trace, told, times, left, _] = files;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let times = text(times);
        let words: Vec<&str> = times.split_whitespace().collect();
        let set_up = match words[..] {
            ["begun", begun, "first", first] => seconds(first)? - seconds(begun)?,
            _ => return Err(format!("times: `{}`", times.trim())),
        };
        let (vif, far) = (capture(vif)?, capture(far)?);
        Ok(Self {
            frames: matched(&vif, &far),
            strangers: strangers(&vif, &far),
            commands: commands(&text(trace))?,
            answers: answers(told),
            left: text(left),
            set_up,
        })
    }
}

/// The round trips that `lab-xen far` has told. The last line may be cut: its writer was killed.
#[must_use]
pub fn answers(told: &[u8]) -> Vec<Answer> {
    let text = String::from_utf8_lossy(told);
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{text}` is no time"))
}

/// The frames of the domU in a capture; each once, when it was first seen. Our streams number their frames,
/// so that two that are alike are one frame seen twice: before the buffer and behind it.
fn capture(bytes: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let mut seen = BTreeSet::new();
    let mut frames = frames_of_domu(bytes)?;
    frames.retain(|(_, frame)| seen.insert(frame.clone()));
    Ok(frames)
}

/// All frames of the domU in a capture, without checksums, each with its time.
///
/// # Errors
/// When it is no capture. One that ends in the middle of a frame, because its writer was killed, is one.
pub fn frames_of_domu(bytes: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let mut reader = PcapReader::new(Cursor::new(bytes)).map_err(|e| format!("capture: {e}"))?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = match packet {
            Ok(packet) => packet,
            Err(PcapError::IncompleteBuffer) => break,
            Err(error) => return Err(format!("capture: {error}")),
        };
        let frame = packet.data.into_owned();
        if frame.get(6..12) == Some(&GUEST_MAC) {
            let at = packet.timestamp.as_nanos() as u64;
            frames.push((at, without_checksum(frame)));
        }
    }
    Ok(frames)
}

fn matched(vif: &[(u64, Vec<u8>)], far: &[(u64, Vec<u8>)]) -> Vec<Sighting> {
    let far: BTreeMap<&[u8], u64> = far.iter().map(|(at, f)| (f.as_slice(), *at)).collect();
    let frames = vif.iter().map(|(at, frame)| Sighting {
        entered: *at,
        left: far.get(frame.as_slice()).copied(),
        frame: frame.clone(),
    });
    frames.collect()
}

fn strangers(vif: &[(u64, Vec<u8>)], far: &[(u64, Vec<u8>)]) -> usize {
    let entered: BTreeSet<&[u8]> = vif.iter().map(|(_, frame)| frame.as_slice()).collect();
    let (Some((begin, _)), Some((end, _))) = (vif.first(), vif.last()) else {
        return far.len();
    };
    let out = far.iter().filter(|(at, _)| (begin..end).contains(&at));
    out.filter(|(_, frame)| !entered.contains(frame.as_slice()))
        .count()
}

/// `xl-335 [000] ..... 28.876056: plug: (plug_change+0x0/0xe0 [sch_plug]) action=0`, and once
/// `... 22.782462: tracing_mark_write: wall=1795728713429003438`.
fn commands(trace: &str) -> Result<Vec<(u64, Command)>, String> {
    let mut found = Vec::new();
    let mut offset = None;
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        let at = line
            .split_whitespace()
            .find_map(|word| word.strip_suffix(':')?.parse::<f64>().ok())
            .ok_or_else(|| format!("trace: `{line}`"))?;
        let at = (at * 1e9) as i64;
        if let Some((_, wall)) = line.split_once("wall=") {
            let wall: i64 = wall
                .trim()
                .parse()
                .map_err(|_| format!("trace: `{line}`"))?;
            offset = Some(wall - at);
        } else if let Some((_, action)) = line.split_once("action=") {
            let command = match action.trim() {
                "0" => Command::Buffer,
                "1" => Command::ReleaseOne,
                "2" => Command::ReleaseIndefinite,
                _ => continue,
            };
            found.push((at, command));
        }
    }
    let offset = offset.ok_or("trace: nobody has marked the wall clock")?;
    let found = found.into_iter();
    Ok(found.map(|(at, c)| ((at + offset) as u64, c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read() {
        let trace = "# tracer: nop\n\
             \x20  lab-xen-333 [000] .....  22.500000: tracing_mark_write: wall=1000000000500000000\n\
             \x20  xl-335      [000] .....  28.876056: plug: (plug_change+0x0/0xe0 [sch_plug]) action=0\n\
             \x20  xl-335      [000] .....  28.886444: plug: (plug_change+0x0/0xe0 [sch_plug]) action=1\n";
        let commands = commands(trace).unwrap();
        let at: Vec<_> = commands.iter().map(|(at, c)| (at / 1_000, *c)).collect();
        assert_eq!(
            at,
            [
                (1_000_000_006_876_056, Command::Buffer),
                (1_000_000_006_886_444, Command::ReleaseOne)
            ]
        );
        assert!(super::commands("xl-1 [000] ..... 1.0: plug: action=0").is_err());
    }

    #[test]
    fn what_came_out_and_did_not_enter_is_counted() {
        let frame = |at, byte| (at, vec![byte; 20]);
        let vif = [frame(10, 1), frame(20, 2), frame(30, 3)];
        // Before the first and after the last of the other capture nothing is known.
        let far = [frame(5, 8), frame(12, 1), frame(25, 9), frame(40, 7)];
        assert_eq!(strangers(&vif, &far), 1);
        assert_eq!(strangers(&[], &far), 4);
    }

    #[test]
    fn a_frame_that_came_out_knows_when() {
        let frame = |number| (number, vec![number as u8; 20]);
        let found = matched(&[frame(1), frame(2)], &[(7, vec![1; 20])]);
        assert_eq!((found[0].left, found[1].left), (Some(7), None));
    }
}

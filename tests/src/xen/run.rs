//! The comparison: a domU that is not replicated, then replicated with Xen's own script and with hooks of
//! ours, one after the other in one box; what came of its traffic each time.

use std::time::Duration;

use compiler::backend::Kind;
use compiler::replay::Figures;
use policy_lang::Policy;
use qdisc_model::metrics::Arrival;
use qdisc_model::metrics::receiver::{Assumptions, Receiver};
use serde::Serialize;

use super::dom0::STOCK_SCRIPT;
use super::judge::{Kept, ends, judge};
use super::recording::{FILES, Recording, Sighting};
use super::station::{DOMU_FILE, Station};
use super::traffic::MEDIA;
use crate::examples::{self, Example};
use crate::lab::LabError;
use crate::lab::protocol::Outcome;

/// A way to replicate.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// As the table calls it.
    pub name: &'static str,
    /// Whose script libxl calls.
    pub script: Script,
    /// The policy that is meant: an example.
    pub policy: &'static str,
}

/// Whose script libxl calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Nobody's: nothing is replicated.
    None,
    /// Xen's.
    Stock,
    /// `epochgate compile --emit xen-hook`.
    Ours,
}

/// What is compared.
pub const WAYS: [Way; 5] = [
    Way {
        name: "not replicated",
        script: Script::None,
        policy: "remus.gate",
    },
    Way {
        name: "Xen's own script",
        script: Script::Stock,
        policy: "remus.gate",
    },
    Way {
        name: "everything held",
        script: Script::Ours,
        policy: "remus.gate",
    },
    Way {
        name: "paper policy",
        script: Script::Ours,
        policy: "paper.gate",
    },
    Way {
        name: "refined policy",
        script: Script::Ours,
        policy: "voip.gate",
    },
];

/// Kinds of frames, as tables call them.
pub const KINDS: [&str; 4] = ["IPv4", "IPv6", "ARP", "tagged"];

/// What came of one way.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// As [`Way::name`].
    pub name: &'static str,
    /// Checkpoints.
    pub checkpoints: usize,
    /// Mean time from one to the next, in milliseconds.
    pub period_ms: Option<f64>,
    /// From the call of `xl remus` to the first checkpoint, in seconds.
    pub set_up_s: f64,
    /// Calls over IPv4 and IPv6, as their receivers hear them.
    pub calls: [Figures; 2],
    /// Round trips: class, family, median and 95th percentile in milliseconds.
    pub round_trips: Vec<RoundTrip>,
    /// Whether the law was kept, for each of [`KINDS`].
    pub kept: Vec<(&'static str, Kept)>,
    /// Whether the law was kept, over all of them.
    pub all: Kept,
    /// Frames that came out and were not seen to enter.
    pub strangers: usize,
    /// Rules, queues and IFBs left when it was over.
    pub left: usize,
}

/// Round trips of a class.
#[derive(Clone, Debug, Serialize)]
pub struct RoundTrip {
    /// `media`, `sip` or `tcp`.
    pub class: String,
    /// 4 or 6.
    pub family: u8,
    /// How many.
    pub count: usize,
    /// Half of them took no longer, in milliseconds.
    pub median_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
}

/// Starts the domU and waits until it talks.
///
/// # Errors
/// When it does not.
pub fn start_domu(station: &mut Station) -> Result<(), LabError> {
    let command = format!(
        "xl create {DOMU_FILE} >/dev/null && tries=0 && \
         until ip netns exec far ping -q -W 1 -c 1 10.9.0.2 >/dev/null; do \
         tries=$((tries + 1)); [ $tries -lt 60 ] || exit 1; done"
    );
    station.shell(&command, Duration::from_secs(180)).map(drop)
}

/// Replicates in one way for so many seconds of the box's time, with checkpoints each `interval_ms` at best.
///
/// # Errors
/// When the box is dead, or nothing was replicated.
pub fn replicate(
    station: &mut Station,
    way: &Way,
    interval_ms: u32,
    seconds: u32,
) -> Result<Row, LabError> {
    let example = example(way.policy)?;
    let script = match way.script {
        Script::None => String::from("none"),
        Script::Stock => STOCK_SCRIPT.to_owned(),
        Script::Ours => put_hook(station, "epochgate-hook", &example)?,
    };
    let command = format!("sh /lab/replicate.sh {script} {interval_ms} {seconds}");
    station.shell(&command, Duration::from_secs(900))?;
    let mut files: [Vec<u8>; FILES.len()] = Default::default();
    for (name, contents) in FILES.iter().zip(&mut files) {
        *contents = station.read(&format!("/run/xen-lab/{name}"))?;
    }
    let recording = Recording::read(&files).map_err(LabError::Guest)?;
    Ok(row(way, &example.policy, &recording))
}

fn example(name: &str) -> Result<Example, LabError> {
    let found = examples::all()
        .into_iter()
        .find(|example| example.name == name);
    found.ok_or_else(|| LabError::Guest(format!("no example `{name}`")))
}

/// Puts the hook of a policy where Xen's scripts are; says where.
fn put_hook(station: &mut Station, name: &str, example: &Example) -> Result<String, LabError> {
    let path = format!("/etc/xen/scripts/{name}");
    let hook = example.xen_hook(Kind::Nft);
    let hook = hook.map_err(|e| LabError::Guest(format!("{}: {e}", example.name)))?;
    station.put(&path, hook.script.into_bytes())?;
    station.shell(&format!("chmod +x {path}"), Duration::from_secs(10))?;
    Ok(path)
}

/// What goes wrong while hooks of ours are in use, see `faults.sh`: each claim is told as it comes.
///
/// # Errors
/// When the box is dead, or with the claims that are wrong.
pub fn faults(station: &mut Station) -> Result<(), LabError> {
    let mut hooks = Vec::new();
    for (name, policy) in [("refined", "voip.gate"), ("held", "remus.gate")] {
        let example = example(policy)?;
        station.put(
            &format!("/lab/{name}.gate"),
            example.text.clone().into_bytes(),
        )?;
        hooks.push(put_hook(station, name, &example)?);
    }
    let mut words = vec!["sh", "/lab/faults.sh"];
    words.extend(hooks.iter().map(String::as_str));
    let mut said = String::new();
    let outcome = station.run(&words, Duration::from_secs(1800), |is_error, part| {
        let part = String::from_utf8_lossy(part);
        match is_error {
            true => eprint!("{part}"),
            false => {
                print!("{part}");
                said += &part;
            }
        }
    })?;
    let wrong = said
        .lines()
        .filter(|line| line.starts_with("WRONG "))
        .count();
    match outcome {
        Outcome::Exited(0) if wrong == 0 && said.starts_with("ok ") => Ok(()),
        Outcome::Exited(0) => Err(LabError::Guest(format!("{wrong} claims are wrong"))),
        other => Err(LabError::Guest(format!("faults: {other:?}"))),
    }
}

fn row(way: &Way, policy: &Policy, recording: &Recording) -> Row {
    let ends = ends(&recording.commands);
    let (first, last) = match (ends.first(), ends.last()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => (0, u64::MAX),
    };
    let periods = ends.len().saturating_sub(1);
    let replicated: Vec<&Sighting> = recording
        .frames
        .iter()
        .filter(|seen| (first..last).contains(&seen.entered))
        .collect();
    Row {
        name: way.name,
        checkpoints: ends.len(),
        period_ms: (periods > 0).then(|| (last - first) as f64 / 1e6 / periods as f64),
        set_up_s: recording.set_up,
        calls: [0x0800, 0x86dd].map(|ethertype| heard(&replicated, ethertype)),
        round_trips: round_trips(recording, first..last),
        kept: KINDS
            .map(|kind| {
                (
                    kind,
                    judge(policy, recording, |frame| kind_of(frame) == kind),
                )
            })
            .into(),
        all: judge(policy, recording, |_| true),
        strangers: recording.strangers,
        left: recording
            .left
            .lines()
            .filter(|line| {
                ["plug", "ingress", "clsact", "table", "ifb-"]
                    .iter()
                    .any(|w| line.contains(w))
            })
            .count(),
    }
}

/// Which of [`KINDS`] a frame is of.
fn kind_of(frame: &[u8]) -> &'static str {
    match ethertype(frame) {
        0x0800 => "IPv4",
        0x86dd => "IPv6",
        0x0806 => "ARP",
        0x8100 => "tagged",
        _ => "other",
    }
}

fn number(frame: &[u8], at: usize) -> u32 {
    let bytes = frame.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn ethertype(frame: &[u8]) -> u16 {
    (number(frame, 12) >> 16) as u16
}

/// What the receiver of a call of this family makes of what came out.
fn heard(frames: &[&Sighting], family: u16) -> Figures {
    // Where the UDP header is, and where the IP header says that there is one.
    let (headers, protocol) = match family {
        0x0800 => (14 + 20, 14 + 9),
        _ => (14 + 40, 14 + 6),
    };
    let is_call = |frame: &[u8]| {
        ethertype(frame) == family
            && frame.get(protocol) == Some(&17)
            && number(frame, headers) >> 16 == u32::from(MEDIA)
    };
    let mut came: Vec<(u64, &[u8])> = frames
        .iter()
        .filter(|seen| is_call(&seen.frame))
        .filter_map(|seen| Some((seen.left?, seen.frame.as_slice())))
        .collect();
    came.sort();
    let start = came.first().map_or(0, |(at, _)| *at);
    let mut receiver = Receiver::new(Assumptions::default());
    for (at, frame) in came {
        let rtp = headers + 8;
        receiver.arrive(Arrival {
            at_ms: (at - start) as f64 / 1e6,
            sequence: (number(frame, rtp) & 0xffff) as u16,
            timestamp: number(frame, rtp + 4),
            payload_type: 8,
            marker: false,
            clock_rate: Some(8_000),
        });
    }
    receiver.finish();
    Figures::of(&receiver)
}

fn round_trips(recording: &Recording, when: std::ops::Range<u64>) -> Vec<RoundTrip> {
    let mut found = Vec::new();
    for class in ["media", "sip", "tcp"] {
        for family in [4, 6] {
            let mut times: Vec<f64> = recording
                .answers
                .iter()
                .filter(|a| a.class == class && a.family == family && when.contains(&a.asked))
                .map(|answer| answer.ms)
                .collect();
            times.sort_by(f64::total_cmp);
            let part = |percent: usize| {
                let last = times.len().saturating_sub(1);
                times.get(last * percent / 100).copied().unwrap_or(f64::NAN)
            };
            found.push(RoundTrip {
                class: class.to_owned(),
                family,
                count: times.len(),
                median_ms: part(50),
                p95_ms: part(95),
            });
        }
    }
    found
}

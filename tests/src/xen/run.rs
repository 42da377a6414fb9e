//! The comparison: a domU that is not replicated, then replicated with Xen's own script and with hooks of
//! ours, one after the other in one box; what came of its traffic each time.

use std::ops::Range;
use std::time::Duration;

use compiler::backend::Kind;
use compiler::replay::Figures;
use policy_lang::Policy;
use qdisc_model::metrics::Arrival;
use qdisc_model::metrics::receiver::{Assumptions, Receiver};
use serde::Serialize;

use super::dom0::STOCK_SCRIPT;
use super::judge::{Kept, ends, judge};
use super::recording::{Answer, FILES, Recording, Sighting};
use super::station::{DOMU_FILE, Station};
use super::streams::{self, KINDS, Stream, number, packet};
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
    /// What makes the rules of a hook of ours.
    pub backend: Kind,
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
pub const WAYS: [Way; 8] = [
    Way {
        name: "not replicated",
        script: Script::None,
        policy: "remus.gate",
        backend: Kind::Nft,
    },
    Way {
        name: "Xen's own script",
        script: Script::Stock,
        policy: "remus.gate",
        backend: Kind::Nft,
    },
    Way {
        name: "everything held",
        script: Script::Ours,
        policy: "remus.gate",
        backend: Kind::Nft,
    },
    Way {
        name: "paper policy",
        script: Script::Ours,
        policy: "paper.gate",
        backend: Kind::Nft,
    },
    Way {
        name: "refined policy",
        script: Script::Ours,
        policy: "voip.gate",
        backend: Kind::Nft,
    },
    Way {
        name: "refined policy, u32",
        script: Script::Ours,
        policy: "voip.gate",
        backend: Kind::U32,
    },
    Way {
        name: "refined policy, bpf",
        script: Script::Ours,
        policy: "voip.gate",
        backend: Kind::Bpf,
    },
    Way {
        name: "refined policy, flower",
        script: Script::Ours,
        policy: "voip.gate",
        backend: Kind::Flower,
    },
];

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
    pub calls: [Call; 2],
    /// Round trips: class, family, median and 95th percentile in milliseconds.
    pub round_trips: Vec<RoundTrip>,
    /// Whether the law was kept, for each of [`KINDS`].
    pub kept: Vec<(&'static str, Kept)>,
    /// Whether the law was kept, over all of them.
    pub all: Kept,
    /// Frames that came out and were not seen to enter.
    pub strangers: usize,
    /// Rules, queues and IFBs left when it was over, if it is over.
    pub left: Option<usize>,
}

/// A call as its receiver hears it.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// What becomes of it.
    #[serde(flatten)]
    pub figures: Figures,
    /// When each packet came, in milliseconds behind the first, and the jitter then.
    #[serde(skip)]
    pub points: Vec<(f64, f64)>,
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

/// Starts the domU.
///
/// # Errors
/// When `xl` does not.
pub fn create_domu(station: &mut Station) -> Result<(), LabError> {
    let command = format!("xl create {DOMU_FILE} >/dev/null");
    station.shell(&command, Duration::from_secs(120)).map(drop)
}

/// Waits at the box with the far side until the domU talks.
///
/// # Errors
/// When it does not.
pub fn hear_domu(station: &mut Station) -> Result<(), LabError> {
    let command = "tries=0; until ip netns exec far ping -q -W 1 -c 1 10.9.0.2 >/dev/null; do \
         tries=$((tries + 1)); [ $tries -lt 60 ] || exit 1; done";
    station.shell(command, Duration::from_secs(180)).map(drop)
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
    record(station, way, interval_ms, seconds, None)
}

/// The same to a backup at this address; the replication then goes on.
///
/// # Errors
/// As [`replicate`].
pub fn record(
    station: &mut Station,
    way: &Way,
    interval_ms: u32,
    seconds: u32,
    backup: Option<&str>,
) -> Result<Row, LabError> {
    let example = example(way.policy)?;
    let script = match way.script {
        Script::None => String::from("none"),
        Script::Stock => STOCK_SCRIPT.to_owned(),
        Script::Ours => put_hook(station, "epochgate-hook", &example, way.backend)?,
    };
    let backup = backup.unwrap_or_default();
    let command = format!("sh /lab/replicate.sh {script} {interval_ms} {seconds} {backup}");
    station.shell(&command, Duration::from_secs(900))?;
    let mut files: [Vec<u8>; FILES.len()] = Default::default();
    for (name, contents) in FILES.iter().zip(&mut files) {
        *contents = station.read(&format!("/run/xen-lab/{name}"))?;
    }
    let recording = Recording::read(&files).map_err(LabError::Guest)?;
    let mut row = row(way, &example.policy, &recording);
    if !backup.is_empty() {
        row.left = None;
    }
    Ok(row)
}

/// An example policy by its name.
pub(super) fn example(name: &str) -> Result<Example, LabError> {
    let found = examples::all()
        .into_iter()
        .find(|example| example.name == name);
    found.ok_or_else(|| LabError::Guest(format!("no example `{name}`")))
}

/// Puts the hook of a policy where Xen's scripts are; says where.
fn put_hook(
    station: &mut Station,
    name: &str,
    example: &Example,
    backend: Kind,
) -> Result<String, LabError> {
    let path = format!("/etc/xen/scripts/{name}");
    let hook = example.xen_hook(backend);
    let hook = hook.map_err(|e| LabError::Guest(format!("{}: {e}", example.name)))?;
    station.put(&path, hook.script.into_bytes())?;
    station.shell(&format!("chmod +x {path}"), Duration::from_secs(10))?;
    Ok(path)
}

/// From a plain dom0 to a protected domU, see `tour.sh`: commands and what they say.
///
/// # Errors
/// When the box is dead.
pub fn tour(station: &mut Station) -> Result<String, LabError> {
    let policy = example("voip.gate")?.text.into_bytes();
    station.put("/lab/refined.gate", policy)?;
    station.shell("sh /lab/tour.sh", Duration::from_secs(300))
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
        hooks.push(put_hook(station, name, &example, Kind::Nft)?);
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
    let replicated = |seen: &&Sighting| (first..last).contains(&seen.entered);
    let came = || {
        let frames = recording.frames.iter().filter(replicated);
        frames.filter_map(|seen| Some((seen.left?, seen.frame.as_slice())))
    };
    Row {
        name: way.name,
        checkpoints: ends.len(),
        period_ms: (periods > 0).then(|| (last - first) as f64 / 1e6 / periods as f64),
        set_up_s: recording.set_up,
        calls: [4, 6].map(|family| heard(came(), family)),
        round_trips: round_trips(&recording.answers, first..last),
        kept: KINDS
            .map(|kind| {
                (
                    kind,
                    judge(policy, recording, |frame| streams::kind(frame) == kind),
                )
            })
            .into(),
        all: judge(policy, recording, |_| true),
        strangers: recording.strangers,
        left: Some(recording.left.lines().count()),
    }
}

/// What the receiver of a call of this family makes of what came out, and when.
pub(super) fn heard<'a>(came: impl Iterator<Item = (u64, &'a [u8])>, family: u8) -> Call {
    let mut came: Vec<(u64, &[u8], usize)> = came
        .filter_map(|(at, frame)| {
            let packet = packet(frame)?;
            let is_heard = packet.stream == Stream::Call && packet.family == family;
            is_heard.then_some((at, frame, packet.rtp))
        })
        .collect();
    came.sort();
    let start = came.first().map_or(0, |(at, ..)| *at);
    let mut receiver = Receiver::new(Assumptions::default());
    let mut points = Vec::new();
    for (at, frame, rtp) in came {
        let at_ms = (at - start) as f64 / 1e6;
        receiver.arrive(Arrival {
            at_ms,
            sequence: (number(frame, rtp) & 0xffff) as u16,
            timestamp: number(frame, rtp + 4),
            payload_type: 8,
            marker: false,
            clock_rate: Some(8_000),
        });
        points.push((at_ms, receiver.stream().jitter_now));
    }
    receiver.finish();
    Call {
        figures: Figures::of(&receiver),
        points,
    }
}

/// Of what was asked in that time.
pub(super) fn round_trips(answers: &[Answer], when: Range<u64>) -> Vec<RoundTrip> {
    let mut found = Vec::new();
    for class in ["media", "sip", "tcp"] {
        for family in [4, 6] {
            let mut times: Vec<f64> = answers
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

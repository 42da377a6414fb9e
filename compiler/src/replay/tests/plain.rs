//! A replay written for reading: all frames are there, sorted, each asked of the judge, and each stream
//! is heard as a whole.

use std::time::Duration;

use policy_lang::{Headers, Policy, Verdict, classify};
use qdisc_model::metrics::receiver::{Assumptions, Receiver};
use qdisc_model::packet::{Packet, Tally};

use crate::capture::Record;
use crate::flow::{Ends, FlowKey};
use crate::replay::{Compared, Figures, Options, Replayed};
use crate::rtp::{Announced, Candidate, RtpPacket, RtpStream, Spotted, Spotter, StreamKey};

struct Sent {
    at: u64,
    bytes: u32,
    held: bool,
    of_guest: bool,
}

pub(super) fn replay(policy: &Policy, options: &Options, records: &[Record]) -> Replayed {
    let mut records = records.to_vec();
    records.sort_by_key(|record| record.time);
    let sent: Vec<Sent> = records.iter().map(|r| sent(policy, options, r)).collect();
    let (fates, most_held) = fates(options, &sent);
    let of_guest = || sent.iter().zip(&fates).filter(|(sent, _)| sent.of_guest);
    let tally = |wanted: &dyn Fn(&Sent, Option<u64>) -> bool| {
        let mut tally = Tally::default();
        for (sent, _) in of_guest().filter(|(sent, fate)| wanted(sent, **fate)) {
            tally.add(&Packet::held(0, sent.bytes));
        }
        tally
    };
    let waits: Vec<f64> = of_guest()
        .filter(|(sent, _)| sent.held)
        .filter_map(|(sent, fate)| Some((fate.as_ref()? - sent.at) as f64 / 1e6))
        .collect();
    let mut output: Vec<Record> = Vec::new();
    for (record, fate) in records.iter().zip(&fates) {
        output.extend(fate.map(|at| Record {
            time: Duration::from_nanos(at),
            ..record.clone()
        }));
    }
    output.sort_by_key(|record| record.time);
    let total: f64 = waits.iter().fold(0.0, |sum, wait| sum + wait);
    Replayed {
        streams: streams(options, &records, &sent, &fates),
        foreign: sent.iter().filter(|sent| !sent.of_guest).count() as u64,
        bypassed: tally(&|sent, _| !sent.held),
        held: tally(&|sent, _| sent.held),
        overflow: tally(&|_, fate| fate.is_none()),
        most_held,
        waited_ms: (
            if waits.is_empty() {
                0.0
            } else {
                total / waits.len() as f64
            },
            waits.iter().copied().fold(0.0, f64::max),
        ),
        output,
    }
}

fn sent(policy: &Policy, options: &Options, record: &Record) -> Sent {
    let source = match FlowKey::of(&record.frame).ends {
        Ends::Ip { src, .. } => Some(src),
        _ => None,
    };
    Sent {
        at: u64::try_from(record.time.as_nanos()).unwrap(),
        bytes: record.original_len,
        held: classify(policy, &record.frame).verdict == Verdict::Buffer,
        of_guest: options.guest.is_empty()
            || source.is_some_and(|source| options.guest.contains(&source)),
    }
}

/// When each frame leaves, if it does, and the most that was held.
fn fates(options: &Options, sent: &[Sent]) -> (Vec<Option<u64>>, Tally) {
    let schedule = options.schedule;
    let mut fates = vec![None; sent.len()];
    let mut most = Tally::default();
    // Frames of the open epoch, and of the one that has ended, if one has.
    let mut open: Vec<usize> = Vec::new();
    let mut ended: Option<Vec<usize>> = None;
    let mut suspend = None;
    let mut frames = sent.iter().enumerate().peekable();
    loop {
        let next = frames.peek().map(|(_, sent)| sent.at);
        let now = suspend.unwrap_or(u64::MAX);
        let resume = now.saturating_add(schedule.pause);
        let commit = resume.saturating_add(schedule.transfer);
        if ended.is_none() && next.is_none_or(|at| at >= now) && suspend.is_some() {
            ended = Some(std::mem::take(&mut open));
        }
        if ended.is_some() && next.is_none_or(|at| at >= commit) {
            for index in ended.take().into_iter().flatten() {
                fates[index] = Some(commit);
            }
            suspend = Some(schedule.timer.next(now, commit, schedule.interval));
            if next.is_none() && open.is_empty() {
                return (fates, most);
            }
            continue;
        }
        let Some((index, frame)) = frames.next() else {
            return (fates, most);
        };
        if !frame.of_guest {
            fates[index] = Some(frame.at);
            continue;
        }
        suspend = suspend.or(Some(frame.at + schedule.interval));
        if !frame.held {
            let in_pause = ended.is_some() && frame.at < resume;
            fates[index] = Some(if in_pause { resume } else { frame.at });
            continue;
        }
        let waiting = open.iter().chain(ended.iter().flatten());
        let bytes: u64 = waiting.map(|&other| u64::from(sent[other].bytes)).sum();
        if bytes + u64::from(frame.bytes) <= options.limit {
            open.push(index);
            let packets = open.len() + ended.as_ref().map_or(0, Vec::len);
            most.packets = most.packets.max(packets as u64);
            most.bytes = most.bytes.max(bytes + u64::from(frame.bytes));
        }
    }
}

/// A stream and its packets: which frame, and what a receiver hears.
struct Heard {
    key: StreamKey,
    candidate: Candidate,
    packets: Vec<(usize, RtpPacket)>,
}

fn streams(
    options: &Options,
    records: &[Record],
    sent: &[Sent],
    fates: &[Option<u64>],
) -> Vec<Compared> {
    let mut announced = Announced::default();
    let mut all: Vec<Heard> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let headers = Headers::of(&record.frame).unwrap();
        let mut spotter = Spotter::default();
        match spotter.look(&headers) {
            Some(Spotted::Packet(_, header)) => {
                let key = spotter.keys()[0];
                let known = all.iter().position(|heard| heard.key == key);
                let known = known.unwrap_or_else(|| {
                    all.push(Heard {
                        key,
                        candidate: Candidate::new(key),
                        packets: Vec::new(),
                    });
                    all.len() - 1
                });
                let heard = &mut all[known];
                let packet = heard.candidate.take(&announced, header);
                heard.packets.extend(packet.map(|packet| (index, packet)));
            }
            Some(Spotted::Description(text)) => announced.learn(text),
            None => {}
        }
    }
    all.retain(|heard| heard.candidate.is_stream());
    all.sort_by_key(|heard| heard.packets[0].0);
    let start = fates.iter().flatten().min().copied().unwrap_or_default();
    let before = |index: usize| Some(sent[index].at - sent[0].at);
    let after = |index: usize| fates[index].map(|at| at - start);
    let compared = |heard: &Heard| Compared {
        stream: RtpStream {
            key: heard.key,
            announced: heard.candidate.announced(),
        },
        held: heard
            .packets
            .iter()
            .filter(|(index, _)| sent[*index].of_guest && sent[*index].held)
            .count() as u64,
        before: figures(options, heard, &before),
        after: figures(options, heard, &after),
    };
    all.iter().map(compared).collect()
}

fn figures(options: &Options, heard: &Heard, at: &dyn Fn(usize) -> Option<u64>) -> Figures {
    let mut receiver = Receiver::new(Assumptions {
        codec: heard.candidate.codec(),
        ..options.assumptions
    });
    let packets = heard.packets.iter();
    let mut arrivals: Vec<(u64, RtpPacket)> = packets
        .filter_map(|(index, packet)| Some((at(*index)?, *packet)))
        .collect();
    arrivals.sort_by_key(|(at, _)| *at);
    for (at, packet) in arrivals {
        let at_ms = (at / 1_000_000_000) as f64 * 1e3 + (at % 1_000_000_000) as f64 / 1e6;
        receiver.arrive(packet.arrival(at_ms));
    }
    receiver.finish();
    Figures::of(&receiver)
}

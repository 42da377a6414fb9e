//! A failover: a domU that is replicated to a second box, whose first box loses its power; and what the far
//! side hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use policy_lang::{Verdict, classify};
use serde::Serialize;

use super::call;
use super::pair::{BACKUP, Pair};
use super::recording::{Answer, answers, frames_of_domu};
use super::run::{Call, Row, Way, create_domu, example, hear_domu, heard, record, round_trips};
use super::station::Station;
use super::streams::{Stream, is_announcement, number, opens_connection, packet};
use super::wire::ARMED;
use crate::lab::LabError;
use crate::lab::image::Image;

/// How long the far side listens after the domU runs on the backup, in the box's seconds.
const AFTERWARDS: &str = "6";
/// What runs at the backup.
const SCRIPT: &str = "/lab/backup.sh";
/// What the primary sent has passed the bridge by then; the backup says nothing for [`super::wire::SILENCE`].
const BRIDGE_NS: u64 = 100_000_000;
/// A shell command.
const SHORT: Duration = Duration::from_secs(60);

/// What the backup has recorded.
#[derive(Debug, Default)]
struct Heard {
    /// What came from the primary: times and frames.
    primary: Vec<(u64, Vec<u8>)>,
    /// What the far side saw.
    far: Vec<(u64, Vec<u8>)>,
    /// Its round trips.
    answers: Vec<Answer>,
    /// Whether the domU has answered the end of the call.
    hung_up: bool,
}

/// What came of one way. All times are of the backup's clock.
#[derive(Clone, Debug, Serialize)]
pub struct Failover {
    /// As [`Way::name`].
    pub name: &'static str,
    /// The replication before, as it was seen on the primary.
    pub before: Row,
    /// From the last frame of the primary to the first of the backup, in milliseconds.
    pub silent_ms: f64,
    /// What that first frame was.
    pub first: String,
    /// From the last frame of the primary to the first in which the domU's kernel tells the switches where it is.
    pub announced_ms: Option<f64>,
    /// Each stream.
    pub streams: Vec<Seen>,
    /// Calls over IPv4 and IPv6 as the far side heard them, the failover included.
    pub calls: [Call; 2],
    /// When the last frame of the primary came, in milliseconds behind the first packet of the call over IPv4.
    pub died_ms: f64,
    /// TCP connections that the domU opened anew.
    pub reconnects: usize,
    /// Whether the call that the far side had made before the failover was ended behind it with the domU's
    /// answer.
    pub hung_up: bool,
}

/// What the far side saw of a stream.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// `call`, `sip`, `tcp`, `arp` or `tagged`.
    pub stream: String,
    /// 4 or 6.
    pub family: u8,
    /// Whether the policy holds it.
    pub held: bool,
    /// From its last packet of the primary to the first of the backup, in milliseconds.
    pub gap_ms: f64,
    /// Packets of the primary that the backup sent again: the far side had seen what the backup does not know
    /// of. None, if they are held and the law was kept. Not told of TCP, which sends again by itself.
    pub again: usize,
    /// Packets that neither sent.
    pub lost: usize,
}

/// Starts the domU on the primary, replicates it to the backup for so many seconds of the box's time, and
/// kills the primary. Another one is booted from the image.
///
/// # Errors
/// When a box is dead, or nothing was replicated.
pub fn run(
    pair: &mut Pair,
    way: &Way,
    interval_ms: u32,
    seconds: u32,
    next: &Image,
) -> Result<Failover, LabError> {
    start(pair)?;
    let before = record(pair.primary()?, way, interval_ms, seconds, Some(BACKUP))?;
    pair.backup.shell(&format!("touch {ARMED}"), SHORT)?;
    let heard = pair.lose_primary(next, |backup| {
        let heard = end(backup)?;
        backup.shell("xl destroy guest", SHORT)?;
        Ok(heard)
    })?;
    judge(way, before, &heard)
}

/// Listens at the backup and starts the domU at the primary.
pub(super) fn start(pair: &mut Pair) -> Result<(), LabError> {
    let listen = ["sh", SCRIPT, "listen", BACKUP];
    pair.backup.succeed(&listen, SHORT)?;
    create_domu(pair.primary()?)?;
    hear_domu(&mut pair.backup)?;
    let call = ["sh", SCRIPT, "call", &call::caller()];
    pair.backup.succeed(&call, SHORT).map(drop)
}

/// Waits until the domU runs on the backup, listens for a while and reads what was recorded.
fn end(backup: &mut Station) -> Result<Heard, LabError> {
    let end = ["sh", SCRIPT, "end", AFTERWARDS, &call::hang_up()];
    backup.succeed(&end, Duration::from_secs(180))?;
    let noticed = "grep 'the primary is gone' /run/xen-lab/receive.log";
    eprint!("{}", backup.shell(noticed, SHORT)?);
    let mut read = |name: &str| backup.read(&format!("/run/xen-lab/{name}"));
    let frames = |bytes: Vec<u8>| frames_of_domu(&bytes).map_err(LabError::Guest);
    Ok(Heard {
        primary: frames(read("primary.pcap")?)?,
        far: frames(read("far.pcap")?)?,
        answers: answers(&read("answers")?),
        hung_up: read("call")?.trim_ascii() == b"0",
    })
}

fn judge(way: &Way, mut before: Row, heard_all: &Heard) -> Result<Failover, LabError> {
    let policy = example(way.policy)?.policy;
    let death = heard_all.primary.last().map_or(0, |(at, _)| *at);
    let mut after = of_backup(&heard_all.far, death).peekable();
    let Some((first_at, first)) = after.peek().copied() else {
        return Err(LabError::Guest(format!(
            "{}: nothing came from the backup",
            way.name
        )));
    };
    let after: Vec<&(u64, Vec<u8>)> = after.collect();
    let since = |at: u64| at.saturating_sub(death) as f64 / 1e6;
    let announced = after.iter().find(|(_, frame)| is_announcement(frame));
    before.round_trips = round_trips(&heard_all.answers, 0..death);
    let came = || {
        heard_all
            .far
            .iter()
            .map(|(at, frame)| (*at, frame.as_slice()))
    };
    Ok(Failover {
        name: way.name,
        before,
        silent_ms: since(*first_at),
        first: describe(first),
        announced_ms: announced.map(|(at, _)| since(*at)),
        streams: seen(&heard_all.primary, &after, |frame| {
            classify(&policy, frame).verdict == Verdict::Buffer
        }),
        died_ms: death.saturating_sub(call_began(&heard_all.far)) as f64 / 1e6,
        calls: [4, 6].map(|family| heard(came(), family)),
        hung_up: heard_all.hung_up,
        reconnects: after.iter().filter(|(_, f)| opens_connection(f)).count(),
    })
}

fn call_began(frames: &[(u64, Vec<u8>)]) -> u64 {
    let is_call = |frame: &[u8]| {
        packet(frame).is_some_and(|packet| (packet.stream, packet.family) == (Stream::Call, 4))
    };
    let first = frames.iter().find(|(_, frame)| is_call(frame));
    first.map_or(0, |(at, _)| *at)
}

/// What the far side saw of the backup. By their bytes frames can't be told apart, as the backup may say again
/// what the primary has said; by time they can.
fn of_backup(far: &[(u64, Vec<u8>)], death: u64) -> impl Iterator<Item = &(u64, Vec<u8>)> {
    far.iter()
        .skip_while(move |(at, _)| *at <= death + BRIDGE_NS)
}

fn describe(frame: &[u8]) -> String {
    match packet(frame) {
        _ if is_announcement(frame) => String::from("an announcement of its kernel"),
        Some(packet) => format!("{}, IPv{}", name(packet.stream), packet.family),
        None => other(frame),
    }
}

/// What is no stream's, by its ethertype and protocol.
fn other(frame: &[u8]) -> String {
    match (
        number(frame, 12) >> 16,
        frame.get(14 + 9),
        frame.get(14 + 6),
    ) {
        (0x0806, ..) => String::from("a question for an address (ARP)"),
        (0x0800, Some(protocol), _) => format!("IPv4, protocol {protocol}"),
        // A multicast listener report comes behind a header with options (RFC 3810 section 5).
        (0x86dd, _, Some(0)) => String::from("a report to multicast routers (MLD)"),
        (0x86dd, _, Some(58)) => String::from("neighbour discovery (ICMPv6)"),
        (0x86dd, _, Some(protocol)) => format!("IPv6, protocol {protocol}"),
        (ethertype, ..) => format!("ethertype {ethertype:#06x}"),
    }
}

fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Call => "call",
        Stream::Sip => "sip",
        Stream::Tcp => "tcp",
        Stream::Arp => "arp",
        Stream::Tagged => "tagged",
        Stream::Answer => "answered call",
    }
}

/// Times and numbers of a stream's packets, and one of its frames.
#[derive(Default)]
struct Trail<'a> {
    at: Vec<u64>,
    numbers: BTreeSet<u32>,
    frame: &'a [u8],
}

fn trails<'a>(
    frames: impl Iterator<Item = &'a (u64, Vec<u8>)>,
) -> BTreeMap<(Stream, u8), Trail<'a>> {
    let mut trails: BTreeMap<_, Trail<'_>> = BTreeMap::new();
    for (at, frame) in frames {
        if let Some(packet) = packet(frame) {
            let trail = trails.entry((packet.stream, packet.family)).or_default();
            trail.at.push(*at);
            trail.numbers.insert(packet.number);
            trail.frame = frame;
        }
    }
    trails
}

fn seen(
    before: &[(u64, Vec<u8>)],
    after: &[&(u64, Vec<u8>)],
    holds: impl Fn(&[u8]) -> bool,
) -> Vec<Seen> {
    let after = trails(after.iter().copied());
    let streams = trails(before.iter()).into_iter();
    let both = streams.filter_map(|(key, before)| Some((key, before, after.get(&key)?)));
    both.map(|((stream, family), before, after)| {
        let last = before.at.last().copied().unwrap_or_default();
        let first = after.at.first().copied().unwrap_or_default();
        let again = before.numbers.intersection(&after.numbers).count();
        let between = match (before.numbers.last(), after.numbers.first()) {
            (Some(last), Some(first)) => first.saturating_sub(*last).saturating_sub(1),
            _ => 0,
        };
        let numbered = stream != Stream::Tcp;
        Seen {
            stream: name(stream).to_owned(),
            family,
            held: holds(before.frame),
            gap_ms: first.saturating_sub(last) as f64 / 1e6,
            again: if numbered { again } else { 0 },
            lost: if numbered { between as usize } else { 0 },
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::frames::{announcement, tagged};
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn gaps_repetitions_and_losses_are_counted() {
        let frame = |at: u64, frame: Vec<u8>| (at * MS, frame);
        let before: Vec<_> = (1..=10)
            .map(|n| frame(u64::from(n) * 20, tagged(n)))
            .collect();
        // The backup goes on behind number 7 ...
        let again: Vec<_> = (8..=12)
            .map(|n| frame(1_000 + u64::from(n) * 20, tagged(n)))
            .collect();
        let found = seen(&before, &again.iter().collect::<Vec<_>>(), |_| true);
        assert_eq!((found[0].again, found[0].lost), (3, 0));
        assert!((found[0].gap_ms - 960.0).abs() < 1e-6);
        // ... or behind number 12.
        let later: Vec<_> = (13..=14).map(|n| frame(2_000, tagged(n))).collect();
        let found = seen(&before, &later.iter().collect::<Vec<_>>(), |_| true);
        assert_eq!((found[0].again, found[0].lost), (0, 2));
    }

    #[test]
    fn what_is_said_again_is_of_the_backup_though_its_bytes_are_the_same() {
        let at = |ms: u64, n| (ms * MS, tagged(n));
        let far = [at(10, 1), at(31, 2), at(1_400, 2), at(1_420, 3)];
        let after: Vec<_> = of_backup(&far, 30 * MS).collect();
        assert_eq!(after, [&at(1_400, 2), &at(1_420, 3)]);
        assert_eq!(seen(&[at(10, 1), at(30, 2)], &after, |_| true)[0].again, 1);
    }

    #[test]
    fn what_comes_first_is_named() {
        assert_eq!(describe(&announcement(0)), "an announcement of its kernel");
        assert_eq!(describe(&announcement(3)), "arp, IPv4");
        assert_eq!(describe(&[0; 60]), "ethertype 0x0000");
    }
}

//! A flood of frames from the VM while something is done to its rules, and the toll: how many
//! frames that must be held came out, and how many that may pass did not.
//!
//! Nothing is captured: a capture would lose frames. Each frame carries its class in its source
//! address, and counters in the kernel, at the far side, count by it. How many were held, the gate
//! itself counts. A flood in which the laboratory's own links had no room for a frame is an error.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::namespace::{Namespace, succeed};
use super::plug::Plug;
use super::run::{INSIDE, open};
use super::{LabError, VIF};

/// The counters: at the far side of the bridge.
const FAR_SIDE: &str = "add table netdev epochgate_toll; \
    add counter netdev epochgate_toll held_out; add counter netdev epochgate_toll bypass_out; \
    add chain netdev epochgate_toll out { type filter hook ingress device out1 priority 0; }; \
    add rule netdev epochgate_toll out ether saddr 02:65:67:00:01:00 counter name held_out; \
    add rule netdev epochgate_toll out ether saddr 02:65:67:00:02:00 counter name bypass_out";

/// The two classes, as source addresses.
const HELD: [u8; 6] = [2, 0x65, 0x67, 0, 1, 0];
const BYPASS: [u8; 6] = [2, 0x65, 0x67, 0, 2, 0];

/// Between two rounds of frames: more would only fill the links' queues.
const PAUSE: Duration = Duration::from_micros(50);
/// The same where a plug holds what comes: each frame of the flood takes memory until the end, and a
/// guest with one emulated processor has other things to do as well.
const PAUSE_WHERE_HELD: Duration = Duration::from_millis(5);

/// So long after the last frame everything has arrived somewhere.
const SETTLE: Duration = Duration::from_millis(100);

/// What a flood met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// Frames sent that must be held.
    pub held_sent: u64,
    /// How many of them came out: the leak.
    pub leaked: u64,
    /// Frames sent that may pass.
    pub bypass_sent: u64,
    /// How many of them came out.
    pub bypass_out: u64,
    /// How many of them were held for a moment; only counted if the IFB was there from the start.
    pub bypass_held: u64,
}

impl Toll {
    /// Bypass frames that were neither let out nor held.
    #[must_use]
    pub fn bypass_lost(&self) -> u64 {
        self.bypass_sent
            .saturating_sub(self.bypass_out + self.bypass_held)
    }
}

impl std::ops::AddAssign for Toll {
    fn add_assign(&mut self, more: Self) {
        self.held_sent += more.held_sent;
        self.leaked += more.leaked;
        self.bypass_sent += more.bypass_sent;
        self.bypass_out += more.bypass_out;
        self.bypass_held += more.bypass_held;
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} frames to hold, leaked {}; {} bypass frames, {} held for a moment, lost {}",
            self.held_sent,
            self.leaked,
            self.bypass_sent,
            self.bypass_held,
            self.bypass_lost()
        )
    }
}

/// Sends `held` and `bypass` over and over while `work` is done.
pub(super) fn flood<T>(
    namespace: &Namespace,
    plug: &Plug,
    ifb: Option<&str>,
    held: &[Vec<u8>],
    bypass: &[Vec<u8>],
    work: impl FnOnce() -> T,
) -> Result<(T, Toll), LabError> {
    let pause = match plug {
        Plug::Kernel => PAUSE_WHERE_HELD,
        Plug::StandIn(..) => PAUSE,
    };
    let marked = |frames: &[Vec<u8>], class: [u8; 6]| -> Vec<Vec<u8>> {
        let mark = |frame: &Vec<u8>| {
            let mut frame = frame.clone();
            frame[6..12].copy_from_slice(&class);
            frame
        };
        frames.iter().map(mark).collect()
    };
    let (held, bypass) = (marked(held, HELD), marked(bypass, BYPASS));
    let counters = Counters::install(namespace)?;
    let taken_before = ifb.map_or(Ok(0), |ifb| taken(namespace, ifb))?;
    let drops_before = dropped_by_links(namespace)?;
    let stop = AtomicBool::new(false);
    let (done, rounds) = thread::scope(|scope| {
        let sender = scope.spawn(|| namespace.enter(|| send(&held, &bypass, pause, &stop)));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let sent = sender
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (done, sent)
    });
    let rounds = rounds.map_err(LabError::Io)??;
    thread::sleep(SETTLE);
    let drops = dropped_by_links(namespace)? - drops_before;
    if drops > 0 {
        return Err(LabError::Lossy(format!("links dropped {drops} frames")));
    }
    let mut toll = Toll {
        held_sent: rounds * held.len() as u64,
        bypass_sent: rounds * bypass.len() as u64,
        ..counters.read()?
    };
    if let Some(ifb) = ifb {
        // All that had to be held went there; what is more are the others. Frames of an earlier flood
        // can leak too, and a qdisc made anew begins to count anew.
        let taken = taken(namespace, ifb)?.saturating_sub(taken_before);
        toll.bypass_held = taken.saturating_sub(toll.held_sent.saturating_sub(toll.leaked));
    }
    Ok((done, toll))
}

/// Sends until told to stop; returns the number of rounds.
fn send(
    held: &[Vec<u8>],
    bypass: &[Vec<u8>],
    pause: Duration,
    stop: &AtomicBool,
) -> Result<u64, LabError> {
    let mut sender = open(INSIDE)?;
    let mut rounds = 0;
    // One round at least: a work that takes no time is no reason to count nothing.
    loop {
        for frame in held.iter().chain(bypass) {
            if let Some(Err(error)) = sender.send_to(frame, None) {
                return Err(LabError::Io(error));
            }
        }
        rounds += 1;
        if stop.load(Ordering::Relaxed) {
            return Ok(rounds);
        }
        thread::sleep(pause);
    }
}

/// Frames that the links into the vif and out of the bridge had no room for.
fn dropped_by_links(namespace: &Namespace) -> Result<u64, LabError> {
    /// Of the columns of /proc/net/dev, behind the colon: frames not sent for want of room.
    const SENT_DROPPED: usize = 11;
    let read = || std::fs::read_to_string("/proc/thread-self/net/dev");
    let table = namespace
        .enter(read)
        .and_then(|table| table)
        .map_err(LabError::Io)?;
    Ok(table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(device, _)| [INSIDE, "out0"].contains(&device.trim()))
        .filter_map(|(_, counters)| {
            counters
                .split_whitespace()
                .nth(SENT_DROPPED)?
                .parse::<u64>()
                .ok()
        })
        .sum())
}

/// Frames that the gate on `ifb` has taken in: held now, refused, or let out.
fn taken(namespace: &Namespace, ifb: &str) -> Result<u64, LabError> {
    let mut tc = namespace.command("tc");
    tc.args(["-j", "-s", "qdisc", "show", "dev", ifb, "root"]);
    let listing = succeed(&mut tc).map_err(LabError::Command)?;
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let number = |key: &str| {
        let (_, rest) = listing.split_once(&format!("\"{key}\":"))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    };
    let all = ["packets", "drops", "qlen"].map(number);
    let missing = || LabError::Command(format!("no numbers in: {listing}"));
    all.into_iter().sum::<Option<u64>>().ok_or_else(missing)
}

/// The counters in the kernel, taken away when dropped.
struct Counters<'a>(&'a Namespace);

impl<'a> Counters<'a> {
    fn install(namespace: &'a Namespace) -> Result<Self, LabError> {
        debug_assert!(
            !FAR_SIDE.contains(VIF),
            "the rules under test are alone there"
        );
        succeed(namespace.command("nft").arg(FAR_SIDE)).map_err(LabError::Command)?;
        Ok(Self(namespace))
    }

    /// What was counted; the numbers sent are not known here.
    fn read(&self) -> Result<Toll, LabError> {
        let mut nft = self.0.command("nft");
        nft.args(["list", "table", "netdev", "epochgate_toll"]);
        let listing = succeed(&mut nft).map_err(LabError::Command)?;
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        let count = |name: &str| {
            let (_, rest) = listing.split_once(&format!("counter {name} {{"))?;
            let (_, rest) = rest.split_once("packets ")?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let missing = || LabError::Command(format!("no counters in: {listing}"));
        Ok(Toll {
            leaked: count("held_out").ok_or_else(missing)?,
            bypass_out: count("bypass_out").ok_or_else(missing)?,
            ..Toll::default()
        })
    }
}

impl Drop for Counters<'_> {
    fn drop(&mut self) {
        let mut nft = self.0.command("nft");
        let _ = succeed(nft.arg("delete table netdev epochgate_toll"));
    }
}

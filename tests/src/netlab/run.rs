//! Sending frames and collecting what is seen of them, in batches small enough that no queue on
//! the way and no capture overflows; each batch is over when the captures have caught up with the
//! interfaces' own counters.

use std::thread;
use std::time::{Duration, Instant};

use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

use super::ledger::{Ledger, Place};
use super::namespace::{Namespace, succeed};
use super::tap::Tap;
use super::{LabError, Run, VIF};

/// The VM's end of the vif.
pub(super) const INSIDE: &str = "eth1";
/// The far side of the bridge.
pub(super) const OUTSIDE: &str = "out1";
/// The far side of the witness.
const WITNESS: &str = "seen1";
/// Frames in a batch: first try, then when a capture lost something, then once more.
const BATCHES: [usize; 3] = [250, 64, 8];
/// A batch with missing frames is over after this long without any new frame.
const QUIET: Duration = Duration::from_millis(20);
/// The same for frames sent again: here silence is the answer, so it has to last.
const LONG_QUIET: Duration = Duration::from_millis(250);
/// No batch takes longer, unless a capture has lost frames.
const PATIENCE: Duration = Duration::from_secs(3);

/// The rule of the witness: it stands last at the hook, so it sees what all others let pass.
const WITNESS_TABLE: &str = "add table netdev epochgate_lab; \
    add chain netdev epochgate_lab seen \
    { type filter hook ingress device vif0 priority 2147483647; policy accept; }; \
    add rule netdev epochgate_lab seen dup to \"seen0\"";

/// Sends all frames; see [`super::Lab::run`].
pub(super) fn run(
    namespace: &Namespace,
    ifb: Option<&str>,
    frames: &[Vec<u8>],
) -> Result<Run, LabError> {
    let attempts = || {
        stay_on_this_processor();
        let mut lost = String::new();
        for batch in BATCHES {
            match attempt(namespace, ifb, frames, batch) {
                Err(LabError::Lossy(reason)) => lost = reason,
                other => return other,
            }
        }
        Err(LabError::Lossy(lost))
    };
    namespace.enter(attempts).map_err(LabError::Io)?
}

/// veth queues what is sent for the processor that sends it (`__netif_rx` in drivers/net/veth.c), so a sender that
/// is moved to another one on a busy machine may see its next frame overtake the last.
fn stay_on_this_processor() {
    let mut own = CpuSet::new();
    own.set(sched_getcpu());
    // Where that is forbidden frames may be overtaken, which is then told as such.
    let _ = sched_setaffinity(None, &own);
}

fn attempt(
    namespace: &Namespace,
    ifb: Option<&str>,
    frames: &[Vec<u8>],
    batch: usize,
) -> Result<Run, LabError> {
    let mut taps = vec![(Place::Out, Tap::start(OUTSIDE)?)];
    if let Some(ifb) = ifb {
        taps.push((Place::Ifb, Tap::start(ifb)?));
    }
    let mut bench = Bench {
        sender: open(INSIDE)?,
        taps,
        ledger: Ledger::new(frames),
        pass: 0,
        quiet: QUIET,
    };

    let all: Vec<usize> = (0..bench.ledger.frames.len()).collect();
    bench.send(&all, batch)?;

    bench.quiet = LONG_QUIET;
    let missing = bench.ledger.missing();
    bench.send(&missing, batch)?;

    let still_missing = bench.ledger.missing();
    if !still_missing.is_empty() {
        bench.taps.push((Place::Witness, Tap::start(WITNESS)?));
        let witness = WitnessRules::install(namespace)?;
        bench.send(&still_missing, batch)?;
        drop(witness);
    }
    Ok(Run {
        observations: bench.ledger.observations(),
        anomalies: bench.ledger.anomalies(),
        sent_again: missing.len(),
    })
}

/// A socket for raw frames on `device`, opened in the namespace of the calling thread.
pub(super) fn open(device: &str) -> Result<Box<dyn DataLinkSender>, LabError> {
    let (sender, _) = channel(device)?;
    Ok(sender)
}

/// Both halves of a socket for raw frames.
type Halves = (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>);

/// The same with its other half, which gives up after [`PATIENCE`].
pub(super) fn channel(device: &str) -> Result<Halves, LabError> {
    let absent = || LabError::Command(format!("no interface `{device}`"));
    let interface = pnet_datalink::interfaces()
        .into_iter()
        .find(|i| i.name == device);
    // A full queue behind the script's rules must end as an error, not as a test that hangs.
    let config = Config {
        write_timeout: Some(PATIENCE),
        read_timeout: Some(PATIENCE),
        ..Config::default()
    };
    let channel = pnet_datalink::channel(&interface.ok_or_else(absent)?, config);
    match channel.map_err(LabError::Io)? {
        Channel::Ethernet(sender, receiver) => Ok((sender, receiver)),
        _ => Err(absent()),
    }
}

struct Bench<'a> {
    sender: Box<dyn DataLinkSender>,
    taps: Vec<(Place, Tap)>,
    ledger: Ledger<'a>,
    pass: usize,
    quiet: Duration,
}

impl Bench<'_> {
    /// One pass: sends these frames, batch by batch.
    fn send(&mut self, frames: &[usize], batch: usize) -> Result<(), LabError> {
        for some in frames.chunks(batch) {
            for &frame in some {
                self.send_one(frame)?;
            }
            self.settle(some)?;
        }
        self.pass += 1;
        Ok(())
    }

    fn send_one(&mut self, frame: usize) -> Result<(), LabError> {
        let sent = self.sender.send_to(self.ledger.frames[frame], None);
        match sent.unwrap_or(Ok(())) {
            Ok(()) => Ok(()),
            Err(error) if is_refusal(&error) => {
                self.ledger.refuse(frame);
                Ok(())
            }
            Err(error) => Err(LabError::Io(error)),
        }
    }

    /// Waits until the captures have shown everything that the interfaces counted, and either
    /// all frames came out or nothing has moved for a while.
    fn settle(&mut self, batch: &[usize]) -> Result<(), LabError> {
        let begin = Instant::now();
        let mut moved = begin;
        let mut before = Vec::new();
        loop {
            self.collect()?;
            let mut counts = Vec::new();
            for (_, tap) in &self.taps {
                counts.push((tap.seen(), tap.counted()?));
            }
            let caught_up = counts.iter().all(|(seen, counted)| seen == counted);
            if before != counts {
                moved = Instant::now();
                before = counts;
            }
            let complete = batch.iter().all(|&frame| self.ledger.is_delivered(frame));
            if caught_up && (complete || moved.elapsed() > self.quiet) {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(LabError::Lossy(format!(
                    "(seen, counted) per capture: {before:?}"
                )));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn collect(&mut self) -> Result<(), LabError> {
        for (place, tap) in &mut self.taps {
            while let Some(frame) = tap.next()? {
                self.ledger.enter(self.pass, *place, &frame);
            }
        }
        Ok(())
    }
}

/// EINVAL: shorter than an Ethernet header. EMSGSIZE: longer than the MTU.
fn is_refusal(error: &std::io::Error) -> bool {
    const EINVAL: i32 = 22;
    const EMSGSIZE: i32 = 90;
    matches!(error.raw_os_error(), Some(EINVAL | EMSGSIZE))
}

/// The witness's table, there only while it is needed: a script under test may look for foreign
/// rules on its vif.
struct WitnessRules<'a>(&'a Namespace);

impl<'a> WitnessRules<'a> {
    fn install(namespace: &'a Namespace) -> Result<Self, LabError> {
        debug_assert!(WITNESS_TABLE.contains(VIF));
        succeed(namespace.command("nft").arg(WITNESS_TABLE)).map_err(LabError::Command)?;
        Ok(Self(namespace))
    }
}

impl Drop for WitnessRules<'_> {
    fn drop(&mut self) {
        let _ = succeed(
            self.0
                .command("nft")
                .arg("delete table netdev epochgate_lab"),
        );
    }
}

/// Frames per timed batch of [`nanoseconds_per_frame`].
const TIMED: usize = 64;

/// The tenth percentile over batches: what else the machine does can only make one slower.
pub(super) fn nanoseconds_per_frame(
    namespace: &Namespace,
    frame: &[u8],
    count: usize,
) -> Result<f64, LabError> {
    let timed = || {
        let mut sender = open(INSIDE)?;
        let mut batches = Vec::with_capacity(count / TIMED + 1);
        for _ in 0..=count / TIMED {
            let start = Instant::now();
            for _ in 0..TIMED {
                if let Some(Err(error)) = sender.send_to(frame, None) {
                    return Err(LabError::Io(error));
                }
            }
            batches.push(start.elapsed().as_secs_f64() * 1e9 / TIMED as f64);
        }
        batches.sort_by(f64::total_cmp);
        Ok(batches[batches.len() / 10])
    };
    namespace.enter(timed).map_err(LabError::Io)?
}

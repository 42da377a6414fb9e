//! What a policy does to calls, measured on a kernel: real generated rules, the kernel's own plug or our
//! module driven by the driver of `epochgate gate`, a paced RTP sender that stops while its guest would be
//! stopped, and the times at which packets come out behind the bridge.
//!
//! ```text
//! sender -> vif0 -> rules -> IFB with a plug -> bridge -> out1: tcpdump's times
//!      ^ stopped by the replicator: suspend, end of the epoch, go on, commit, interval
//! ```
//!
//! There are several such laboratories side by side, one for each policy and one without rules. Each
//! packet goes into all of them in the same moment, and they share the checkpoints. So whatever the
//! machine does to the sender's clock it does to all, and what differs is what the policies do.

mod lane;
mod report;
mod sender;
mod sipp;
pub mod transcript;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compiler::replay::Figures;
use compiler::script::Gate;
use policy_lang::Verdict;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{self, Calls, Checkpoints, Codec, Config, Network, Verdicts};

use lane::Lane;
use sender::{Paced, send_all};
use sipp::{Running, Sent, Sipp};

/// Who sends the calls. Either stops while the guest does, and then sends at once what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A paced sender of ours.
    Own,
    /// SIPp, which is Debian's `sip-tester`.
    Sipp,
}

/// What is measured, and how.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How long packets are sent.
    pub duration: Duration,
    /// From a commit to the next suspend.
    pub interval: Duration,
    /// How long the guest stands still.
    pub pause: Duration,
    /// From its going on to the commit.
    pub transfer: Duration,
    /// Calls, one direction each: G.711, a packet each 20 ms.
    pub calls: u32,
    /// Who sends them.
    pub caller: Caller,
    /// What holds frames: each policy is measured once behind each.
    pub gates: &'static [Gate],
}

impl Setting {
    /// As the paper's testbed: an interval of 300 ms, and 100 ms for a checkpoint; two calls.
    #[must_use]
    pub fn lasting(duration: Duration) -> Self {
        Self {
            duration,
            interval: Duration::from_millis(300),
            pause: Duration::from_millis(20),
            transfer: Duration::from_millis(80),
            calls: 2,
            caller: Caller::Own,
            gates: &[Gate::Plug],
        }
    }
}

/// The example policies that are compared, and how the table calls them.
const POLICIES: [(&str, &str); 3] = [
    ("everything held", "remus.gate"),
    ("paper policy", "paper.gate"),
    ("refined policy", "voip.gate"),
];

/// What the calls were like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Mean of the calls' mean jitter, in milliseconds, as analysers print it.
    pub mean_jitter_ms: f64,
    /// The largest of any call.
    pub max_jitter_ms: f64,
    /// The largest gap of any call.
    pub max_delta_ms: f64,
    /// The longest burst of any call.
    pub longest_burst: u64,
    /// Packets that did not come.
    pub lost: i64,
    /// Mean of the calls' opinion scores behind a fixed jitter buffer of 60 ms.
    pub mos: f64,
    /// Mean delay of the media from when it is due to the far side, in milliseconds.
    pub media_delay_ms: f64,
    /// Mean delay of a packet that every policy holds, TCP each 20 ms.
    pub tcp_delay_ms: f64,
}

/// One policy.
#[derive(Clone, Debug)]
pub struct Row {
    /// As the table calls it.
    pub name: String,
    /// The file of the policy, if there is one.
    pub policy: Option<String>,
    /// Whether the media of the calls is held.
    pub holds_media: bool,
    /// Measured.
    pub measured: Heard,
    /// Each call by its source port.
    pub calls: BTreeMap<u16, Figures>,
    /// What came out at the far side, and when.
    pub arrived: Vec<(Duration, Vec<u8>)>,
    /// What the simulator says for the measured pauses and periods.
    pub predicted: Heard,
}

/// What a run has shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each policy, that without rules first.
    pub rows: Vec<Row>,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Mean of the guest's pauses, in milliseconds.
    pub pause_ms: f64,
    /// Mean from suspend to suspend.
    pub period_ms: f64,
    /// Mean delay of the clock of the calls' sender outside of pauses.
    pub lateness_ms: f64,
    /// Who sent the calls.
    pub caller: Caller,
}

/// What the replicator saw.
#[derive(Debug, Default)]
struct Checkpointed {
    count: u64,
    pauses: Duration,
    transfers: Duration,
    periods: Vec<Duration>,
}

/// Runs all policies at once.
///
/// # Errors
/// What could not be done.
pub fn run(setting: &Setting) -> Result<Report, String> {
    let mut lanes = vec![Lane::ungated()?];
    for (name, file) in POLICIES {
        for &gate in setting.gates {
            lanes.push(Lane::gated(name, file, gate)?);
        }
    }
    let mut sessions = Vec::new();
    for lane in &lanes {
        sessions.push(Mutex::new(lane.session()?));
    }
    let mut sipp = match setting.caller {
        Caller::Own => None,
        Caller::Sipp => Some(Sipp::ready(setting)?),
    };
    let guest = Guest {
        running: Mutex::new(()),
        sipp: sipp.as_ref().map(Sipp::call).transpose()?,
    };
    let over = AtomicBool::new(false);
    let paced = Paced {
        calls: if sipp.is_some() { 0 } else { setting.calls },
        begin: Instant::now() + Duration::from_millis(200),
        duration: setting.duration,
    };
    let (checkpointed, sent) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let until = paced.begin + paced.duration;
            let sent = thread::scope(|scope| {
                let relay = |sipp: &mut Sipp| sipp.relay(until, &guest.running, &sessions);
                let relaying = sipp.as_mut().map(|sipp| scope.spawn(move || relay(sipp)));
                let lateness_ms = send_all(&paced, &guest.running, &sessions)?;
                match relaying {
                    None => Ok(Sent {
                        lateness_ms,
                        ..Sent::default()
                    }),
                    Some(relaying) => relaying.join().map_err(|_| "the relay died")?,
                }
            });
            over.store(true, Ordering::SeqCst);
            sent
        });
        let checkpointed = replicate(setting, &guest, &over, &mut lanes);
        let sent: Result<Sent, String> = sending
            .join()
            .map_err(|_| String::from("the sender died"))?;
        Ok::<_, String>((checkpointed?, sent?))
    })?;
    drop(guest);
    // What was released last is on its way, and the captures take their time.
    thread::sleep(Duration::from_millis(2_500));
    let mut report = Report {
        rows: Vec::new(),
        checkpoints: checkpointed.count,
        pause_ms: mean_ms(checkpointed.pauses, checkpointed.count),
        period_ms: mean_ms(
            checkpointed.periods.iter().sum(),
            checkpointed.periods.len() as u64,
        ),
        lateness_ms: sent.lateness_ms,
        caller: setting.caller,
    };
    let transfer_ms = mean_ms(checkpointed.transfers, checkpointed.count);
    for (lane, session) in lanes.iter().zip(&sessions) {
        let mut session = session.lock().map_err(|_| "a sender died")?;
        let arrived = session.arrived().map_err(|e| e.to_string())?;
        let (calls, measured) = sender::heard(&arrived, &sent.begun);
        if calls.len() != setting.calls as usize {
            return Err(format!("{}: {} calls came through", lane.name, calls.len()));
        }
        let predicted = predict(setting, lane, &report, transfer_ms);
        report.rows.push(Row {
            name: lane.name.clone(),
            policy: lane.policy.clone(),
            holds_media: lane.holds_media,
            measured,
            calls,
            arrived,
            predicted,
        });
    }
    Ok(report)
}

/// What stands still while a checkpoint is taken.
#[derive(Debug)]
struct Guest {
    /// Whoever sends holds this.
    running: Mutex<()>,
    sipp: Option<Running>,
}

/// Checkpoints in the order of Xen's Remus, until the sender is done; then one more for what is
/// still held.
fn replicate(
    setting: &Setting,
    guest: &Guest,
    over: &AtomicBool,
    lanes: &mut [Lane],
) -> Result<Checkpointed, String> {
    let mut seen = Checkpointed::default();
    let mut last: Option<Instant> = None;
    let mut epoch = 0;
    loop {
        thread::sleep(setting.interval);
        let done = over.load(Ordering::SeqCst);
        if let Some(sipp) = &guest.sipp {
            sipp.stop()?;
        }
        let stopped = guest.running.lock().map_err(|_| "the sender died")?;
        let suspend = Instant::now();
        for lane in &mut *lanes {
            lane.end(epoch)?;
        }
        sleep_until(suspend + setting.pause);
        drop(stopped);
        if let Some(sipp) = &guest.sipp {
            sipp.go_on()?;
        }
        let going_on = Instant::now();
        sleep_until(suspend + setting.pause + setting.transfer);
        for lane in &mut *lanes {
            lane.commit(epoch)?;
        }
        epoch += 1;
        if done {
            return Ok(seen);
        }
        seen.count += 1;
        seen.pauses += going_on - suspend;
        seen.transfers += going_on.elapsed();
        seen.periods
            .extend(last.replace(suspend).map(|last| suspend - last));
    }
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn mean_ms(sum: Duration, count: u64) -> f64 {
    sum.as_secs_f64() * 1e3 / count.max(1) as f64
}

/// The same calls and checkpoints in the simulator.
fn predict(setting: &Setting, lane: &Lane, report: &Report, transfer_ms: f64) -> Heard {
    let nanoseconds = |ms: f64| (ms * 1e6) as u64;
    let config = |media| Config {
        seed: 1,
        duration: setting.duration.as_nanos() as u64,
        calls: Calls {
            count: setting.calls,
            codec: Codec::G711,
            packet_time: 20_000_000,
            silences: false,
            timer_noise: nanoseconds(report.lateness_ms),
        },
        signalling_rate: 0.0,
        bulk: None,
        verdicts: Verdicts {
            media,
            signalling: packet::Verdict::Buffer,
            bulk: packet::Verdict::Buffer,
        },
        limit: 64 << 20,
        checkpoints: Some(Checkpoints {
            interval: nanoseconds(report.period_ms - report.pause_ms - transfer_ms),
            timer: Timer::AfterCommit,
            pause: nanoseconds(report.pause_ms),
            dirty_rate: 0.0,
            working_set: 0.0,
            copy_rate: 1e9,
            link_rate: 1e9,
            acknowledgement: nanoseconds(transfer_ms),
        }),
        network: Network {
            rate: 1e10,
            delay: 0,
            noise: 0,
            loss: 0.0,
        },
        failover: None,
        assumptions: Assumptions::default(),
        record: false,
    };
    let verdict = |held| match held {
        true => packet::Verdict::Buffer,
        false => packet::Verdict::Bypass,
    };
    let media = simulate::run(&config(verdict(lane.holds_media)), |_, _| ());
    let tcp = simulate::run(&config(verdict(lane.policy.is_some())), |_, _| ());
    Heard {
        mean_jitter_ms: media.calls.mean_jitter_ms,
        max_jitter_ms: media.calls.max_jitter_ms,
        max_delta_ms: media.calls.max_delta_ms,
        longest_burst: media.calls.longest_burst,
        lost: media.calls.lost,
        mos: media.calls.mos,
        media_delay_ms: media.media.mean_delay_ms,
        tcp_delay_ms: tcp.media.mean_delay_ms,
    }
}

impl Heard {
    /// All calls together.
    fn of<'a>(
        calls: impl ExactSizeIterator<Item = &'a Figures> + Clone,
        media_delay_ms: f64,
        tcp_delay_ms: f64,
    ) -> Self {
        let mean = |value: fn(&Figures) -> f64| {
            calls.clone().map(value).sum::<f64>() / calls.len().max(1) as f64
        };
        let most = |value: fn(&Figures) -> f64| calls.clone().map(value).fold(0.0, f64::max);
        Self {
            mean_jitter_ms: mean(|call| call.mean_jitter_ms.unwrap_or_default()),
            max_jitter_ms: most(|call| call.max_jitter_ms.unwrap_or_default()),
            max_delta_ms: most(|call| call.max_delta_ms),
            longest_burst: calls
                .clone()
                .map(|call| call.longest_burst)
                .max()
                .unwrap_or(0),
            lost: calls.clone().map(|call| call.lost).sum(),
            mos: mean(|call| call.mos.unwrap_or_default()),
            media_delay_ms,
            tcp_delay_ms,
        }
    }
}

/// What the policy says of the calls' media.
fn holds(policy: &policy_lang::Policy, frame: &[u8]) -> bool {
    policy_lang::classify(policy, frame).verdict == Verdict::Buffer
}

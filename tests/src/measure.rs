//! What a policy does to calls, measured on a kernel: real generated rules, the kernel's own plug
//! driven by the driver of `epochgate gate`, a paced RTP sender that stops while its guest would be
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
mod sender;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compiler::replay::Figures;
use policy_lang::Verdict;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{self, Calls, Checkpoints, Codec, Config, Network, Verdicts};

use lane::Lane;
use sender::{Paced, send_all};

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
    /// Mean delay of the sender's clock outside of pauses.
    pub lateness_ms: f64,
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
        lanes.push(Lane::gated(name, file)?);
    }
    let mut sessions = Vec::new();
    for lane in &lanes {
        sessions.push(Mutex::new(lane.session()?));
    }
    let guest = Mutex::new(());
    let over = AtomicBool::new(false);
    let paced = Paced {
        calls: setting.calls,
        begin: Instant::now() + Duration::from_millis(200),
        duration: setting.duration,
    };
    let (checkpointed, lateness) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let sent = send_all(&paced, &guest, &sessions);
            over.store(true, Ordering::SeqCst);
            sent
        });
        let checkpointed = replicate(setting, &guest, &over, &mut lanes);
        let lateness = sending
            .join()
            .map_err(|_| String::from("the sender died"))?;
        Ok::<_, String>((checkpointed?, lateness?))
    })?;
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
        lateness_ms: lateness,
    };
    let transfer_ms = mean_ms(checkpointed.transfers, checkpointed.count);
    for (lane, session) in lanes.iter().zip(&sessions) {
        let mut session = session.lock().map_err(|_| "a sender died")?;
        let arrived = session.arrived().map_err(|e| e.to_string())?;
        let measured = sender::heard(&paced, &arrived)?;
        let predicted = predict(setting, lane, &report, transfer_ms);
        report.rows.push(Row {
            name: lane.name.clone(),
            policy: lane.policy.clone(),
            holds_media: lane.holds_media,
            measured,
            predicted,
        });
    }
    Ok(report)
}

/// Checkpoints in the order of Xen's Remus, until the sender is done; then one more for what is
/// still held.
fn replicate(
    setting: &Setting,
    guest: &Mutex<()>,
    over: &AtomicBool,
    lanes: &mut [Lane],
) -> Result<Checkpointed, String> {
    let mut seen = Checkpointed::default();
    let mut last: Option<Instant> = None;
    let mut epoch = 0;
    loop {
        thread::sleep(setting.interval);
        let done = over.load(Ordering::SeqCst);
        let stopped = guest.lock().map_err(|_| "the sender died")?;
        let suspend = Instant::now();
        for lane in &mut *lanes {
            lane.end(epoch)?;
        }
        sleep_until(suspend + setting.pause);
        drop(stopped);
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
    fn of(calls: &[Figures], media_delay_ms: f64, tcp_delay_ms: f64) -> Self {
        let mean = |value: fn(&Figures) -> f64| {
            calls.iter().map(value).sum::<f64>() / calls.len().max(1) as f64
        };
        let most = |value: fn(&Figures) -> f64| calls.iter().map(value).fold(0.0, f64::max);
        Self {
            mean_jitter_ms: mean(|call| call.mean_jitter_ms.unwrap_or_default()),
            max_jitter_ms: most(|call| call.max_jitter_ms.unwrap_or_default()),
            max_delta_ms: most(|call| call.max_delta_ms),
            longest_burst: calls
                .iter()
                .map(|call| call.longest_burst)
                .max()
                .unwrap_or(0),
            lost: calls.iter().map(|call| call.lost).sum(),
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

impl Report {
    /// Everything as it stands in docs/measured.md; `release` is that of the kernel.
    #[must_use]
    pub fn tell(&self, release: &str) -> String {
        format!(
            "Linux {release}; {} checkpoints, one each {:.1} ms, pauses of {:.1} ms; outside of pauses the \
             sender's clock is {:.3} ms late on average.\n\n{}",
            self.checkpoints,
            self.period_ms,
            self.pause_ms,
            self.lateness_ms,
            self.table().trim_end()
        )
    }

    /// The table: measured, and predicted in brackets.
    fn table(&self) -> String {
        let mut text = String::from(
            "| policy | mean jitter, ms | largest jitter, ms | largest gap, ms | longest burst | MOS | delay of media, ms | delay of TCP, ms |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in &self.rows {
            let (m, p) = (&row.measured, &row.predicted);
            let pair = |measured: f64, predicted: f64| format!("{measured:.2} ({predicted:.2})");
            let name = match &row.policy {
                Some(file) => format!("{}, `{file}`", row.name),
                None => row.name.clone(),
            };
            let cells = [
                name,
                pair(m.mean_jitter_ms, p.mean_jitter_ms),
                pair(m.max_jitter_ms, p.max_jitter_ms),
                pair(m.max_delta_ms, p.max_delta_ms),
                format!("{} ({})", m.longest_burst, p.longest_burst),
                pair(m.mos, p.mos),
                pair(m.media_delay_ms, p.media_delay_ms),
                pair(m.tcp_delay_ms, p.tcp_delay_ms),
            ];
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }

    /// What has to be so whatever the machine does: media that passes is as it would be without a
    /// gate, to a tenth or 0.2 ms; media that is held comes in bursts; nothing is lost; and what
    /// every policy holds waits.
    ///
    /// # Errors
    /// The first row that is otherwise.
    pub fn judge(&self) -> Result<(), String> {
        let [free, gated @ ..] = self.rows.as_slice() else {
            return Err(String::from("nothing was measured"));
        };
        let jitter = free.measured.mean_jitter_ms;
        for row in gated {
            let (name, heard) = (&row.name, &row.measured);
            if heard.lost != 0 {
                return Err(format!("{name}: {} packets were lost", heard.lost));
            }
            let differs = (heard.mean_jitter_ms - jitter).abs();
            let packets = (self.period_ms / 20.0 - 2.0) as u64;
            if row.holds_media && heard.longest_burst < packets {
                return Err(format!(
                    "{name}: bursts of {} packets at most, at least {packets} are due",
                    heard.longest_burst
                ));
            }
            if !row.holds_media && differs > (jitter / 10.0).max(0.2) {
                return Err(format!(
                    "{name}: a mean jitter of {:.3} ms, without a gate {jitter:.3} ms",
                    heard.mean_jitter_ms
                ));
            }
            if heard.tcp_delay_ms < self.period_ms / 4.0 {
                return Err(format!(
                    "{name}: TCP waits {:.1} ms only",
                    heard.tcp_delay_ms
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Report, Row};

    fn report(passing_jitter_ms: f64, burst: u64, tcp_delay_ms: f64) -> Report {
        let row = |holds_media, mean_jitter_ms, longest_burst| Row {
            name: String::from("a policy"),
            policy: None,
            holds_media,
            measured: Heard {
                mean_jitter_ms,
                longest_burst,
                tcp_delay_ms,
                ..Heard::default()
            },
            predicted: Heard::default(),
        };
        Report {
            rows: vec![
                row(false, 1.0, 1),
                row(true, 30.0, burst),
                row(false, passing_jitter_ms, 1),
            ],
            checkpoints: 10,
            pause_ms: 20.0,
            period_ms: 400.0,
            lateness_ms: 0.1,
        }
    }

    #[test]
    fn the_judge_sees_what_is_wrong() {
        assert_eq!(report(1.1, 20, 200.0).judge(), Ok(()));
        assert!(report(1.3, 20, 200.0).judge().is_err(), "media was delayed");
        assert!(report(1.1, 2, 200.0).judge().is_err(), "nothing was held");
        assert!(report(1.1, 20, 1.0).judge().is_err(), "TCP was not held");
    }
}

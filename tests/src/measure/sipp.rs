//! Calls by SIPp (Debian's `sip-tester`): it sets them up over SIP and plays RTP from a capture, a
//! packet each 20 ms.
//!
//! ```text
//! sipp -> call0 -veth- call1 -> sipp, the phone
//!                        ^ each RTP frame that is seen here goes into every laboratory
//! ```
//!
//! What is due is told by the timestamps: a call's clock begins where its quickest packet says.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use compiler::capture::{Record, write};
use rustix::process::{Pid, Signal, kill_process};

use super::Setting;
use super::sender::{PACKET_TIME, STOPPED_MS, media_frame, port_and_round, wall_clock};
use crate::netlab::{Lab, Listener, Session};

/// For setting up the calls, and for packets that were held up on the way.
const PATIENCE: Duration = Duration::from_secs(5);

/// SIPp at both ends, set up and not yet calling.
#[derive(Debug)]
pub(super) struct Sipp {
    guest: Lab,
    phone: Lab,
    /// The scenario, the capture and what sipp says.
    place: tempfile::TempDir,
    listener: Listener,
    calls: u32,
    rounds: u32,
}

/// Both of them, running; killed when dropped.
#[derive(Debug)]
pub(super) struct Running {
    phone: Child,
    guest: Child,
}

/// What sipp sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// When the clock of each call began, by its source port, on the wall clock.
    pub(super) begun: BTreeMap<u16, Duration>,
    /// Mean delay of sipp's clock outside of pauses, in milliseconds.
    pub(super) lateness_ms: f64,
}

impl Sipp {
    /// Puts a wire between two namespaces and writes down what is to be played.
    pub(super) fn ready(setting: &Setting) -> Result<Self, String> {
        let (guest, phone) = (lab()?, lab()?);
        let wire = format!(
            "ip link add call0 type veth peer name call1 netns {}; ip address add 10.0.0.2/24 dev \
             call0; ip link set lo up; ip link set call0 up",
            phone.name()
        );
        guest.shell(&wire).map_err(|e| e.to_string())?;
        let far = "ip address add 10.0.0.3/24 dev call1; ip link set lo up; ip link set call1 up";
        phone.shell(far).map_err(|e| e.to_string())?;
        let place = tempfile::tempdir().map_err(|e| e.to_string())?;
        let rounds = (setting.duration.as_millis() / PACKET_TIME.as_millis()) as u32;
        let call: Vec<Record> = (0..rounds).map(record).collect();
        let capture = place.path().join("call.pcap");
        let pause = setting.duration + PATIENCE * 2;
        let scenario = include_str!("sipp.xml")
            .replace("CAPTURE", &capture.to_string_lossy())
            .replace("PAUSE", &pause.as_millis().to_string());
        fs::write(capture, write::pcap(&call)).map_err(|e| e.to_string())?;
        fs::write(place.path().join("call.xml"), scenario).map_err(|e| e.to_string())?;
        let listener = phone.listener("call1").map_err(|e| e.to_string())?;
        Ok(Self {
            guest,
            phone,
            place,
            listener,
            calls: setting.calls,
            rounds,
        })
    }

    /// Begins to call.
    pub(super) fn call(&self) -> Result<Running, String> {
        let phone = self.sipp(
            &self.phone,
            "phone",
            "-sn uas -i 10.0.0.3 -mi 10.0.0.3 -mp 30000",
        )?;
        // It answers once its socket is there.
        std::thread::sleep(Duration::from_secs(1));
        let calls = self.calls;
        let arguments = format!(
            "10.0.0.3:5060 -sf call.xml -i 10.0.0.2 -mi 10.0.0.2 -p 5060 -mp 16384 -m {calls} -r \
             {calls} -rp 20"
        );
        let guest = self.sipp(&self.guest, "guest", &arguments)?;
        Ok(Running { phone, guest })
    }

    fn sipp(&self, lab: &Lab, name: &str, arguments: &str) -> Result<Child, String> {
        let said = fs::File::create(self.place.path().join(name)).map_err(|e| e.to_string())?;
        let errors = said.try_clone().map_err(|e| e.to_string())?;
        // As our own sender: whoever else runs has time, the clock has not.
        let mut command: Command = lab.command("nice");
        command.args(["-n", "-20", "sipp"]);
        command.args(arguments.split_whitespace());
        command.args(["-nostdin"]).env("TERM", "linux");
        command.current_dir(self.place.path());
        command.stdin(Stdio::null()).stdout(said).stderr(errors);
        command.spawn().map_err(|e| format!("sipp: {e}"))
    }

    /// Hands every packet of the calls on into all laboratories, until all have come.
    pub(super) fn relay(
        &mut self,
        until: Instant,
        guest: &Mutex<()>,
        sessions: &[Mutex<Session>],
    ) -> Result<Sent, String> {
        let _ = rustix::process::nice(-20);
        let mut seen: Vec<(u16, u32, Duration)> = Vec::new();
        let all = u64::from(self.calls) * u64::from(self.rounds);
        while (seen.len() as u64) < all {
            if Instant::now() > until + PATIENCE {
                let said = fs::read_to_string(self.place.path().join("guest"));
                return Err(format!(
                    "sipp sent {} packets of {all}: {}",
                    seen.len(),
                    said.unwrap_or_default()
                ));
            }
            let next = self.listener.next_frame().map_err(|e| e.to_string())?;
            let Some(frame) = next else { continue };
            let Some((port, round)) = port_and_round(&frame) else {
                continue;
            };
            let _running = guest.lock().map_err(|_| "the replicator died")?;
            seen.push((port, round, wall_clock()));
            let frame = [frame];
            for session in sessions {
                let mut session = session.lock().map_err(|_| "a reader died")?;
                session.send(&frame).map_err(|e| e.to_string())?;
            }
        }
        Ok(sent(&seen))
    }
}

/// When the clocks began, and how late packets were.
fn sent(seen: &[(u16, u32, Duration)]) -> Sent {
    let mut begun: BTreeMap<u16, Duration> = BTreeMap::new();
    for (port, round, at) in seen {
        let start = at.saturating_sub(PACKET_TIME * *round);
        let earliest = begun.entry(*port).or_insert(start);
        *earliest = start.min(*earliest);
    }
    let lateness = seen.iter().filter_map(|(port, round, at)| {
        let due = *begun.get(port)? + PACKET_TIME * *round;
        Some(at.saturating_sub(due).as_secs_f64() * 1e3)
    });
    let running = lateness.filter(|late| *late < STOPPED_MS);
    let (sum, count) = running.fold((0.0, 0.0), |(sum, count), late| (sum + late, count + 1.0));
    Sent {
        lateness_ms: sum / f64::max(count, 1.0),
        begun,
    }
}

/// A packet of the capture that sipp plays.
fn record(round: u32) -> Record {
    let frame = media_frame(0, round, 0);
    Record {
        number: u64::from(round) + 1,
        time: PACKET_TIME * round,
        original_len: frame.len() as u32,
        frame,
    }
}

fn lab() -> Result<Lab, String> {
    Lab::new().map_err(|e| e.to_string())
}

impl Running {
    /// The guest stands still.
    pub(super) fn stop(&self) -> Result<(), String> {
        self.signal(Signal::STOP)
    }

    /// The guest goes on.
    pub(super) fn go_on(&self) -> Result<(), String> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.guest), signal).map_err(|e| format!("sipp: {e}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in [&mut self.guest, &mut self.phone] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn the_quickest_packet_sets_the_clock() {
        let at = |ms: u64| Duration::from_millis(1_000 + ms);
        let sent = super::sent(&[
            (16_384, 0, at(3)),
            (16_384, 1, at(21)),
            (16_384, 2, at(42)),
            // Stopped in a pause: no lateness of the clock.
            (16_384, 3, at(81)),
            (16_388, 0, at(10)),
        ]);
        assert_eq!(sent.begun[&16_384], at(1));
        assert_eq!(sent.begun[&16_388], at(10));
        // 2, 0, 1 and 0 ms.
        assert!(
            (sent.lateness_ms - 0.75).abs() < 1e-6,
            "{}",
            sent.lateness_ms
        );
    }
}

//! A capture on one interface by a `tcpdump` child, which puts a stripped VLAN tag back in place
//! (PACKET_AUXDATA, packet(7)). How many frames it must see is known from the interface's own
//! counter, so a frame lost by the capture can't pass for one that was never there.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use pcap_file::pcap::PcapReader;

use super::LabError;

/// Longer than any frame: a ring slot has this size.
const SNAP_LENGTH: &str = "66000";
/// KiB of ring, some 500 slots: more than are ever on their way at once.
const RING: &str = "32768";

/// One running capture.
#[derive(Debug)]
pub(super) struct Tap {
    device: String,
    child: Child,
    captured: Receiver<(Duration, Vec<u8>)>,
    seen: u64,
    counted_before: u64,
}

impl Tap {
    /// Starts capturing on `device` and returns once the capture is live.
    /// Call inside the namespace: tcpdump starts and the counter is read there.
    pub(super) fn start(device: &str) -> Result<Self, LabError> {
        Self::start_with(device, &["--immediate-mode"])
    }

    /// The same, but frames are handed on in batches, up to a second after the kernel saw them: this
    /// capture keeps the processor from nobody.
    pub(super) fn start_lazily(device: &str) -> Result<Self, LabError> {
        Self::start_with(device, &[])
    }

    fn start_with(device: &str, options: &[&str]) -> Result<Self, LabError> {
        let mut command = Command::new("tcpdump");
        command.args(["-i", device, "-s", SNAP_LENGTH, "-B", RING]);
        command.args(options);
        // -Z root: dropping to another user is of no use here and fails in bare guests.
        command.args(["-n", "-p", "-U", "-Z", "root", "-w", "-"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(LabError::Io)?;
        let stream = child
            .stdout
            .take()
            .ok_or_else(|| LabError::Capture(device.to_owned()))?;

        let (live, is_live) = channel();
        let (found, captured) = channel();
        thread::spawn(move || {
            // tcpdump writes the file header when its socket is open: from then on it sees all.
            let Ok(mut reader) = PcapReader::new(stream) else {
                return;
            };
            let _ = live.send(());
            while let Some(Ok(packet)) = reader.next_raw_packet() {
                let at = Duration::new(packet.ts_sec.into(), packet.ts_frac.saturating_mul(1_000));
                if found.send((at, packet.data.into_owned())).is_err() {
                    return;
                }
            }
        });
        let started = is_live.recv();
        let mut tap = Self {
            device: device.to_owned(),
            child,
            captured,
            seen: 0,
            counted_before: 0,
        };
        started.map_err(|_| LabError::Capture(device.to_owned()))?;
        tap.counted_before = tap.counter()?;
        Ok(tap)
    }

    /// The next frame that is already there.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, LabError> {
        Ok(self.next_at()?.map(|(_, frame)| frame))
    }

    /// The next frame that is already there, and when the kernel saw it, on its wall clock, to a
    /// microsecond.
    pub(super) fn next_at(&mut self) -> Result<Option<(Duration, Vec<u8>)>, LabError> {
        match self.captured.try_recv() {
            Ok(frame) => {
                self.seen += 1;
                Ok(Some(frame))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(LabError::Capture(self.device.clone())),
        }
    }

    /// How many frames the interface itself has counted since the start.
    pub(super) fn counted(&self) -> Result<u64, LabError> {
        Ok(self.counter()? - self.counted_before)
    }

    /// How many frames were captured.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The interface's count of received packets; on an IFB those redirected to it.
    fn counter(&self) -> Result<u64, LabError> {
        let table = fs::read_to_string("/proc/thread-self/net/dev").map_err(LabError::Io)?;
        let counters = table.lines().find_map(|line| {
            let (device, counters) = line.split_once(':')?;
            (device.trim() == self.device).then_some(counters)
        });
        let packets = counters.and_then(|c| c.split_whitespace().nth(1)?.parse().ok());
        packets.ok_or_else(|| LabError::Capture(self.device.clone()))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

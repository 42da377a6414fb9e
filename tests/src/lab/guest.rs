//! A guest: QEMU with one of Debian's kernels and `lab-init` as its first process, which runs jobs
//! and sends back what they wrote (see `protocol`). The console is only for diagnosis; a crash of
//! the kernel that shows there fails the run.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use tempfile::TempDir;

use super::LabError;
use super::image::Image;
use super::protocol::{Ended, File, Frame, Hello, Job, Outcome, VERSION};
use super::qemu::{Accelerator, Clock, Link, QEMU, Size, command, find_qemu};

/// A guest that has not said hello by then never will. A busy machine takes half a minute.
const BOOT: Duration = Duration::from_secs(180);
/// The same with KVM, which may hang where it does not work; then TCG takes over.
const BOOT_KVM: Duration = Duration::from_secs(15);
/// A guest ends its jobs itself; so long after their limit, the guest is dead.
const GRACE: Duration = Duration::from_secs(30);
/// What a kernel writes when it is broken.
const CRASHES: [&str; 6] = [
    "Kernel panic",
    "Oops:",
    "BUG:",
    "general protection fault",
    "WARNING: CPU:",
    "Call Trace:",
];

/// A running guest; killed when dropped.
#[derive(Debug)]
pub struct Guest {
    qemu: Child,
    stream: UnixStream,
    frames: Receiver<Frame>,
    hello: Hello,
    boot: Duration,
    boot_work: Duration,
    console: PathBuf,
    // Removed last: QEMU writes into it.
    _place: TempDir,
}

impl Guest {
    /// Boots the image and waits until the guest is ready.
    ///
    /// # Errors
    /// When there is no QEMU, or the guest did not come up, with what its console shows.
    pub fn boot(image: &Image, size: &Size) -> Result<Self, LabError> {
        Self::boot_linked(image, size, &[])
    }

    /// The same with cables to other guests.
    ///
    /// # Errors
    /// As [`Guest::boot`].
    pub fn boot_linked(image: &Image, size: &Size, links: &[Link]) -> Result<Self, LabError> {
        find_qemu()?;
        Clock::is_asked_well()?;
        if Accelerator::wanted() == Accelerator::Kvm {
            match Self::start(image, size, links, Accelerator::Kvm, BOOT_KVM) {
                Err(error) => eprintln!("lab: no guest with KVM, using TCG: {error}"),
                booted => return booted,
            }
        }
        Self::start(image, size, links, Accelerator::Tcg, BOOT)
    }

    fn start(
        image: &Image,
        size: &Size,
        links: &[Link],
        accelerator: Accelerator,
        limit: Duration,
    ) -> Result<Self, LabError> {
        let begin = Instant::now();
        let place = TempDir::new().map_err(LabError::io("can't make a directory"))?;
        let socket = place.path().join("port");
        let console = place.path().join("console");
        let listener = UnixListener::bind(&socket).map_err(LabError::io("can't make a socket"))?;
        let mut qemu = command(image, size, links, accelerator, &socket, &console)
            .spawn()
            .map_err(LabError::io(QEMU))?;
        let (stream, frames) = match listen(&listener, &mut qemu) {
            Ok(connected) => connected,
            Err(error) => {
                let _ = qemu.kill();
                let _ = qemu.wait();
                return Err(error);
            }
        };
        let hello = Hello {
            version: VERSION,
            kernel: String::new(),
            uptime_ms: 0,
            failed_modules: Vec::new(),
        };
        let mut guest = Self {
            qemu,
            stream,
            frames,
            hello,
            boot: Duration::ZERO,
            boot_work: Duration::ZERO,
            console,
            _place: place,
        };
        match guest.next(limit)? {
            Frame::Hello(hello) if hello.version == VERSION => guest.hello = hello,
            other => {
                return Err(LabError::Guest(format!(
                    "the guest greeted with {other:?} instead of version {VERSION}"
                )));
            }
        }
        guest.boot = begin.elapsed();
        guest.boot_work = guest.work();
        Ok(guest)
    }

    /// What the guest said when it was ready.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The kernel and how long it took to boot: by the wall clock from the start of QEMU, and in
    /// time that QEMU really had a processor, which tells more where the machine is busy.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{}, booted in {:.1} s, {:.1} s of a processor",
            self.hello.kernel,
            self.boot.as_secs_f64(),
            self.boot_work.as_secs_f64(),
        )
    }

    /// How long QEMU has had a processor so far, in all its threads.
    #[must_use]
    pub fn work(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.qemu.id())).unwrap_or_default();
        // proc_pid_stat(5): utime and stime are fields 14 and 15, the name in field 2 may hold blanks.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|t| t.parse::<u64>().ok()).sum();
        Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
    }

    /// Runs a job; its output goes to `output` as it comes, with `true` for standard error.
    ///
    /// # Errors
    /// When the guest is dead or has crashed; never because of how the job ended.
    pub fn run(
        &mut self,
        job: Job,
        mut output: impl FnMut(bool, &[u8]),
    ) -> Result<Ended, LabError> {
        let deadline = Instant::now() + Duration::from_millis(job.limit_ms) + GRACE;
        let sent = Frame::Job(job).write(&mut self.stream);
        sent.map_err(|error| self.dead(&format!("it takes no jobs: {error}")))?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(left)? {
                Frame::Stdout(bytes) => output(false, &bytes),
                Frame::Stderr(bytes) => output(true, &bytes),
                Frame::Ended(ended) => {
                    self.healthy()?;
                    return Ok(ended);
                }
                other => return Err(self.dead(&format!("it sent {other:?}"))),
            }
        }
    }

    /// Runs a job that must succeed, and returns what it wrote.
    ///
    /// # Errors
    /// When it did not exit with 0, with what it wrote to standard error; when the guest is dead.
    pub fn output_of(&mut self, job: Job) -> Result<String, LabError> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = self.run(job, |is_error, bytes| match is_error {
            true => err.extend_from_slice(bytes),
            false => out.extend_from_slice(bytes),
        })?;
        match ended.outcome {
            Outcome::Exited(0) => Ok(String::from_utf8_lossy(&out).into_owned()),
            other => Err(LabError::Guest(format!(
                "{other:?}: {}",
                String::from_utf8_lossy(&err)
            ))),
        }
    }

    /// Writes a file in the guest, which the next job finds.
    ///
    /// # Errors
    /// When the guest is dead, or the file is longer than 16 MiB.
    pub fn put(&mut self, path: &str, contents: Vec<u8>) -> Result<(), LabError> {
        let file = Frame::File(File {
            path: path.to_owned(),
            contents,
        });
        let sent = file.write(&mut self.stream);
        sent.map_err(|error| self.dead(&format!("it takes no files: {error}")))
    }

    /// Everything that the console shows.
    #[must_use]
    pub fn console(&self) -> String {
        let bytes = fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Powers the guest off in good order.
    ///
    /// # Errors
    /// When the kernel had crashed.
    pub fn power_off(mut self) -> Result<(), LabError> {
        // What can't be told to power off is killed when dropped.
        if Frame::PowerOff.write(&mut self.stream).is_ok() {
            let deadline = Instant::now() + GRACE;
            while matches!(self.qemu.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
        self.healthy()
    }

    /// The console shows no crash.
    fn healthy(&self) -> Result<(), LabError> {
        match crash(&self.console()) {
            None => Ok(()),
            Some(text) => Err(LabError::Guest(format!("the kernel crashed:\n{text}"))),
        }
    }

    fn next(&mut self, limit: Duration) -> Result<Frame, LabError> {
        match self.frames.recv_timeout(limit) {
            Ok(frame) => Ok(frame),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.dead(&format!("it was silent for {} s", limit.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                // QEMU may still be writing the last lines.
                thread::sleep(Duration::from_millis(200));
                Err(self.dead("it is gone"))
            }
        }
    }

    fn dead(&self, why: &str) -> LabError {
        let console = self.console();
        let text = crash(&console).unwrap_or_else(|| last_lines(&console));
        LabError::Guest(format!("the guest is dead: {why}; its console:\n{text}"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Waits until QEMU has connected, and reads frames in a thread of their own.
fn listen(
    listener: &UnixListener,
    qemu: &mut Child,
) -> Result<(UnixStream, Receiver<Frame>), LabError> {
    listener
        .set_nonblocking(true)
        .map_err(LabError::io("can't listen"))?;
    let mut reader = loop {
        if let Ok((stream, _)) = listener.accept() {
            break stream;
        }
        if let Ok(Some(status)) = qemu.try_wait() {
            let mut said = String::new();
            if let Some(mut stderr) = qemu.stderr.take() {
                let _ = std::io::Read::read_to_string(&mut stderr, &mut said);
            }
            return Err(LabError::Guest(format!(
                "{QEMU} ended with {status}: {}",
                said.trim()
            )));
        }
        thread::sleep(Duration::from_millis(5));
    };
    reader
        .set_nonblocking(false)
        .map_err(LabError::io("can't listen"))?;
    let writer = reader.try_clone().map_err(LabError::io("can't listen"))?;
    let (found, frames) = channel();
    thread::spawn(move || {
        while let Ok(Some(frame)) = Frame::read(&mut reader) {
            if found.send(frame).is_err() {
                return;
            }
        }
    });
    Ok((writer, frames))
}

/// What the console shows of a crash, from its first line on.
fn crash(console: &str) -> Option<String> {
    let is_crash = |line: &&str| CRASHES.iter().any(|crash| line.contains(crash));
    console.lines().find(is_crash)?;
    let mut lines = console.lines().skip_while(|line| !is_crash(line));
    let text: Vec<&str> = lines.by_ref().take(60).collect();
    Some(text.join("\n"))
}

fn last_lines(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_found_in_a_console() {
        let console = "[ 1.0] fine\n[ 2.0] BUG: unable to handle page fault\n[ 2.1] RIP: x\n";
        assert_eq!(
            crash(console).as_deref(),
            Some("[ 2.0] BUG: unable to handle page fault\n[ 2.1] RIP: x")
        );
        assert_eq!(crash("[ 1.0] fine\n"), None);
    }
}

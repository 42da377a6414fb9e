//! Runs one job: its output goes to the host as it comes; at its limit it is killed with all that
//! it has started.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use tests::lab::protocol::{Ended, Frame, Job, Outcome};

/// What every job finds in its environment, unless it says otherwise.
const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "PATH",
        "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/lab/bin",
    ),
    ("HOME", "/root"),
    ("LC_ALL", "C"),
    ("TERM", "dumb"),
];
/// A process that outlives its job may keep the job's output open; nobody waits longer for it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs a job to its end and tells the host.
pub(crate) fn run(port: &File, job: &Job) -> io::Result<()> {
    let begin = Instant::now();
    let outcome = match start(job) {
        Ok(child) => attend(port, child, Duration::from_millis(job.limit_ms))?,
        Err(error) => Outcome::NotStarted(error.to_string()),
    };
    reap();
    let duration_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ended = Ended {
        outcome,
        duration_ms,
    };
    Frame::Ended(ended).write(&mut &*port)
}

fn start(job: &Job) -> io::Result<Child> {
    let mut words = job.command.iter();
    let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(words)
        .env_clear()
        .envs(ENVIRONMENT)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/root")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Passes the child's output on until it ends or has run too long.
fn attend(port: &File, mut child: Child, limit: Duration) -> io::Result<Outcome> {
    let deadline = Instant::now() + limit;
    // Two threads write frames; each goes out in one piece.
    let port = Arc::new(Mutex::new(port.try_clone()?));
    let threads = [
        child
            .stdout
            .take()
            .map(|from| pass_on(from, Frame::Stdout, &port)),
        child
            .stderr
            .take()
            .map(|from| pass_on(from, Frame::Stderr, &port)),
    ];
    let mut pause = Duration::from_millis(1);
    let mut outcome = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline && outcome.is_none() {
            outcome = Some(Outcome::TimedOut);
            kill_group(&child);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let last = Instant::now() + LAST_WORDS;
    for thread in threads.into_iter().flatten() {
        while !thread.is_finished() && Instant::now() < last {
            thread::sleep(Duration::from_millis(1));
        }
    }
    // Whoever still writes now does so after the job: it must not mix with the next one.
    kill_group(&child);
    Ok(
        outcome.unwrap_or_else(|| match (status.code(), status.signal()) {
            (Some(code), _) => Outcome::Exited(code),
            (None, signal) => Outcome::Killed(signal.unwrap_or_default()),
        }),
    )
}

fn pass_on(
    mut from: impl Read + Send + 'static,
    frame: fn(Vec<u8>) -> Frame,
    port: &Arc<Mutex<File>>,
) -> JoinHandle<()> {
    let port = Arc::clone(port);
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut port = port.lock().unwrap_or_else(PoisonError::into_inner);
            if frame(buffer[..length].to_vec()).write(&mut *port).is_err() {
                return;
            }
        }
    })
}

fn kill_group(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// The first process inherits all orphans and has to bury them.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

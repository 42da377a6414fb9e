//! The daemon: one thread that waits for the client, the kernel, signals and the clock.
//!
//! Whatever goes wrong, the plug is left as it is, which is held: nothing here ever opens it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qdisc_model::controller::Answer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::driver::Driver;
use super::lock::Lock;
use super::metrics::{self, Board, Numbers, Target};
use super::notify::Notifier;
use super::plug::PlugError;
use super::protocol::{BadLine, LONGEST_LINE, Line, Said, parse};
use crate::device::Device;

/// Between two attempts to get hold of a plug that is out of reach.
const RETRY: Duration = Duration::from_millis(500);

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The interface with the plug.
    pub ifb: Device,
    /// The vif of the VM, for the numbers by verdict.
    pub vif: Option<Device>,
    /// Where clients connect.
    pub socket: PathBuf,
    /// What the plug may hold, in bytes.
    pub limit: u32,
    /// Where the numbers go.
    pub metrics: Option<Target>,
}

/// Why the daemon does not run, or does not run on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The plug or its interface.
    #[error(transparent)]
    Plug(#[from] PlugError),
    /// Another process drives this plug.
    #[error("the plug of `{0}` is driven by another `epochgate gate`")]
    Driven(Device),
    /// Somebody listens on the socket already.
    #[error("`{0}` is the socket of a daemon that runs")]
    Listening(PathBuf),
    /// Something else has the name of the socket.
    #[error("`{0}` is there and is no socket")]
    NoSocket(PathBuf),
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was attempted.
        what: String,
        /// What it said.
        source: io::Error,
    },
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServeError {
    let what = what.into();
    move |source| ServeError::System { what, source }
}

/// The client in command.
#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
}

/// Since when something is held that could be released.
#[derive(Debug, Default)]
struct Ages {
    batch: Option<Instant>,
    joined: Option<Instant>,
    strays: Option<Instant>,
    /// Where epochs have numbers: each that is in flight, oldest first. 0 for one of an earlier client.
    flights: VecDeque<(u64, Instant)>,
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// What keeps it from starting, or the end of its interface.
pub fn serve(settings: &Settings) -> Result<(), ServeError> {
    let mut driver = Driver::new(&settings.ifb, settings.limit)?;
    let _lock = Lock::take(driver.index())
        .map_err(system("take the lock"))?
        .ok_or_else(|| ServeError::Driven(settings.ifb.clone()))?;
    let (signals, wake) = UnixStream::pair().map_err(system("make a socket pair"))?;
    for signal in [SIGTERM, SIGINT] {
        let wake = wake.try_clone().map_err(system("copy a socket"))?;
        signal_hook::low_level::pipe::register(signal, wake)
            .map_err(system("listen to signals"))?;
    }
    if !driver.recover() {
        // Whoever starts it should hear of it; later on it is only waited for.
        if let Some(error) = driver.take_trouble() {
            return Err(error.into());
        }
    }
    let listener = listen(&settings.socket)?;
    let board = Board::default();
    let mut daemon = Daemon {
        driver,
        listener,
        client: None,
        ages: Ages::default(),
        board,
    };
    daemon.publish();
    if let Some(target) = &settings.metrics {
        metrics::start(target, &daemon.board, &settings.ifb, settings.vif.as_ref())
            .map_err(system("show the metrics"))?;
    }
    let notifier = Notifier::from_environment();
    notifier.say(&format!("READY=1\nSTATUS=holding {}", settings.ifb));
    let outcome = daemon.run(&signals, &notifier);
    notifier.say("STOPPING=1");
    // A socket that is left behind is taken for what it is at the next start.
    let _ = std::fs::remove_file(&settings.socket);
    outcome
}

/// Makes the socket, for its owner only. One that a dead daemon left behind is replaced.
fn listen(path: &Path) -> Result<UnixListener, ServeError> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(ServeError::NoSocket(path.to_owned()));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(ServeError::Listening(path.to_owned()));
        }
        Ok(_) => {
            std::fs::remove_file(path).map_err(system(format!(
                "remove the stale socket `{}`",
                path.display()
            )))?;
        }
        Err(_) => {}
    }
    // So that there is no moment at which others may connect.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(system(format!("listen on `{}`", path.display())))?;
    listener
        .set_nonblocking(true)
        .map_err(system("set up the socket"))?;
    Ok(listener)
}

#[derive(Debug)]
struct Daemon {
    driver: Driver,
    listener: UnixListener,
    client: Option<Client>,
    ages: Ages,
    board: Board,
}

impl Daemon {
    fn run(&mut self, signals: &UnixStream, notifier: &Notifier) -> Result<(), ServeError> {
        let mut beat = Instant::now();
        loop {
            if let Some(interval) = notifier.beat()
                && Instant::now() >= beat
            {
                notifier.say("WATCHDOG=1");
                beat = Instant::now() + interval;
            }
            let lost = self.driver.is_lost();
            let retry = lost.then(|| Instant::now() + RETRY);
            let until = retry.into_iter().chain(notifier.beat().map(|_| beat)).min();
            let ready = self.wait(signals, until)?;
            if ready.signal {
                return Ok(());
            }
            // The kernel before the client: what it tells may be why a request is refused.
            if ready.kernel {
                self.driver.listen();
            }
            if self.driver.is_lost() {
                self.driver.recover();
                if matches!(self.driver.trouble(), Some(PlugError::NoInterface(_)))
                    && let Some(error) = self.driver.take_trouble()
                {
                    return Err(error.into());
                }
            }
            if ready.client && self.hear().is_err() {
                self.drop_client();
            }
            if ready.newcomer {
                self.welcome();
            }
            self.publish();
        }
    }

    fn wait(&self, signals: &UnixStream, until: Option<Instant>) -> Result<Ready, ServeError> {
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let fds = [signals.as_fd(), self.driver.as_fd(), self.listener.as_fd()];
        let client = self.client.as_ref().map(|client| client.stream.as_fd());
        let mut polled: Vec<PollFd<'_>> = fds
            .into_iter()
            .chain(client)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system("wait")(error.into())),
        }
        let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            signal: next(),
            kernel: next(),
            newcomer: next(),
            client: next(),
        })
    }

    /// One client at a time: whoever comes while one is in command is told so and sent away.
    fn welcome(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.client.is_some() {
                let _ = stream.write_all(b"error another client is in command\n");
                continue;
            }
            self.driver.join();
            self.client = Some(Client {
                stream,
                input: Vec::new(),
            });
        }
    }

    fn drop_client(&mut self) {
        self.client = None;
        self.driver.leave();
        for (epoch, _) in &mut self.ages.flights {
            *epoch = 0;
        }
    }

    /// Reads what the client has sent and answers each line. An error means that the client is
    /// gone, or as good as gone.
    fn hear(&mut self) -> io::Result<()> {
        let mut part = [0; 4096];
        let Some(client) = &mut self.client else {
            return Ok(());
        };
        let length = match client.stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        client.input.extend(part.iter().take(length));
        let mut input = std::mem::take(&mut client.input);
        let mut rest = input.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let answer = self.answer(line);
            self.send(&answer)?;
        }
        if rest.len() > LONGEST_LINE {
            self.send(&format!("error {}", BadLine::TooLong))?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let done = input.len() - rest.len();
        input.drain(..done);
        if let Some(client) = &mut self.client {
            client.input = input;
        }
        Ok(())
    }

    /// A client that does not read its answers is gone: it must not hold up the gate.
    fn send(&mut self, answer: &str) -> io::Result<()> {
        match &mut self.client {
            Some(client) => client.stream.write_all(format!("{answer}\n").as_bytes()),
            None => Ok(()),
        }
    }

    fn answer(&mut self, line: &[u8]) -> String {
        match parse(line) {
            Err(error) => format!("error {error}"),
            Ok(Line::Status) => self.status(),
            Ok(Line::Request(request)) => {
                let answer = self.driver.request(request);
                match answer {
                    Some(answer) => {
                        self.note(answer);
                        match (answer, self.driver.trouble()) {
                            (Answer::Refused(_), Some(why)) => format!("{}: {why}", Said(answer)),
                            _ => Said(answer).to_string(),
                        }
                    }
                    // The controller answers each request; this keeps the lines in step if not.
                    None => String::from("error no answer"),
                }
            }
        }
    }

    fn status(&mut self) -> String {
        self.driver.refresh();
        let driver = &self.driver;
        let (packets, bytes, drops) = driver
            .root()
            .map_or((0, 0, 0), |root| (root.packets, root.backlog, root.drops));
        let epoch =
            |epoch: Option<u64>| epoch.map_or_else(|| String::from("-"), |epoch| epoch.to_string());
        let module = driver.module();
        let gate = match (driver.is_lost(), module) {
            (true, _) => "lost",
            (false, Some(state)) if state.is_open => "open",
            (false, _) => "held",
        };
        let more = module.map_or_else(String::new, |state| format!(" {}", state.words()));
        format!(
            "ok status gate={gate} ended={} committed={} packets={packets} bytes={bytes} strays={} drops={drops}{more}",
            epoch(driver.ended()),
            epoch(driver.committed()),
            driver.strays(),
        )
    }

    /// Keeps the times of what is held in step with the answers.
    fn note(&mut self, answer: Answer) {
        let now = Instant::now();
        let ages = &mut self.ages;
        if self.driver.module().is_some() {
            match answer {
                Answer::Ended(epoch) => ages.flights.push_back((epoch, now)),
                Answer::Released(newest) | Answer::Purged(newest) => {
                    ages.flights.retain(|(epoch, _)| *epoch > newest);
                }
                Answer::Aborted(_) => ages.flights.clear(),
                _ => {}
            }
            return;
        }
        match answer {
            Answer::Ended(_) => ages.batch = Some(ages.joined.take().unwrap_or(now)),
            Answer::Joined(_) => {
                ages.joined.get_or_insert(now);
            }
            Answer::Released(_) => ages.batch = None,
            Answer::Purged(_) | Answer::Aborted(_) => *ages = Ages::default(),
            Answer::Waiting(_) | Answer::Repeated(_) | Answer::Refused(_) => {}
        }
    }

    fn publish(&mut self) {
        let driver = &self.driver;
        let strays = driver.strays();
        if strays == 0 {
            self.ages.strays = None;
        } else {
            self.ages.strays.get_or_insert_with(Instant::now);
        }
        let Ages {
            batch,
            joined,
            strays: since,
            ref flights,
        } = self.ages;
        let flying = flights.front().map(|(_, since)| *since);
        self.board.set(Numbers {
            in_hand: !driver.is_lost(),
            client: self.client.is_some(),
            ended: driver.ended(),
            committed: driver.committed(),
            oldest: [batch, joined, since, flying].into_iter().flatten().min(),
            strays,
            dropped_before: driver.dropped_before(),
            totals: driver.totals(),
        });
    }
}

/// What happened while the daemon waited.
#[derive(Clone, Copy, Debug)]
struct Ready {
    signal: bool,
    kernel: bool,
    newcomer: bool,
    client: bool,
}

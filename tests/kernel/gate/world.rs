//! A guest that sends, a replicator that names its epochs, the daemon between them, and an onlooker
//! at the far side who judges each frame when it comes out: the epoch that is written in it must be
//! committed by then.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use tempfile::TempDir;
use tests::netlab::Lab;

pub(crate) const IFB: &str = "ifb0";

/// An ethertype for experiments, and what tells our frames from others of it.
const MARK: [u8; 8] = [0x88, 0xb5, b'g', b'a', b't', b'e', b'!', b'\n'];

/// What tells our frames of media from others: they may pass, whatever the epoch.
const MEDIA: [u8; 8] = *b"media!\r\n";

/// Between two frames of the guest.
const GAP: Duration = Duration::from_millis(1);

/// Longest wait for what should happen, also on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame that is held stays in the account of the socket that sent it, so that with the usual
/// 200 KiB the guest falls silent after some hundred frames. Larger while this lives.
struct SendBuffers {
    before: Vec<u8>,
}

const SEND_BUFFERS: &str = "/proc/sys/net/core/wmem_default";

impl SendBuffers {
    fn enlarge() -> Result<Self, Failed> {
        let before = fs::read(SEND_BUFFERS)?;
        fs::write(SEND_BUFFERS, "33554432")?;
        Ok(Self { before })
    }
}

impl Drop for SendBuffers {
    fn drop(&mut self) {
        let _ = fs::write(SEND_BUFFERS, &self.before);
    }
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    /// The epoch that the guest is in; it sends with this lock held, so taking it pauses it.
    epoch: Mutex<u64>,
    /// The newest epoch that is committed.
    committed: AtomicU64,
    sent: AtomicU64,
    out: AtomicU64,
    /// The newest epoch of which something came out.
    newest_out: AtomicU64,
    early: Mutex<Vec<String>>,
    /// Whether the guest also sends media.
    has_media: bool,
    media_sent: AtomicU64,
    media_out: AtomicU64,
    stop: AtomicBool,
}

/// The laboratory with an IFB behind which the guest's frames go through a plug.
pub(crate) struct World {
    pub(crate) lab: Lab,
    files: TempDir,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    daemon: Option<Child>,
    client: Option<BufReader<UnixStream>>,
}

impl World {
    /// Everything up, the plug closed, no frame sent yet.
    pub(crate) fn new(limit: u32) -> Result<Self, Failed> {
        let gate = format!(
            "ip link add {IFB} type ifb
             ip link set {IFB} up
             tc qdisc add dev {IFB} root handle 5: plug limit {limit}
             tc qdisc add dev vif0 clsact
             tc filter add dev vif0 ingress matchall action mirred egress redirect dev {IFB}"
        );
        Self::behind(&gate, false, 0)
    }

    /// The same behind another gate, made by these commands; the guest also sends media, UDP to port
    /// 20000, if it is to. What it sends up to the epoch `free` may come out uncommitted.
    pub(crate) fn behind(gate: &str, has_media: bool, free: u64) -> Result<Self, Failed> {
        let lab = Lab::new()?;
        lab.shell(gate)?;
        let shared = Arc::new(Shared {
            epoch: Mutex::new(1),
            committed: AtomicU64::new(free),
            has_media,
            ..Shared::default()
        });
        let buffers = SendBuffers::enlarge()?;
        let (mut sender, mut receiver) =
            lab.enter(|| Ok::<_, Failed>((open("eth1")?.0, open("out1")?.1)))??;
        drop(buffers);
        let guest = Arc::clone(&shared);
        let onlooker = Arc::clone(&shared);
        let threads = vec![
            thread::spawn(move || flood(&guest, &mut *sender)),
            thread::spawn(move || watch(&onlooker, &mut *receiver)),
        ];
        Ok(Self {
            lab,
            files: TempDir::new()?,
            shared,
            threads,
            daemon: None,
            client: None,
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.files.path().join("gate.sock")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// `epochgate gate --ifb ifb0 ...`, inside the laboratory.
    pub(crate) fn gate(&self, words: &[&str]) -> Command {
        let mut command = self.lab.command(&epochgate());
        command.args(["gate", "--ifb", IFB]).args(words);
        command
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn start(&mut self, words: &[&str]) -> Result<(), Failed> {
        let socket = self.socket();
        let mut command = self.gate(&["serve", "--socket"]);
        command.arg(&socket).args(words).stdin(Stdio::null());
        self.daemon = Some(command.spawn()?);
        self.wait("the daemon listens", |_| {
            UnixStream::connect(&socket).is_ok()
        })
    }

    /// Takes charge of a daemon that was started in another way.
    pub(crate) fn adopt(&mut self, daemon: Child) {
        self.daemon = Some(daemon);
    }

    /// Connects as the replicator.
    pub(crate) fn connect(&mut self) -> Result<(), Failed> {
        let deadline = Instant::now() + PATIENCE;
        // Probes of `start` may still be in command.
        loop {
            let stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.client = Some(BufReader::new(stream));
            if self
                .ask("status")
                .is_ok_and(|answer| answer.starts_with("ok"))
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("no connection is put in command".into());
            }
        }
    }

    /// The connection breaks.
    pub(crate) fn disconnect(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = client.get_ref().shutdown(Shutdown::Both);
        }
    }

    /// Sends a line without waiting for its answer.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), Failed> {
        let client = self.client.as_mut().ok_or("no client")?;
        client.get_mut().write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    /// The next answer.
    pub(crate) fn hear(&mut self) -> Result<String, Failed> {
        let client = self.client.as_mut().ok_or("no client")?;
        let mut answer = String::new();
        if client.read_line(&mut answer)? == 0 {
            return Err("the daemon hung up".into());
        }
        Ok(answer.trim_end().to_owned())
    }

    pub(crate) fn ask(&mut self, line: &str) -> Result<String, Failed> {
        self.say(line)?;
        self.hear()
    }

    /// The guest is paused, its epoch ends, and it goes on once the daemon has said so.
    pub(crate) fn end(&mut self) -> Result<(u64, String), Failed> {
        let shared = Arc::clone(&self.shared);
        let mut epoch = shared.epoch.lock().map_err(|_| "the guest is dead")?;
        let answer = self.ask(&format!("epoch {} end", *epoch))?;
        if !answer.starts_with("ok ") {
            return Err(format!("the end of epoch {}: {answer}", *epoch).into());
        }
        let ended = *epoch;
        *epoch += 1;
        Ok((ended, answer))
    }

    /// The backup has the epoch; from here on its frames may come out.
    pub(crate) fn backup_has(&self, epoch: u64) {
        self.shared.committed.fetch_max(epoch, Ordering::SeqCst);
    }

    pub(crate) fn commit(&mut self, epoch: u64) -> Result<String, Failed> {
        self.backup_has(epoch);
        self.ask(&format!("epoch {epoch} committed"))
    }

    /// SIGKILL, wherever the daemon is.
    pub(crate) fn kill(&mut self) -> Result<(), Failed> {
        self.client = None;
        let mut daemon = self.daemon.take().ok_or("no daemon")?;
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    /// SIGTERM, and its exit.
    pub(crate) fn terminate(&mut self) -> Result<bool, Failed> {
        let mut daemon = self.daemon.take().ok_or("no daemon")?;
        let process = daemon.id().to_string();
        Command::new("kill").args(["-TERM", &process]).status()?;
        Ok(daemon.wait()?.success())
    }

    /// Lets the flood run for a while.
    pub(crate) fn flood(&self, frames: u64) -> Result<(), Failed> {
        let goal = self.shared.sent.load(Ordering::SeqCst) + frames;
        self.wait("the guest sends", |world| {
            world.shared.sent.load(Ordering::SeqCst) >= goal
        })
    }

    /// Waits until something of this epoch or a later one came out.
    pub(crate) fn comes_out(&self, epoch: u64) -> Result<(), Failed> {
        self.wait(&format!("epoch {epoch} comes out"), |world| {
            world.shared.newest_out.load(Ordering::SeqCst) >= epoch
        })
    }

    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Failed> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            if Instant::now() > deadline {
                return Err(format!("waited in vain until {what}").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Frames that came out until now, of those that may be held.
    pub(crate) fn out(&self) -> u64 {
        self.shared.out.load(Ordering::SeqCst)
    }

    /// Media sent until now, all of which comes out without any commit.
    pub(crate) fn media_passes(&self) -> Result<u64, Failed> {
        let sent = self.shared.media_sent.load(Ordering::SeqCst);
        self.wait("all media is out", |world| {
            world.shared.media_out.load(Ordering::SeqCst) >= sent
        })?;
        Ok(sent)
    }

    /// Frames that came out before the commit of their epoch.
    pub(crate) fn early(&self) -> usize {
        self.shared
            .early
            .lock()
            .map_or(usize::MAX, |early| early.len())
    }

    /// The verdict of the onlooker, with the counts.
    pub(crate) fn judge(&self, name: &str) -> Result<(), Failed> {
        // What is on its way arrives.
        thread::sleep(Duration::from_millis(100));
        let sent = self.shared.sent.load(Ordering::SeqCst);
        let out = self.shared.out.load(Ordering::SeqCst);
        let early = self.early();
        eprintln!("gate: {name}: {sent} frames sent, {out} came out, {early} early");
        let found = self
            .shared
            .early
            .lock()
            .map_err(|_| "the onlooker is dead")?;
        match found.first() {
            Some(first) => Err(format!("{early} early, the first {first}").into()),
            None => Ok(()),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Our program: beside the tests, or in the guest's PATH.
pub(crate) fn epochgate() -> String {
    let beside = std::env::current_exe().ok().and_then(|tests| {
        let program = tests.parent()?.parent()?.join("epochgate");
        program.is_file().then_some(program)
    });
    let beside = beside.as_deref().and_then(Path::to_str);
    beside.unwrap_or("epochgate").to_owned()
}

type Ends = (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>);

fn open(device: &str) -> Result<Ends, Failed> {
    let interface = pnet_datalink::interfaces()
        .into_iter()
        .find(|interface| interface.name == device)
        .ok_or("no such interface")?;
    let config = Config {
        read_timeout: Some(Duration::from_millis(20)),
        // The guest must not wait for room with its epoch locked.
        write_timeout: Some(Duration::from_millis(5)),
        ..Config::default()
    };
    match pnet_datalink::channel(&interface, config)? {
        Channel::Ethernet(sender, receiver) => Ok((sender, receiver)),
        _ => Err("no Ethernet channel".into()),
    }
}

/// The guest: frame after frame, each with its number and its epoch.
fn flood(shared: &Shared, sender: &mut dyn DataLinkSender) {
    let mut number = 0_u64;
    while !shared.stop.load(Ordering::SeqCst) {
        {
            let Ok(epoch) = shared.epoch.lock() else {
                return;
            };
            let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8];
            frame.extend(MARK);
            frame.extend(number.to_be_bytes());
            frame.extend(epoch.to_be_bytes());
            frame.resize(64, 0);
            // A full queue of the sender is no fault of the gate: try again.
            if matches!(sender.send_to(&frame, None), Some(Ok(()))) {
                number += 1;
                shared.sent.store(number, Ordering::SeqCst);
            }
            if shared.has_media && matches!(sender.send_to(&media(), None), Some(Ok(()))) {
                shared.media_sent.fetch_add(1, Ordering::SeqCst);
            }
        }
        thread::sleep(GAP);
    }
}

/// UDP over IPv4 to port 20000.
fn media() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 2, 10, 0, 0, 3]);
    frame.extend([0x4e, 0x20, 0x4e, 0x20, 0, 26, 0, 0]);
    frame.extend(MEDIA);
    frame.resize(60, 0);
    frame
}

/// The onlooker at the far side.
fn watch(shared: &Shared, receiver: &mut dyn DataLinkReceiver) {
    while !shared.stop.load(Ordering::SeqCst) {
        let Ok(frame) = receiver.next() else {
            continue;
        };
        // Read after the frame came: a commit that came meanwhile excuses it, not the other way.
        let committed = shared.committed.load(Ordering::SeqCst);
        if frame.get(42..50) == Some(&MEDIA[..]) {
            shared.media_out.fetch_add(1, Ordering::SeqCst);
        }
        if frame.get(12..20) != Some(&MARK[..]) {
            continue;
        }
        let field = |at: usize| {
            let bytes = frame
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_be_bytes)
        };
        let (number, epoch) = (field(20), field(28));
        shared.out.fetch_add(1, Ordering::SeqCst);
        shared.newest_out.fetch_max(epoch, Ordering::SeqCst);
        if epoch > committed
            && let Ok(mut early) = shared.early.lock()
        {
            early.push(format!(
                "frame {number} of epoch {epoch}, with epoch {committed} committed"
            ));
        }
    }
}

//! The daemon's numbers in the text format of Prometheus (version 0.0.4): over HTTP, or as a file
//! for the textfile collector of node_exporter.
//!
//! A dozen fixed samples of one gate need no registry, so the text is written here. The kernel is
//! asked at each scrape, by a thread of its own with a socket of its own: nobody who scrapes can
//! hold up a release.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use qdisc_model::controller::Totals;

use super::plug::{Gate, PlugError, Root};
use crate::device::Device;

/// Longest wait for a scraper, and most bytes of its request.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_REQUEST: usize = 8 << 10;

/// How often a file is written anew.
const FILE_INTERVAL: Duration = Duration::from_secs(5);

/// Where the numbers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Served over HTTP.
    Address(SocketAddr),
    /// Written to a file, which is always whole.
    File(PathBuf),
}

/// What the daemon knows; the rest is the kernel's.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) in_hand: bool,
    pub(super) client: bool,
    pub(super) ended: Option<u64>,
    pub(super) committed: Option<u64>,
    pub(super) oldest: Option<Instant>,
    pub(super) strays: u32,
    /// Packets that found no room in plugs which were replaced since.
    pub(super) dropped_before: u64,
    pub(super) totals: Totals,
}

/// The numbers, shared between the daemon and whoever shows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Numbers>>);

impl Board {
    pub(super) fn set(&self, numbers: Numbers) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = numbers;
    }

    fn get(&self) -> Numbers {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What is shown, and where it comes from.
struct Source {
    board: Board,
    ifb: Device,
    vif: Option<Device>,
}

/// Starts to show the numbers. The thread ends with the process.
pub(super) fn start(
    target: &Target,
    board: &Board,
    ifb: &Device,
    vif: Option<&Device>,
) -> io::Result<()> {
    let source = Source {
        board: board.clone(),
        ifb: ifb.clone(),
        vif: vif.cloned(),
    };
    match target {
        Target::Address(address) => {
            let listener = TcpListener::bind(address)?;
            thread::Builder::new()
                .name(String::from("metrics"))
                .spawn(move || {
                    for stream in listener.incoming().flatten() {
                        // Whoever asked has gone; the next one is not concerned.
                        let _ = answer(stream, &source);
                    }
                })?;
        }
        Target::File(path) => {
            let path = path.clone();
            // The first time aloud: a path that can't be written is the operator's mistake.
            write(&path, &text(&source))?;
            thread::Builder::new()
                .name(String::from("metrics"))
                .spawn(move || {
                    loop {
                        thread::sleep(FILE_INTERVAL);
                        // An old file shows by its own time stamp.
                        let _ = write(&path, &text(&source));
                    }
                })?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory.unwrap_or_else(|| Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

fn answer(mut stream: TcpStream, source: &Source) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let deadline = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut part)?;
        if length == 0 || request.len() > LONGEST_REQUEST || Instant::now() > deadline {
            return Ok(());
        }
        request.extend(part.iter().take(length));
    }
    let wanted = [&b"GET /metrics "[..], b"GET /metrics?", b"GET / "];
    let (status, body) = if wanted.iter().any(|start| request.starts_with(start)) {
        ("200 OK", text(source))
    } else {
        (
            "404 Not Found",
            String::from("the numbers are at /metrics\n"),
        )
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// One sample.
struct Sample<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    value: f64,
}

fn text(source: &Source) -> String {
    let numbers = source.board.get();
    let root = Gate::open(&source.ifb).and_then(|mut gate| gate.root());
    let root = root.ok().filter(Root::is_plug);
    let mut out = String::new();
    for sample in samples(&numbers, root.as_ref()) {
        let Sample {
            name,
            kind,
            help,
            value,
        } = sample;
        let ifb = &source.ifb;
        let _ = write!(
            out,
            "# HELP epochgate_{name} {help}\n# TYPE epochgate_{name} {kind}\n\
             epochgate_{name}{{ifb=\"{ifb}\"}} {value}\n"
        );
    }
    if let (Some(vif), Some(root)) = (&source.vif, &root) {
        // An interface that is gone has nothing to tell; the rest is shown all the same.
        let _ = verdicts(vif, &source.ifb, &numbers, root, &mut out);
    }
    out
}

/// Packets of the VM by verdict. The rules themselves count nothing, so it is worked out: what the
/// vif received, and how much of that came to the IFB, whatever became of it there.
fn verdicts(
    vif: &Device,
    ifb: &Device,
    numbers: &Numbers,
    root: &Root,
    out: &mut String,
) -> Result<(), PlugError> {
    let received = |device| Gate::open(device)?.link().map(|link| link.received);
    // What an abort drops is among the drops of the kernel, what a flap drops is not.
    let purged = root.module().map_or(0, |state| state.purged);
    let lost = numbers.totals.purged + purged + numbers.dropped_before + u64::from(root.drops);
    let buffer = received(ifb)? + u64::from(root.packets) + lost;
    let bypass = received(vif)?.saturating_sub(buffer);
    out.push_str(
        "# HELP epochgate_verdict_packets_total Packets of the VM by verdict.\n\
         # TYPE epochgate_verdict_packets_total counter\n",
    );
    for (verdict, packets) in [("buffer", buffer), ("bypass", bypass)] {
        let _ = writeln!(
            out,
            "epochgate_verdict_packets_total{{vif=\"{vif}\",verdict=\"{verdict}\"}} {packets}"
        );
    }
    Ok(())
}

fn samples(numbers: &Numbers, root: Option<&Root>) -> Vec<Sample<'static>> {
    let flag = |set: bool| f64::from(u8::from(set));
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows no other numbers, and these stay exact up to 2^53"
    )]
    let count = |number: u64| number as f64;
    let sample = |name, kind, help, value| Sample {
        name,
        kind,
        help,
        value,
    };
    let gauge = |name, help, value| sample(name, "gauge", help, value);
    let counter = |name, help, value| sample(name, "counter", help, count(value));
    let age = numbers.oldest.map(|since| since.elapsed().as_secs_f64());
    let totals = numbers.totals;
    let mut samples = vec![
        gauge(
            "up",
            "Whether the daemon has the plug in hand.",
            flag(numbers.in_hand),
        ),
        gauge(
            "client",
            "Whether a client is in command.",
            flag(numbers.client),
        ),
        gauge(
            "oldest_epoch_age_seconds",
            "Time since the oldest epoch ended that is still held, 0 if there is none.",
            age.unwrap_or_default(),
        ),
        gauge(
            "stray_packets",
            "Packets held from before the daemon's start, which leave late.",
            f64::from(numbers.strays),
        ),
        counter(
            "releases_total",
            "Batches of epochs that were let go.",
            totals.releases,
        ),
        counter(
            "renewals_total",
            "Times that the plug was replaced because its counts could be stale.",
            totals.renewals,
        ),
        counter(
            "purged_packets_total",
            "Packets known to be lost with a replaced plug or a link that went down.",
            totals.purged + root.and_then(Root::module).map_or(0, |state| state.purged),
        ),
        counter(
            "refused_requests_total",
            "Requests that were refused.",
            totals.refused,
        ),
    ];
    let epochs = [
        ("epoch_ended", "Newest epoch that ended.", numbers.ended),
        (
            "epoch_committed",
            "Newest epoch that is committed.",
            numbers.committed,
        ),
    ];
    for (name, help, epoch) in epochs {
        if let Some(epoch) = epoch {
            samples.push(gauge(name, help, count(epoch)));
        }
    }
    if let Some(root) = root {
        samples.extend([
            gauge(
                "held_packets",
                "Packets in the plug.",
                f64::from(root.packets),
            ),
            gauge("held_bytes", "Bytes in the plug.", f64::from(root.backlog)),
            counter(
                "sent_packets_total",
                "Packets that left.",
                root.sent_packets.into(),
            ),
            counter("sent_bytes_total", "Bytes that left.", root.sent_bytes),
            counter(
                "drops_total",
                "Packets that found no room.",
                numbers.dropped_before + u64::from(root.drops),
            ),
            counter(
                "overlimits_total",
                "What the kernel counts as overlimits.",
                root.overlimits.into(),
            ),
        ]);
    }
    if let Some(state) = root.and_then(Root::module) {
        samples.extend([
            gauge(
                "open",
                "Whether the gate is open, so that everything passes.",
                flag(state.is_open),
            ),
            gauge(
                "late",
                "Whether no commit came in the watchdog's time.",
                flag(state.is_late),
            ),
            gauge(
                "asking",
                "Whether a checkpoint is asked for.",
                flag(state.is_asking),
            ),
            gauge(
                "full",
                "Whether a packet found no room and nothing has left since.",
                flag(state.is_full),
            ),
            gauge(
                "epochs_in_flight",
                "Epochs that have ended and await their commit.",
                count(state.in_flight),
            ),
            gauge(
                "oldest_packet_age_seconds",
                "Time that the oldest packet has waited for a commit.",
                count(state.age) / 1000.0,
            ),
            gauge("limit_bytes", "Most bytes held.", count(state.limit)),
            counter(
                "watchdog_barks_total",
                "Times that no commit came in the watchdog's time.",
                state.barks,
            ),
            counter(
                "aborted_packets_total",
                "Packets dropped with an aborted epoch; they are among the drops.",
                state.aborted,
            ),
            counter(
                "unprotected_packets_total",
                "Packets that left without a commit.",
                state.unprotected,
            ),
        ]);
    }
    samples
}

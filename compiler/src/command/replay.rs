//! `epochgate replay`: a real capture through the gate, with its calls before and after.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policy_lang::policy::{Overflow, Policy};
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::schedule::{Schedule, Timer};

use crate::capture::crew::ReadThrough;
use crate::capture::write;
use crate::cli::{
    Artefact, Console, PolicyFile, duration, is_standard, name, positive_duration, read_long,
    write_all,
};
use crate::exit::{self, Exit, Failure};
use crate::render::{Report, visible};
use crate::replay::{Figures, Options, Replay, Replayed, Told, json, page};
use crate::script;

use super::outputs::Outputs;

/// The interval of `xl remus` unless it is told another.
pub(super) const REMUS_INTERVAL: Duration = Duration::from_millis(200);

/// Send a capture through the gate and compare its RTP streams before and after.
///
/// The capture is taken for what the guest sent, and when. RTP streams are found without
/// configuration: by the SDP in the capture, or by packets with one SSRC that count up. Jitter,
/// gaps and loss are those that `tshark -q -z rtp,streams` prints. MOS is that of the E-model (ITU-T
/// G.107) behind a fixed jitter buffer.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// The capture, pcap or pcapng; `-` is standard input.
    capture: PathBuf,
    /// Time between checkpoints, such as `40ms`; otherwise that of the policy's gate, or 200 ms as
    /// with `xl remus`.
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    interval: Option<Duration>,
    /// How long each checkpoint stops the guest.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    pause: Duration,
    /// How long a checkpoint takes from there to its commit.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    transfer: Duration,
    /// From when the interval counts.
    #[arg(long, value_enum, default_value_t = TimerChoice::Commit)]
    timer: TimerChoice,
    /// Address of the guest, may be given several times; what others send is left alone. Without
    /// it, every frame is the guest's.
    #[arg(long, value_name = "ADDRESS")]
    guest: Vec<IpAddr>,
    /// Depth of the receivers' fixed jitter buffer.
    #[arg(long, value_name = "TIME", default_value = "60ms", value_parser = duration)]
    jitter_buffer: Duration,
    /// Delay of coder and network, for MOS: from the mouth to the receiver.
    #[arg(long, value_name = "TIME", default_value = "40ms", value_parser = duration)]
    delay: Duration,
    /// Write the frames as they leave the gate to this pcap file.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

/// From when the interval counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TimerChoice {
    /// From the commit, as libxl does today: the period is interval, pause and transfer together.
    Commit,
    /// From the suspend, as the `remus` program of old Xen did.
    Suspend,
}

impl From<TimerChoice> for Timer {
    fn from(choice: TimerChoice) -> Self {
        match choice {
            TimerChoice::Commit => Self::AfterCommit,
            TimerChoice::Suspend => Self::FromSuspend,
        }
    }
}

/// Replays and prints.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    if is_standard(&args.policy) && is_standard(&args.capture) {
        return Err(Failure::usage(
            "only one of policy and capture can come from standard input",
        ));
    }
    args.outputs.check()?;
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    if policy.gate.on_overflow == Overflow::Release {
        console.report(
            None,
            &Report::warning("`on-overflow release` is replayed as `drop`: the gate never opens"),
        )?;
    }
    let options = options(args, policy);
    let replay = Replay::new(policy, options.clone(), args.write.is_some());
    let (replayed, read) = replayed(&replay, &args.capture, console)?;
    if let Some(path) = &args.write {
        write_all(&[Artefact {
            path: path.clone(),
            content: &write::pcap(&replayed.output),
            executable: false,
        }])?;
    }
    let error = read
        .error
        .map(|error| format!("`{}`: {error}", name(&args.capture)));
    let told = Told {
        options: &options,
        replayed: &replayed,
        left_out: read.left_out.values().sum(),
        error: error.as_deref(),
    };
    args.outputs.write_text(
        || json::replayed(&told),
        &page::page(file.source.name(), &name(&args.capture), &told),
        || table(&options, &replayed),
        console,
    )?;
    match error {
        None => Ok(Exit::Fine),
        Some(error) => {
            console.report(None, &Report::error(error))?;
            Ok(Exit::Findings)
        }
    }
}

/// Replays a capture. A file, unlike a pipe, can be read again if its frames are not in order, so that
/// nothing has to be kept for that.
fn replayed(
    replay: &Replay<'_>,
    capture: &Path,
    console: &mut Console,
) -> Result<(Replayed, ReadThrough), Failure> {
    if !is_standard(capture)
        && fs::metadata(capture).is_ok_and(|about| about.is_file())
        && let Some(replayed) = read_long(capture, console, |source| replay.in_order(source))?
    {
        return Ok(replayed);
    }
    read_long(capture, console, |source| replay.in_any_order(source))
}

fn options(args: &Args, policy: &Policy) -> Options {
    let interval = args
        .interval
        .or(policy.gate.interval)
        .unwrap_or(REMUS_INTERVAL);
    Options {
        schedule: Schedule {
            interval: nanoseconds(interval),
            timer: args.timer.into(),
            pause: nanoseconds(args.pause),
            transfer: nanoseconds(args.transfer),
        },
        limit: script::limit(policy),
        guest: args.guest.clone(),
        assumptions: Assumptions {
            fixed_ms: args.jitter_buffer.as_secs_f64() * 1e3,
            delay_ms: args.delay.as_secs_f64() * 1e3,
            ..Assumptions::default()
        },
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn table(options: &Options, replayed: &Replayed) -> String {
    let schedule = options.schedule;
    let mut lines = vec![
        format!(
            "checkpoint every {} ms, gate of {} bytes",
            schedule.period() as f64 / 1e6,
            options.limit
        ),
        format!(
            "held {} frames, at most {} ({} bytes) at a time, {:.1} ms on average and {:.1} ms at most",
            replayed.held.packets,
            replayed.most_held.packets,
            replayed.most_held.bytes,
            replayed.waited_ms.0,
            replayed.waited_ms.1
        ),
        format!(
            "passed {} frames; dropped for want of room {}; not the guest's {}",
            replayed.bypassed.packets, replayed.overflow.packets, replayed.foreign
        ),
        String::new(),
    ];
    if replayed.streams.is_empty() {
        lines.push(String::from("no RTP stream found"));
    } else {
        lines.push(format!(
            "{:<10}  {:<6}  {:>7}  {:>14}  {:>9}  {:>9}  {:>9}  {:>5}  {:>6}  {:>4}",
            "ssrc",
            "",
            "packets",
            "lost",
            "max delta",
            "mean jit.",
            "max jit.",
            "burst",
            "late",
            "mos"
        ));
    }
    for compared in &replayed.streams {
        let (src, dst) = compared.ends();
        lines.push(format!("{src} > {dst}: {}", compared.verdict()));
        let ssrc = format!("{:#010X}", compared.stream.key.ssrc).replace("0X", "0x");
        lines.push(row(&ssrc, "before", &compared.before));
        lines.push(row("", "after", &compared.after));
    }
    lines
        .iter()
        .map(|line| visible(line.trim_end()) + "\n")
        .collect()
}

fn row(ssrc: &str, when: &str, figures: &Figures) -> String {
    let or_dash = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| String::from("-"), |value| format!("{value:.digits$}"))
    };
    let lost = format!("{} ({:.1} %)", figures.lost, figures.lost_percent);
    let late = figures
        .fixed
        .map_or_else(|| String::from("-"), |fixed| fixed.late.to_string());
    format!(
        "{ssrc:<10}  {when:<6}  {:>7}  {lost:>14}  {:>9.3}  {:>9}  {:>9}  {:>5}  {late:>6}  {:>4}",
        figures.packets,
        figures.max_delta_ms,
        or_dash(figures.mean_jitter_ms, 3),
        or_dash(figures.max_jitter_ms, 3),
        figures.longest_burst,
        or_dash(figures.mos, 2),
    )
}

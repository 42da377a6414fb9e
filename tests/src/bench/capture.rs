//! Large captures: `trace` and `replay` beside `tcpdump`, which only filters and throws away.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use compiler::capture::{Capture, Record, write};
use tests::captures::directory;

use super::{median, process};

const ROUNDS: usize = 9;
/// Bytes of the capture, at least.
const SIZE: usize = 300_000_000;
/// Bytes of the header of a pcap file.
const FILE_HEADER: usize = 24;

/// The table of times.
pub(super) fn table(root: &Path) -> anyhow::Result<String> {
    let Some(captures) = directory() else {
        return Ok(String::from(
            "Not measured: there are no captures beside the project.\n",
        ));
    };
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return Ok(String::from("Not measured: there is no tcpdump.\n"));
    }
    let program = process::built(root)?;
    let program = program.to_string_lossy();
    let files = tempfile::tempdir()?;
    let file = files.path().join("large.pcap");
    let (frames, bytes) = large(&captures, &file)?;
    let (file, policy) = (file.to_string_lossy(), root.join("examples/voip.gate"));
    let policy = policy.to_string_lossy();
    let commands: [(&str, Vec<&str>); 3] = [
        (
            "`tcpdump -w /dev/null 'udp portrange 16384-32767'`",
            vec![
                "tcpdump",
                "-r",
                &file,
                "-w",
                "/dev/null",
                "udp portrange 16384-32767",
            ],
        ),
        (
            "`epochgate trace examples/voip.gate`",
            vec![&program, "trace", &policy, &file],
        ),
        (
            "`epochgate replay examples/voip.gate`",
            vec![&program, "replay", &policy, &file],
        ),
    ];
    let mut times = [const { Vec::new() }; 3];
    let mut processors = [0; 3];
    time(&commands[0].1)?;
    for _ in 0..ROUNDS {
        for (number, (_, command)) in commands.iter().enumerate() {
            let before = processor_ticks()?;
            times[number].push(time(command)?.as_secs_f64());
            processors[number] += processor_ticks()? - before;
        }
    }
    let mut table = format!(
        "One capture of {frames} frames, {} MB: the Ethernet frames of the real captures, one after the\n\
         other and over again, with their times shifted. Whole processes on a file that is in memory; the\n\
         median of {ROUNDS} rounds, in each of which the programs take turns. The ratio is that of the times\n\
         of one round: below 1 is faster than tcpdump. `epochgate` works in as many threads as there are\n\
         processors, up to four; the processor time is that of all of them, on average.\n\n\
         | command | time | against tcpdump | processor time |\n|---|---|---|---|\n",
        bytes / 1_000_000,
    );
    let tcpdump = times[0].clone();
    for (((name, _), times), ticks) in commands.iter().zip(&mut times).zip(processors) {
        let mut ratios: Vec<f64> = times.iter().zip(&tcpdump).map(|(a, b)| a / b).collect();
        let _ = writeln!(
            table,
            "| {name} | {:.0} ms | {:.2} | {:.0} ms |",
            median(times) * 1e3,
            median(&mut ratios),
            1e3 * ticks as f64 / TICKS_PER_SECOND / ROUNDS as f64,
        );
    }
    Ok(table)
}

/// What Linux counts processor time of processes in, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of all children that have ended.
fn processor_ticks() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // Fields 16 and 17, in user and in kernel mode; the name, field 2, may have spaces in it.
    let (_, behind_name) = stat.rsplit_once(')').context("no name")?;
    let fields = behind_name.split_whitespace().skip(13).take(2);
    Ok(fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

/// Writes the large capture; says how many frames and bytes it has.
fn large(captures: &Path, path: &Path) -> anyhow::Result<(usize, usize)> {
    let mut files: Vec<_> = fs::read_dir(captures)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::path);
    let (mut records, mut now) = (Vec::new(), Duration::ZERO);
    for file in files {
        let bytes = fs::read(file.path())?;
        let Ok(capture) = Capture::open(&bytes) else {
            continue;
        };
        let of_file: Vec<Record> = capture.map_while(Result::ok).collect();
        let Some(first) = of_file.iter().map(|record| record.time).min() else {
            continue;
        };
        let begin = now;
        for mut record in of_file {
            record.time = begin + (record.time - first).min(Duration::from_secs(600));
            now = now.max(record.time);
            records.push(record);
        }
    }
    records.sort_by_key(|record| record.time);
    let mut file = File::create(path)?;
    let (mut frames, mut written) = (0, 0);
    let mut shift = Duration::from_secs(1_700_000_000);
    while written < SIZE {
        let shifted = records.iter().cloned().map(|mut record| {
            record.time += shift;
            record
        });
        let shifted: Vec<Record> = shifted.collect();
        let bytes = write::pcap(&shifted);
        let new = if written == 0 {
            &bytes[..]
        } else {
            &bytes[FILE_HEADER..]
        };
        file.write_all(new)?;
        written += new.len();
        frames += shifted.len();
        shift += now;
    }
    Ok((frames, written))
}

fn time(command: &[&str]) -> anyhow::Result<Duration> {
    let [program, arguments @ ..] = command else {
        bail!("no program");
    };
    let start = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| (*program).to_owned())?;
    let time = start.elapsed();
    if !output.status.success() {
        bail!(
            "`{}`: {}",
            command.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(time)
}

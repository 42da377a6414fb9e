//! Deciding about frames in memory: the table beside the plain `classify`, frame by frame over the
//! captures.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Context;
use policy_lang::{Policy, Table, Verdict, classify};
use tests::captures::{directory, ethernet_frames};
use tests::examples::{all, checked};
use tests::generate::realistic;

use super::median;

const ROUNDS: usize = 9;
/// Least processor time of one measurement; it is counted in steps of a few milliseconds.
const LEAST: Duration = Duration::from_millis(100);
const SIZES: [usize; 2] = [1_000, 10_000];

/// The table of speeds.
pub(super) fn table() -> anyhow::Result<String> {
    let Some(directory) = directory() else {
        return Ok(String::from(
            "Not measured: there are no captures beside the project.\n",
        ));
    };
    let captured = ethernet_frames(&directory).map_err(anyhow::Error::msg)?;
    let frames = Frames::new(captured.frames.iter().map(|(_, frame)| frame.as_slice()));
    let mut policies: Vec<(String, Policy)> = all()
        .into_iter()
        .map(|example| (format!("examples/{}", example.name), example.policy))
        .collect();
    for rules in SIZES {
        let policy = checked("bench.gate", &realistic::policy(rules, Verdict::Bypass));
        policies.push((format!("{rules} rules"), policy));
    }
    let mut table = format!(
        "The {} Ethernet frames of the captures ({} KiB) lie in memory and are decided one after the\n\
         other on one core: the median of {ROUNDS} rounds, in each of which both ways take turns. Seconds\n\
         are those of the processor, so that what else runs on the machine counts little.\n\n\
         | policy | table, million frames/s | `classify`, million frames/s | ratio | made in | size |\n\
         |---|---|---|---|---|---|\n",
        frames.places.len(),
        frames.bytes.len() / 1024,
    );
    for (name, policy) in &policies {
        let start = Instant::now();
        let compiled = Table::new(policy);
        let mut made = start.elapsed();
        let (mut fast, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            black_box(Table::new(policy));
            made = made.min(start.elapsed());
            fast.push(frames.rate(|frame| compiled.classify(frame).verdict)?);
            plain.push(frames.rate(|frame| classify(policy, frame).verdict)?);
        }
        let mut ratios: Vec<f64> = fast.iter().zip(&plain).map(|(a, b)| a / b).collect();
        let _ = writeln!(
            table,
            "| {name} | {:.1} | {:.2} | {:.1} | {:.1} ms | {} KiB |",
            median(&mut fast) / 1e6,
            median(&mut plain) / 1e6,
            median(&mut ratios),
            made.as_secs_f64() * 1e3,
            compiled.size().div_ceil(1024),
        );
    }
    Ok(table)
}

/// Frames one behind the other, as a reader of captures has them.
struct Frames {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Frames {
    fn new<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for frame in frames {
            places.push(bytes.len()..bytes.len() + frame.len());
            bytes.extend(frame);
        }
        Self { bytes, places }
    }

    /// Frames per second of processor time that `decide` decides about.
    fn rate(&self, decide: impl Fn(&[u8]) -> Verdict) -> anyhow::Result<f64> {
        let (mut passed, mut decided) = (0_u64, 0_u64);
        let (start, before) = (Instant::now(), processor_time()?);
        let mut taken = Duration::ZERO;
        while taken < LEAST {
            for place in &self.places {
                passed += u64::from(decide(&self.bytes[place.clone()]) == Verdict::Bypass);
            }
            decided += self.places.len() as u64;
            // Only asked when it can be so much.
            if start.elapsed() >= LEAST {
                taken = processor_time()?.saturating_sub(before);
            }
        }
        black_box(passed);
        Ok(decided as f64 / taken.as_secs_f64())
    }
}

/// How long this thread has run on a processor.
fn processor_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = stat.split_whitespace().next().context("no time")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

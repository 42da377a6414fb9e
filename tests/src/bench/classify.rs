//! Deciding about frames in memory: the table beside the plain `classify`, frame by frame over the
//! captures.

use std::fmt::Write as _;
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use policy_lang::{Policy, Table, Verdict, classify};
use tests::captures::{directory, ethernet_frames};
use tests::examples::{all, checked};
use tests::generate::realistic;

use super::median;

const ROUNDS: usize = 9;
/// Least time of one measurement.
const LEAST: Duration = Duration::from_millis(40);
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
         other on one core: the median of {ROUNDS} rounds, in each of which both ways take turns.\n\n\
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
            fast.push(frames.rate(|frame| compiled.classify(frame).verdict));
            plain.push(frames.rate(|frame| classify(policy, frame).verdict));
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

    /// Frames per second that `decide` decides about.
    fn rate(&self, decide: impl Fn(&[u8]) -> Verdict) -> f64 {
        let (mut passed, mut decided) = (0_u64, 0_u64);
        let start = Instant::now();
        while start.elapsed() < LEAST {
            for place in &self.places {
                passed += u64::from(decide(&self.bytes[place.clone()]) == Verdict::Bypass);
            }
            decided += self.places.len() as u64;
        }
        black_box(passed);
        decided as f64 / start.elapsed().as_secs_f64()
    }
}

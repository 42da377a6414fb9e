//! The simulator: packets of all kinds that it carries a second, on one core.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{
    Bulk, Calls, Checkpoints, Codec, Config, Failover, Network, Verdicts, run,
};

/// Runs of each configuration; the best counts.
const RUNS: usize = 3;

const MS: u64 = 1_000_000;

/// The table of speeds.
pub(super) fn table() -> String {
    let passing = config(Verdict::Bypass);
    let held = config(Verdict::Buffer);
    let busy = Config {
        signalling_rate: 1_000.0,
        bulk: Some(Bulk { window: 1 << 20 }),
        calls: Calls {
            silences: true,
            ..held.calls
        },
        failover: Some(Failover {
            at: 15_000 * MS,
            detection: 1_000 * MS,
            announcement: 200 * MS,
        }),
        ..held
    };
    let few = Config {
        duration: 2_000_000 * MS,
        calls: Calls {
            count: 10,
            ..held.calls
        },
        ..held
    };
    let mut table = String::from(
        "Each packet is made, judged by the gate, carried over the network and heard by a receiver with\n\
         all its figures. Best of 3 runs on one core.\n\n\
         | simulated | packets | million packets/s |\n|---|---|---|\n",
    );
    for (name, config) in [
        ("1,000 calls that pass", passing),
        ("1,000 calls that are held", held),
        (
            "1,000 calls with silences, SIP, TCP and a failover, all held",
            busy,
        ),
        ("10 calls that are held", few),
    ] {
        let (packets, time) = best(&config);
        let _ = writeln!(
            table,
            "| {name} | {packets} | {:.1} |",
            packets as f64 / time.as_secs_f64() / 1e6
        );
    }
    table
}

fn best(config: &Config) -> (u64, Duration) {
    let runs = (0..RUNS).map(|_| {
        let start = Instant::now();
        let outcome = black_box(run(black_box(config), |_, _| {}));
        (outcome.packets, start.elapsed())
    });
    runs.min_by_key(|(_, time)| *time).unwrap_or_default()
}

fn config(verdict: Verdict) -> Config {
    Config {
        seed: 1,
        duration: 20_000 * MS,
        calls: Calls {
            count: 1_000,
            codec: Codec::G711,
            packet_time: 20 * MS,
            silences: false,
            timer_noise: MS / 5,
        },
        signalling_rate: 0.0,
        bulk: None,
        verdicts: Verdicts {
            media: verdict,
            signalling: verdict,
            bulk: verdict,
        },
        limit: 64 << 20,
        checkpoints: Some(Checkpoints {
            interval: 100 * MS,
            timer: Timer::AfterCommit,
            pause: 5 * MS,
            dirty_rate: 4e6,
            working_set: 64e6,
            copy_rate: 1e9,
            link_rate: 1e9,
            acknowledgement: 0,
        }),
        network: Network {
            rate: 1e9,
            delay: 20 * MS,
            noise: 0,
            loss: 0.0,
        },
        failover: None,
        assumptions: Assumptions::default(),
        record: false,
    }
}

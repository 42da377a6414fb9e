//! The paper's testbed: Xen 4.2-unstable, FreeSWITCH, one call watched. Every parameter with its
//! value and its reason; what the paper does not say is called an assumption, and where a value was
//! chosen to meet one of the paper's numbers, that number is no prediction of ours.

use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{Calls, Checkpoints, Codec, Config, Failover, Network, Verdicts};

use super::Figure;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;

/// Simulated time of each run.
pub const DURATION: u64 = 60_000 * MILLISECOND;

/// The part of a run that is drawn, in milliseconds: four seconds, or around the failure.
#[must_use]
pub const fn window_ms(figure: Figure) -> (f64, f64) {
    match figure {
        Figure::Fig7 => (28_000.0, 34_000.0),
        _ => (20_000.0, 24_000.0),
    }
}

const INTERVAL: u64 = 300 * MILLISECOND;
const NOISE_BARE: u64 = 100 * MICROSECOND;
const NOISE_IN_VM: u64 = 200 * MICROSECOND;
const PAUSE: u64 = 30 * MILLISECOND;
const DIRTY_RATE: f64 = 2.0 * MIB;
const WORKING_SET: f64 = 64.0 * MIB;
const COPY_RATE: f64 = 100e6;
const LINK: f64 = 100e6;
const LIMIT: u64 = 10_000_000;
const NETWORK_DELAY: u64 = 200 * MICROSECOND;
const FAILS_AT: u64 = 30_200 * MILLISECOND;
const DETECTION: u64 = 1_000 * MILLISECOND;
const ANNOUNCEMENT: u64 = 200 * MILLISECOND;
const MIB: f64 = 1_048_576.0;

/// The call that the figures show, in one direction.
pub const CALL: Calls = Calls {
    count: 1,
    codec: Codec::G711,
    packet_time: 20 * MILLISECOND,
    silences: false,
    timer_noise: NOISE_IN_VM,
};

/// Where a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The paper states it.
    Paper,
    /// The source code of that time has it.
    Source,
    /// Nobody says; the reason says why this value.
    Assumption,
    /// Chosen so that one of the paper's numbers comes out.
    Fitted,
}

impl Origin {
    /// Its name in reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Source => "source code",
            Self::Assumption => "assumption",
            Self::Fitted => "fitted",
        }
    }
}

/// A parameter of the testbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in JSON.
    pub key: &'static str,
    /// What it is.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// In which unit.
    pub unit: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Why this value.
    pub reason: &'static str,
}

const fn parameter(
    key: &'static str,
    name: &'static str,
    (value, unit): (f64, &'static str),
    origin: Origin,
    reason: &'static str,
) -> Parameter {
    Parameter {
        key,
        name,
        value,
        unit,
        origin,
        reason,
    }
}

const fn ms(nanoseconds: u64) -> (f64, &'static str) {
    (nanoseconds as f64 / 1e6, "ms")
}

/// Every parameter of the testbed.
pub const PARAMETERS: [Parameter; 16] = [
    parameter(
        "interval",
        "configured checkpoint interval",
        ms(INTERVAL),
        Origin::Paper,
        "named as the interval of Figure 6",
    ),
    parameter(
        "packet_time",
        "packet time of G.711 A-law",
        ms(CALL.packet_time),
        Origin::Paper,
        "the calls are G.711 A-law with 20 ms",
    ),
    parameter(
        "network",
        "network to the phones",
        (LINK / 1e6, "Mbit/s"),
        Origin::Paper,
        "the testbed's Ethernet",
    ),
    parameter(
        "link",
        "link to the backup",
        (LINK / 1e6, "Mbit/s"),
        Origin::Assumption,
        "the only network that the paper names",
    ),
    parameter(
        "calls",
        "calls, one direction each",
        (CALL.count as f64, ""),
        Origin::Assumption,
        "the figures show one; more change the bytes held alone",
    ),
    parameter(
        "noise_bare",
        "timer noise, no virtualization",
        ms(NOISE_BARE),
        Origin::Fitted,
        "Figure 3: mean jitter is the timer's mean delay",
    ),
    parameter(
        "noise_vm",
        "timer noise in a VM",
        ms(NOISE_IN_VM),
        Origin::Fitted,
        "Figure 4 bounds it: scheduler and virtual NIC add to it",
    ),
    parameter(
        "pause",
        "pause of an empty checkpoint",
        ms(PAUSE),
        Origin::Assumption,
        "Figure 6 shows interruptions: more than a packet time",
    ),
    parameter(
        "dirty_rate",
        "memory dirtied",
        (DIRTY_RATE / MIB, "MiB/s"),
        Origin::Fitted,
        "Figure 5: interval, pause and transfer are 400 ms",
    ),
    parameter(
        "working_set",
        "memory dirtied at most",
        (WORKING_SET / MIB, "MiB"),
        Origin::Assumption,
        "never reached",
    ),
    parameter(
        "copy_rate",
        "memory copied in the pause",
        (COPY_RATE / 1e6, "MB/s"),
        Origin::Assumption,
        "dom0 maps and copies single pages of 4 KiB",
    ),
    parameter(
        "limit",
        "limit of the plug",
        (LIMIT as f64 / 1e6, "MB"),
        Origin::Source,
        "what Remus's script for network buffers sets",
    ),
    parameter(
        "network_delay",
        "delay of the network to the phones",
        ms(NETWORK_DELAY),
        Origin::Assumption,
        "a local network; constant, so jitter is the server's own",
    ),
    parameter(
        "detection",
        "silence until the backup takes over",
        ms(DETECTION),
        Origin::Source,
        "HEARTBEAT_MS in Xen 4.2's xc_domain_restore.c",
    ),
    parameter(
        "announcement",
        "from there until packets flow",
        ms(ANNOUNCEMENT),
        Origin::Assumption,
        "devices, gratuitous ARP, switches that learn",
    ),
    parameter(
        "fails_at",
        "failure of the primary",
        ms(FAILS_AT),
        Origin::Assumption,
        "between two checkpoints, in the middle of a run",
    ),
];

/// The timer of a figure's checkpoints.
const fn timer(figure: Figure) -> Timer {
    match figure {
        // Its peaks are an interval, a pause and a transfer apart.
        Figure::Fig5 => Timer::AfterCommit,
        // As the `remus` program of Xen 4.2 sleeps (tools/remus/remus).
        _ => Timer::FromSuspend,
    }
}

/// The run of a figure, its verdicts still to be filled in.
#[must_use]
pub fn config(figure: Figure, seed: u64) -> Config {
    let replicated = figure.policy().is_some();
    Config {
        // Each figure is a measurement of its own.
        seed: seed.wrapping_add(figure as u64),
        duration: DURATION,
        calls: Calls {
            timer_noise: if figure == Figure::Fig3 {
                NOISE_BARE
            } else {
                NOISE_IN_VM
            },
            ..CALL
        },
        signalling_rate: 0.0,
        bulk: None,
        verdicts: Verdicts {
            media: Verdict::Buffer,
            signalling: Verdict::Buffer,
            bulk: Verdict::Buffer,
        },
        limit: LIMIT,
        checkpoints: replicated.then_some(Checkpoints {
            interval: INTERVAL,
            timer: timer(figure),
            pause: PAUSE,
            dirty_rate: DIRTY_RATE,
            working_set: WORKING_SET,
            copy_rate: COPY_RATE,
            link_rate: LINK,
            acknowledgement: 0,
        }),
        network: Network {
            rate: LINK,
            delay: NETWORK_DELAY,
            noise: 0,
            loss: 0.0,
        },
        failover: (figure == Figure::Fig7).then_some(Failover {
            at: FAILS_AT,
            detection: DETECTION,
            announcement: ANNOUNCEMENT,
        }),
        assumptions: Assumptions {
            delay_ms: ms(CALL.packet_time).0,
            ..Assumptions::default()
        },
        record: true,
    }
}

/// The same run with the other timer, and which that is.
#[must_use]
pub fn with_the_other_timer(config: &Config) -> (Config, Timer) {
    let is_after_commit = config
        .checkpoints
        .is_some_and(|checkpoints| checkpoints.timer == Timer::AfterCommit);
    let timer = if is_after_commit {
        Timer::FromSuspend
    } else {
        Timer::AfterCommit
    };
    let checkpoints = config.checkpoints.map(|checkpoints| Checkpoints {
        timer,
        ..checkpoints
    });
    (
        Config {
            checkpoints,
            ..*config
        },
        timer,
    )
}

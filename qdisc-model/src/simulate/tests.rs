//! Runs whose results are known from elsewhere, and properties of all runs.

use proptest::prelude::*;

use super::{Bulk, Calls, Checkpoints, Codec, Config, Failover, Network, Outcome, Verdicts, run};
use crate::metrics::receiver::Assumptions;
use crate::packet::Verdict;
use crate::schedule::Timer;

const MS: u64 = 1_000_000;

fn config(media: Verdict) -> Config {
    Config {
        seed: 1,
        duration: 60_000 * MS,
        calls: Calls {
            count: 3,
            codec: Codec::G711,
            packet_time: 20 * MS,
            silences: false,
            timer_noise: 0,
        },
        signalling_rate: 0.0,
        bulk: None,
        verdicts: Verdicts {
            media,
            signalling: Verdict::Buffer,
            bulk: Verdict::Buffer,
        },
        limit: 64 << 20,
        checkpoints: Some(Checkpoints {
            interval: 300 * MS,
            timer: Timer::FromSuspend,
            pause: 0,
            dirty_rate: 0.0,
            working_set: 0.0,
            copy_rate: 1e9,
            link_rate: 1e9,
            acknowledgement: 0,
        }),
        network: Network {
            rate: 1e9,
            delay: 10 * MS,
            noise: 0,
            loss: 0.0,
        },
        failover: None,
        assumptions: Assumptions::default(),
        record: true,
    }
}

fn go(config: &Config) -> Outcome {
    run(config, |_, _| {})
}

fn with(config: Config, change: impl FnOnce(&mut Checkpoints)) -> Config {
    let mut checkpoints = config.checkpoints.unwrap();
    change(&mut checkpoints);
    Config {
        checkpoints: Some(checkpoints),
        ..config
    }
}

/// An estimator written apart from this one gave these means for packets of 20 ms: held for epochs
/// of 100, 200, 300 and 400 ms; passing a guest that stops every 300 ms for 20, 50 and 100 ms.
#[test]
fn jitter_is_that_of_an_independent_estimate() {
    for (interval, mean) in [(100, 31.8), (200, 35.8), (300, 37.1), (400, 37.7)] {
        let run = go(&with(config(Verdict::Buffer), |c| {
            c.interval = interval * MS;
        }));
        let is = run.calls.mean_jitter_ms;
        assert!(
            (is - mean).abs() < 1.0,
            "{interval} ms: {is} instead of {mean}"
        );
    }
    for (pause, mean) in [(20, 2.3), (50, 5.3), (100, 13.1)] {
        let run = go(&with(config(Verdict::Bypass), |c| c.pause = pause * MS));
        let is = run.calls.mean_jitter_ms;
        assert!(
            (is - mean).abs() < 1.2,
            "{pause} ms: {is} instead of {mean}"
        );
    }
}

#[test]
fn an_ungated_call_is_perfect_and_a_held_one_is_not() {
    let passing = go(&config(Verdict::Bypass));
    assert!(passing.calls.max_jitter_ms < 0.1, "{:?}", passing.calls);
    assert!(passing.calls.mos > 4.4);
    assert_eq!((passing.refused, passing.most_held.packets), (0, 0));
    let held = go(&config(Verdict::Buffer));
    assert_eq!(held.calls.longest_burst, 15);
    assert!(held.calls.mos < 1.5 && held.calls.late_percent > 70.0);
    assert_eq!(held.most_held.packets, 45);
    assert!((held.media.max_delay_ms - 300.0).abs() < 1.0);
}

#[test]
fn the_period_is_the_timers() {
    let slow = with(config(Verdict::Buffer), |c| {
        c.pause = 30 * MS;
        c.acknowledgement = 70 * MS;
    });
    assert!((go(&slow).period_ms - 300.0).abs() < 1e-6);
    let after = with(slow, |c| c.timer = Timer::AfterCommit);
    assert!((go(&after).period_ms - 400.0).abs() < 1e-6);
}

#[test]
fn dirty_memory_costs_pause_and_transfer() {
    let run = go(&with(config(Verdict::Bypass), |c| {
        c.dirty_rate = 10e6;
        c.working_set = 2e6;
        c.copy_rate = 1e9;
        c.link_rate = 100e6;
    }));
    // 2 MB: 2 ms to copy, 160 ms to send.
    assert!((run.pause_ms - 2.0).abs() < 0.01, "{}", run.pause_ms);
    assert!((run.transfer_ms - 160.0).abs() < 0.1, "{}", run.transfer_ms);
}

#[test]
fn bulk_tcp_pays_for_the_wait() {
    let bulk = |verdict| Config {
        bulk: Some(Bulk { window: 64 << 10 }),
        verdicts: Verdicts {
            bulk: verdict,
            ..config(verdict).verdicts
        },
        ..config(Verdict::Bypass)
    };
    let free = go(&bulk(Verdict::Bypass)).goodput;
    let held = go(&bulk(Verdict::Buffer)).goodput;
    // A window per round trip of 20 ms; held, a window per epoch.
    assert!((20e6..27e6).contains(&free), "{free}");
    assert!((1.6e6..1.9e6).contains(&held), "{held}");
}

#[test]
fn a_failover_is_a_gap_and_a_rewind() {
    let failover = Failover {
        at: 30_123 * MS,
        detection: 1000 * MS,
        announcement: 50 * MS,
    };
    let run = go(&Config {
        failover: Some(failover),
        ..with(config(Verdict::Buffer), |c| c.acknowledgement = 50 * MS)
    });
    let figures = run.failover.unwrap();
    // Suspends at 300 ms, commits 50 ms later: the last before 30123 at 30050, of 30000.
    assert!(
        (figures.recovered_ms - 31_100.0).abs() < 1e-6,
        "{figures:?}"
    );
    assert!((figures.rolled_back_ms - 123.0).abs() < 1e-6, "{figures:?}");
    assert!(figures.held_lost > 0 && figures.gap_ms > 1000.0);
    // What was held and died was never seen, and is sent again by the restored guest.
    assert_eq!(run.calls.lost, 0);
}

#[test]
fn a_call_that_survives_a_failover_is_good_again() {
    let failover = Failover {
        at: 2_000 * MS,
        detection: 1000 * MS,
        announcement: 50 * MS,
    };
    let run = go(&Config {
        failover: Some(failover),
        ..config(Verdict::Bypass)
    });
    assert!(run.calls.max_delta_ms > 800.0, "{:?}", run.calls);
    assert!(run.calls.late_percent < 5.0, "{:?}", run.calls);
}

#[test]
fn a_failover_after_the_end_of_the_run_is_none() {
    let failover = Failover {
        at: 59_990 * MS,
        detection: 1000 * MS,
        announcement: 0,
    };
    let run = go(&Config {
        failover: Some(failover),
        ..config(Verdict::Buffer)
    });
    let figures = run.failover.unwrap();
    assert_eq!((figures.recovered_ms, figures.gap_ms), (0.0, 0.0));
}

#[test]
fn what_is_held_at_each_commit_is_a_distribution() {
    let run = go(&config(Verdict::Buffer));
    // Three calls, fifteen packets each, in every epoch.
    let (packets, bytes) = (run.held.packets, run.held.bytes);
    assert_eq!(
        (packets.p10, packets.p50, packets.p99, packets.most),
        (45, 45, 45, 45)
    );
    assert_eq!(bytes.p50, 45 * 214);
    let poor = go(&with(
        Config {
            signalling_rate: 20.0,
            ..config(Verdict::Bypass)
        },
        |_| {},
    ));
    let sip = poor.held.packets;
    assert!(sip.p10 < sip.p90 && sip.p90 <= sip.most, "{sip:?}");
    assert_eq!(sip.most, poor.most_held.packets);
}

#[test]
fn quality_knows_how_long_the_shortest_way_takes() {
    let far = |delay| Config {
        network: Network {
            delay: delay * MS,
            ..config(Verdict::Bypass).network
        },
        ..config(Verdict::Bypass)
    };
    let (near, far) = (go(&far(10)).calls, go(&far(200)).calls);
    assert!(near.r - far.r > 10.0, "{near:?} {far:?}");
    assert!((near.late_percent, far.late_percent) == (0.0, 0.0));
}

#[test]
fn a_pause_delays_signalling_and_bulk_too() {
    let run = go(&with(
        Config {
            signalling_rate: 50.0,
            bulk: Some(Bulk { window: 30_000 }),
            verdicts: Verdicts {
                media: Verdict::Bypass,
                signalling: Verdict::Bypass,
                bulk: Verdict::Bypass,
            },
            ..config(Verdict::Bypass)
        },
        |c| c.pause = 50 * MS,
    ));
    for class in [run.media, run.signalling, run.bulk] {
        assert!((40.0..51.0).contains(&class.max_delay_ms), "{class:?}");
    }
}

#[test]
fn a_link_that_is_too_slow_by_far_is_no_panic() {
    let run = go(&Config {
        network: Network {
            rate: 1e-6,
            ..config(Verdict::Bypass).network
        },
        ..with(config(Verdict::Bypass), |c| {
            c.dirty_rate = 1e12;
            c.working_set = 1e15;
            c.link_rate = 1e-6;
        })
    });
    assert!(run.packets > 0 && run.commits == 0, "{run:?}");
}

#[test]
fn speakers_fall_silent_without_a_loss() {
    let config = Config {
        calls: Calls {
            count: 200,
            silences: true,
            ..config(Verdict::Bypass).calls
        },
        duration: 2_000 * MS,
        ..config(Verdict::Bypass)
    };
    let run = go(&config);
    // Somebody speaks 43 % of the time, after a begin at which all do.
    assert!((8_000..20_000).contains(&run.packets), "{}", run.packets);
    assert_eq!(run.calls.lost, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the settings: the same seed gives the same run, the gate refuses no command, what
    /// was sent arrived, was dropped or is still held, and nothing that passes waits longer than a
    /// pause and the timer's noise.
    #[test]
    fn runs_are_lawful(
        seed: u64, interval in 5..400_u64, pause in 0..60_u64, acknowledgement in 0..200_u64,
        after: bool, hold: bool, silences: bool, limit in 1_000..1_000_000_u64,
    ) {
        let media = if hold { Verdict::Buffer } else { Verdict::Bypass };
        let config = Config {
            seed,
            limit,
            duration: 5_000 * MS,
            calls: Calls { silences, timer_noise: MS / 10, ..config(media).calls },
            signalling_rate: 20.0,
            bulk: Some(Bulk { window: 30_000 }),
            ..with(config(media), |c| {
                c.interval = interval * MS;
                c.pause = pause * MS;
                c.acknowledgement = acknowledgement * MS;
                c.timer = if after { Timer::AfterCommit } else { Timer::FromSuspend };
            })
        };
        let run = go(&config);
        prop_assert_eq!(run.refused, 0);
        prop_assert_eq!(format!("{run:?}"), format!("{:?}", go(&config)));
        prop_assert!(run.most_held.bytes <= limit);
        // Of what the guest sent, all arrived but what was dropped and what is held at the end.
        let missing = run.media.sent.packets - run.media.dropped - run.calls.packets;
        prop_assert!(missing <= if hold { run.most_held.packets } else { 0 }, "{missing}");
        if !hold {
            prop_assert_eq!(run.media.dropped, 0);
            prop_assert!(run.media.max_delay_ms <= pause as f64 + 3.0);
        }
    }
}

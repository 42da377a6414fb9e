//! Each figure's claim, within stated bounds, whatever the seed.

use policy_lang::check::check;
use policy_lang::source::SourceFile;

use super::testbed::PARAMETERS;
use super::{Figure, Reproduced, policy, reproduce};
use crate::simulate::traffic::{Traffic, judge, verdicts};

const SEEDS: [u64; 4] = [1, 2, 77, u64::MAX];

fn made(figure: Figure, seed: u64) -> Reproduced {
    let mut all = reproduce(&[figure], seed, |_, _| {});
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn near(is: Option<f64>, should_be: f64, by: f64) {
    let is = is.unwrap();
    assert!((is - should_be).abs() <= by, "{is} instead of {should_be}");
}

#[test]
fn without_virtualization_jitter_is_about_a_tenth_of_a_millisecond() {
    for seed in SEEDS {
        let calls = made(Figure::Fig3, seed).outcome.calls;
        near(Some(calls.mean_jitter_ms), 0.1, 0.01);
        assert!(calls.max_jitter_ms < 0.25, "{calls:?}");
    }
}

#[test]
fn in_a_vm_jitter_is_worse_and_below_half_a_millisecond() {
    for seed in SEEDS {
        let (bare, vm) = (made(Figure::Fig3, seed), made(Figure::Fig4, seed));
        let (bare, vm) = (bare.outcome.calls, vm.outcome.calls);
        assert!(vm.mean_jitter_ms > bare.mean_jitter_ms);
        assert!(vm.max_jitter_ms < 0.5, "{vm:?}");
    }
}

#[test]
fn remus_makes_a_peak_per_checkpoint() {
    for seed in SEEDS {
        let figure = made(Figure::Fig5, seed);
        near(figure.measured.peak_period_ms, 400.0, 10.0);
        near(figure.measured.burst_packets, 20.0, 0.5);
        // Counted from the suspend, the interval is the period.
        let (_, other) = figure.other_timer.unwrap();
        near(other.peak_period_ms, 300.0, 1.0);
        near(other.burst_packets, 15.0, 0.5);
        // The peaks found are those of the jitter, one per checkpoint.
        let jitter: Vec<f64> = figure.outcome.points.iter().map(|p| p.jitter_ms).collect();
        let peaks = jitter
            .windows(3)
            .filter(|around| around[1] > around[0] && around[1] >= around[2])
            .count();
        let commits = usize::try_from(figure.outcome.commits).unwrap();
        assert!(peaks.abs_diff(commits) <= 2, "{peaks} of {commits}");
    }
}

#[test]
fn the_papers_policy_leaves_interruptions() {
    for seed in SEEDS {
        let figure = made(Figure::Fig6, seed);
        near(figure.measured.interruption_period_ms, 300.0, 1.0);
        let vm = made(Figure::Fig4, seed).outcome.calls;
        assert!(figure.outcome.calls.mean_jitter_ms > 2.0 * vm.mean_jitter_ms);
        assert!(figure.outcome.calls.mos > 4.3);
        let (_, other) = figure.other_timer.unwrap();
        near(other.interruption_period_ms, 400.0, 10.0);
    }
}

#[test]
fn a_failover_takes_about_a_second_and_jitter_is_calm_again() {
    for seed in SEEDS {
        let figure = made(Figure::Fig7, seed);
        near(figure.measured.gap_ms, 1000.0, 200.0);
        let failover = figure.config.failover.unwrap();
        let calm_ms = (failover.at + 10_000_000_000) as f64 / 1e6;
        let later = figure
            .outcome
            .points
            .iter()
            .filter(|p| p.arrival.at_ms > calm_ms);
        let worst = later.map(|point| point.jitter_ms).fold(0.0, f64::max);
        assert!(worst > 0.0 && worst < 0.5, "{worst}");
    }
}

#[test]
fn a_seed_gives_one_run_and_another_seed_another() {
    for figure in Figure::ALL {
        let points = |seed| made(figure, seed).outcome.points;
        assert_eq!(points(5), points(5));
        assert_ne!(points(5), points(6));
    }
}

#[test]
fn the_policies_of_the_figures_are_those_of_the_examples() {
    let of = |text: &str| {
        let policy = check(&SourceFile::new("example", text)).0.unwrap();
        let calls = super::testbed::CALL;
        verdicts(&judge(&policy, &Traffic::USUAL, calls))
    };
    let examples = [
        (
            Figure::Fig5,
            include_str!("../../../../examples/remus.gate"),
        ),
        (
            Figure::Fig6,
            include_str!("../../../../examples/paper.gate"),
        ),
        (
            Figure::Fig7,
            include_str!("../../../../examples/paper.gate"),
        ),
    ];
    for (figure, example) in examples {
        let text = figure.policy().unwrap();
        assert!(policy(text).is_some());
        assert_eq!(of(text), of(example), "{figure:?}");
        assert_eq!(made(figure, 1).config.verdicts, of(example));
    }
}

#[test]
fn every_parameter_has_a_name_and_a_reason() {
    for (index, parameter) in PARAMETERS.iter().enumerate() {
        assert!(!parameter.reason.is_empty() && parameter.value > 0.0);
        let same = |other: &super::testbed::Parameter| other.key == parameter.key;
        assert_eq!(PARAMETERS.iter().position(same), Some(index));
    }
}

//! What an interval is worth: a weighted mean of four scores between 0 and 1. The scores are on
//! scales of their own, not on those of the range that happens to be tried, so that a wider range
//! gives the same intervals the same worth.

use serde::Serialize;

/// MOS of a G.711 call without delay and loss, by G.107 with its default values.
const BEST_MOS: f64 = 4.41;

/// A recovery that takes back this much is worth half of one that takes back nothing, in
/// milliseconds: about what a failover takes anyway.
const HALF_ROLLED_BACK_MS: f64 = 1000.0;

/// How much each score counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Weights {
    /// MOS of the calls.
    pub voice: f64,
    /// Share of the time in which the guest runs.
    pub guest: f64,
    /// Goodput of bulk TCP, against none of it being held.
    pub tcp: f64,
    /// How little a failover takes back.
    pub recovery: f64,
}

impl Default for Weights {
    /// Voice counts as much as all the rest; the guest's own work twice as much as what else it
    /// sends or might lose.
    fn default() -> Self {
        Self {
            voice: 4.0,
            guest: 2.0,
            tcp: 1.0,
            recovery: 1.0,
        }
    }
}

/// The scores of an interval; a score is missing if there is nothing to score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Of the calls.
    pub voice: Option<f64>,
    /// Of the guest.
    pub guest: f64,
    /// Of bulk TCP.
    pub tcp: Option<f64>,
    /// Of a recovery.
    pub recovery: f64,
}

impl Scores {
    /// The scores for these figures: MOS, the share of the time in which the guest runs, the share
    /// of TCP's goodput that is left, and the time that a failover takes back on average.
    #[must_use]
    pub fn of(mos: Option<f64>, running: f64, goodput: Option<f64>, rolled_back_ms: f64) -> Self {
        Self {
            voice: mos.map(|mos| ((mos - 1.0) / (BEST_MOS - 1.0)).clamp(0.0, 1.0)),
            guest: running.clamp(0.0, 1.0),
            tcp: goodput.map(|share| share.clamp(0.0, 1.0)),
            recovery: HALF_ROLLED_BACK_MS / (HALF_ROLLED_BACK_MS + rolled_back_ms.max(0.0)),
        }
    }

    /// Their weighted mean; 0 if none counts.
    #[must_use]
    pub fn worth(&self, weights: &Weights) -> f64 {
        let scores = [
            (self.voice, weights.voice),
            (Some(self.guest), weights.guest),
            (self.tcp, weights.tcp),
            (Some(self.recovery), weights.recovery),
        ];
        let counting = scores
            .into_iter()
            .filter_map(|(score, weight)| Some((score?, weight)));
        let (sum, weight) = counting.fold((0.0, 0.0), |(sum, all), (score, weight)| {
            (sum + score * weight, all + weight)
        });
        if weight > 0.0 { sum / weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Scores, Weights};

    #[test]
    fn worth_is_a_weighted_mean_of_what_there_is() {
        let weights = Weights {
            voice: 3.0,
            guest: 1.0,
            tcp: 2.0,
            recovery: 0.0,
        };
        let all = Scores::of(Some(4.41), 0.5, Some(0.25), 1000.0);
        assert!((all.recovery - 0.5).abs() < 1e-12);
        assert!((all.worth(&weights) - (3.0 + 0.5 + 0.5) / 6.0).abs() < 1e-12);
        let calls_only = Scores::of(None, 0.5, None, 0.0);
        assert!((calls_only.worth(&weights) - 0.5).abs() < 1e-12);
        let nothing = Weights {
            guest: 0.0,
            ..weights
        };
        assert!(calls_only.worth(&nothing).abs() < 1e-12);
    }

    #[test]
    fn better_figures_are_never_worth_less() {
        let weights = Weights::default();
        let worth = |mos, running, goodput, lost| {
            Scores::of(Some(mos), running, Some(goodput), lost).worth(&weights)
        };
        let base = worth(3.0, 0.9, 0.5, 100.0);
        assert!(worth(3.1, 0.9, 0.5, 100.0) > base);
        assert!(worth(3.0, 0.95, 0.5, 100.0) > base);
        assert!(worth(3.0, 0.9, 0.6, 100.0) > base);
        assert!(worth(3.0, 0.9, 0.5, 90.0) > base);
        assert!((0.0..=1.0).contains(&worth(9.0, 7.0, 3.0, -5.0)));
    }
}

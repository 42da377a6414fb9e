//! Loss and delay to R and MOS: the E-model of ITU-T G.107, narrowband, with its default values
//! for all that packets can't change.
//!
//! R = 93.2 - Idd - Ie,eff. 93.2 is what the defaults give without delay and loss. Idd is the
//! impairment by delay alone (G.107 clause 7.4, echo taken as perfectly cancelled), Ie,eff that by
//! codec and loss (clause 7.5), with Ie and Bpl of G.113 Appendix I.

/// R with all default values, no delay and no loss.
const R_DEFAULT: f64 = 93.2;

/// Range of the burst ratio for which G.107 gives the model.
const BURST_RATIO: (f64, f64) = (1.0, 8.0);

/// What loss does to a codec.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    /// Equipment impairment without loss, Ie.
    pub impairment: f64,
    /// Robustness against loss, Bpl.
    pub robustness: f64,
}

impl Codec {
    /// G.711 with packet loss concealment: Ie 0, Bpl 25.1.
    pub const G711: Self = Self {
        impairment: 0.0,
        robustness: 25.1,
    };
    /// G.729A with silence suppression: Ie 11, Bpl 19.
    pub const G729: Self = Self {
        impairment: 11.0,
        robustness: 19.0,
    };
}

/// What the listener gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Mouth to ear, in milliseconds.
    pub delay_ms: f64,
    /// Packets that are missing or late, in percent of those sent.
    pub loss_percent: f64,
    /// Mean length of a run of missing packets over that with random loss; 1 for random.
    pub burst_ratio: f64,
}

/// The mean length of runs of missing packets over the mean that random loss of the same rate
/// gives (G.107 clause 3). 1 if nothing is missing.
#[must_use]
pub fn burst_ratio(missing: u64, runs: u64, sent: u64) -> f64 {
    if runs == 0 || sent == 0 || missing >= sent {
        return BURST_RATIO.0;
    }
    let mean_run = missing as f64 / runs as f64;
    let at_random = 1.0 / (1.0 - missing as f64 / sent as f64);
    (mean_run / at_random).clamp(BURST_RATIO.0, BURST_RATIO.1)
}

/// Idd: nothing up to 100 ms, then more and more (G.107 equation 7-27 and 7-28).
fn delay_impairment(delay_ms: f64) -> f64 {
    if delay_ms <= 100.0 {
        return 0.0;
    }
    let x = (delay_ms / 100.0).log2();
    let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// Ie,eff (G.107 equation 7-29).
fn loss_impairment(codec: Codec, heard: Heard) -> f64 {
    let loss = heard.loss_percent.clamp(0.0, 100.0);
    let weight = loss / heard.burst_ratio + codec.robustness;
    codec.impairment + (95.0 - codec.impairment) * loss / weight
}

/// The rating factor R, 0 to 93.2.
#[must_use]
pub fn rating(codec: Codec, heard: Heard) -> f64 {
    (R_DEFAULT - delay_impairment(heard.delay_ms) - loss_impairment(codec, heard)).max(0.0)
}

/// The mean opinion score that G.107 Annex B estimates from R: 1 (bad) to 4.5.
#[must_use]
pub fn mos(r: f64) -> f64 {
    if r >= 100.0 {
        return 4.5;
    }
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::{Codec, Heard, burst_ratio, mos, rating};

    fn near(is: f64, should_be: f64, by: f64) {
        assert!((is - should_be).abs() <= by, "{is} instead of {should_be}");
    }

    /// The values of G.107 Table B.1, to its two digits.
    #[test]
    fn known_scores() {
        for (r, score) in [
            (90.0, 4.34),
            (80.0, 4.03),
            (70.0, 3.60),
            (60.0, 3.10),
            (50.0, 2.58),
        ] {
            near(mos(r), score, 0.0061);
        }
        near(mos(93.2), 4.41, 0.005);
        near(mos(0.0), 1.0, 0.0);
        near(mos(3.0), 1.0, 0.0);
        near(mos(100.0), 4.5, 0.0);
    }

    fn heard(delay_ms: f64, loss_percent: f64) -> Heard {
        Heard {
            delay_ms,
            loss_percent,
            burst_ratio: 1.0,
        }
    }

    /// Worked by hand from the equations.
    #[test]
    fn known_ratings() {
        near(rating(Codec::G711, heard(100.0, 0.0)), 93.2, 1e-9);
        near(rating(Codec::G729, heard(0.0, 0.0)), 82.2, 1e-9);
        // 95 * 1 / (1 + 25.1) = 3.6398.
        near(rating(Codec::G711, heard(0.0, 1.0)), 89.5602, 1e-4);
        // X = 1: 25 (2^(1/6) - 3 (1 + 3^-6)^(1/6) + 2) = 3.0445.
        near(rating(Codec::G711, heard(200.0, 0.0)), 93.2 - 3.0445, 1e-3);
        near(rating(Codec::G711, heard(5000.0, 100.0)), 0.0, 0.0);
    }

    #[test]
    fn more_loss_more_delay_and_longer_runs_are_never_better() {
        let mut before = f64::INFINITY;
        for step in 0..200 {
            let step = f64::from(step);
            let r = rating(Codec::G711, heard(step * 5.0, step / 4.0));
            assert!(r <= before);
            before = r;
        }
        let in_runs = Heard {
            burst_ratio: 4.0,
            ..heard(0.0, 5.0)
        };
        assert!(rating(Codec::G711, in_runs) < rating(Codec::G711, heard(0.0, 5.0)));
    }

    #[test]
    fn burst_ratios() {
        near(burst_ratio(0, 0, 100), 1.0, 0.0);
        near(burst_ratio(10, 10, 100), 1.0, 0.0);
        near(burst_ratio(20, 4, 100), 4.0, 1e-9);
        near(burst_ratio(100, 1, 100), 1.0, 0.0);
    }
}

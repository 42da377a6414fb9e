//! Interarrival jitter as RTCP carries it: RFC 3550 section 6.4.1, in the integer form of its
//! appendix A.8. Everything is in units of the RTP timestamp; the state is sixteen times the jitter.

/// The estimator of one SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interarrival {
    transit: Option<u32>,
    scaled: u32,
}

impl Interarrival {
    /// Takes the next packet in order of arrival. `arrival` is the receiver's clock in units of
    /// the timestamp; only differences count, so it may wrap.
    pub fn arrive(&mut self, arrival: u32, timestamp: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit {
            let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            let decay = self.scaled.saturating_add(8) >> 4;
            self.scaled = self.scaled.saturating_add(difference).saturating_sub(decay);
        }
        self.transit = Some(transit);
    }

    /// What a receiver report says, in units of the timestamp.
    #[must_use]
    pub fn reported(self) -> u32 {
        self.scaled >> 4
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Interarrival;

    fn after(packets: &[(u32, u32)]) -> u32 {
        let mut jitter = Interarrival::default();
        for &(arrival, timestamp) in packets {
            jitter.arrive(arrival, timestamp);
        }
        jitter.scaled
    }

    /// Worked by hand from the recurrence of A.8: J16 += |D| - ((J16 + 8) >> 4).
    #[test]
    fn known_answers() {
        assert_eq!(after(&[]), 0);
        assert_eq!(after(&[(1000, 0)]), 0, "one packet has no difference");
        assert_eq!(after(&[(1000, 0), (1160, 160), (1320, 320)]), 0);
        // One packet 80 units late: 80; the next back in time: 80 + 80 - (88 >> 4) = 155;
        // then nothing: 155 - (163 >> 4) = 145.
        assert_eq!(after(&[(0, 0), (240, 160)]), 80);
        assert_eq!(after(&[(0, 0), (240, 160), (320, 320)]), 155);
        assert_eq!(after(&[(0, 0), (240, 160), (320, 320), (480, 480)]), 145);
        // Early counts as much as late.
        assert_eq!(after(&[(0, 0), (80, 160)]), 80);
    }

    #[test]
    fn wrapping_clocks_change_nothing() {
        let plain = after(&[(0, 0), (240, 160), (320, 320)]);
        let start = u32::MAX - 200;
        let wrapped = [
            (start, 7),
            (start.wrapping_add(240), 167),
            (start.wrapping_add(320), 327),
        ];
        assert_eq!(after(&wrapped), plain);
    }

    #[test]
    fn a_constant_difference_is_the_limit() {
        let mut jitter = Interarrival::default();
        for n in 0..2000_u32 {
            // Late by 160 units every other packet.
            jitter.arrive(n * 160 + (n % 2) * 160, n * 160);
        }
        // The rounded decay holds at J16 where (J16 + 8) >> 4 = 160.
        assert_eq!(jitter.reported(), 159);
    }

    proptest! {
        /// The integer form stays within one unit of the recurrence over real numbers.
        #[test]
        fn the_integer_form_follows_the_real_one(late in prop::collection::vec(0..5000_u32, 2..300)) {
            let mut jitter = Interarrival::default();
            let (mut real, mut before) = (0.0_f64, None);
            for (n, late) in late.into_iter().enumerate() {
                let timestamp = u32::try_from(n).unwrap() * 160;
                jitter.arrive(timestamp + late, timestamp);
                if let Some(before) = before.replace(f64::from(late)) {
                    real += ((f64::from(late) - before).abs() - real) / 16.0;
                }
            }
            prop_assert!((f64::from(jitter.scaled) / 16.0 - real).abs() <= 1.0);
        }
    }
}

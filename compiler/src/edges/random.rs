//! A small generator of numbers that are the same for the same seed, on every machine and in every
//! release: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). What it makes need not be hard to
//! guess, so nothing better is wanted, and a crate could change its numbers.

/// The state of the generator.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The generator that starts at `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let drawn = u128::from(self.next()) * end as u128;
        usize::try_from(drawn >> 64).unwrap_or(0)
    }

    /// True `times` of `of` times.
    pub(super) fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    /// One of `items`.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len())).copied()
    }

    /// A number that fits `width` bits.
    pub(super) fn bits(&mut self, width: u32) -> u128 {
        let all = u128::from(self.next()) << 64 | u128::from(self.next());
        all & policy_lang::values::max_value(width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_paper() {
        // The first outputs of the authors' C code for this seed.
        let mut random = Random::new(1_234_567);
        let drawn = [(); 3].map(|()| random.next());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn drawn_numbers_stay_below() {
        let mut random = Random::new(1);
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}

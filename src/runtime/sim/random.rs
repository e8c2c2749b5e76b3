//! Draws from a seed: one seed, one run.

use std::cell::Cell;

/// A generator of draws: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// The draws of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Any number.
    pub fn draw(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = self.0.get();
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }

    /// True so many times in a thousand. Takes no draw where the answer is certain.
    pub fn chance(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < per_mille as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_and_draws_spread() {
        let draws = |seed| {
            std::iter::repeat_with({
                let random = Random::new(seed);
                move || random.below(10)
            })
        };
        assert!(draws(7).take(100).eq(draws(7).take(100)));
        assert!(!draws(7).take(100).eq(draws(8).take(100)));
        let mut counts = [0; 10];
        draws(1).take(10_000).for_each(|draw| counts[draw] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_chance_of_none_and_of_all_are_certain() {
        let random = Random::new(1);
        assert!((0..1000).all(|_| !random.chance(0) && random.chance(1000)));
    }
}

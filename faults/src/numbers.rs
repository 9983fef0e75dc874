//! Numbers that look random and follow from a seed (SplitMix64).
//!
//! Not here: which seed (`Counts`), what is decided by the numbers (the trials).

/// A generator: the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// One with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// A generator of its own for a part of a trial, so that what one part takes does not change another.
    #[must_use]
    pub fn part(&self, name: u64) -> Numbers {
        let mut part = Numbers(self.0 ^ name.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Numbers(part.draw())
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the end; 0 when the end is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// A position below the end; 0 when the end is 0.
    pub fn position(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap_or(0)
    }

    /// One of them.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.position(all.len())]
    }

    /// One of these words.
    pub fn word<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.position(all.len())]
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn a_seed_gives_the_same_numbers_and_parts_do_not_disturb_each_other() {
        let (mut one, mut other) = (Numbers::new(7), Numbers::new(7));
        let mut part = other.part(3);
        part.draw();
        assert_eq!(
            (0..20).map(|_| one.draw()).collect::<Vec<_>>(),
            (0..20).map(|_| other.draw()).collect::<Vec<_>>()
        );
        assert_ne!(one.part(1).draw(), one.part(2).draw());
        assert!((0..1000).all(|_| one.below(10) < 10) && one.below(0) == 0);
    }
}

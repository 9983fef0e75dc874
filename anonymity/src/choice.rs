//! Which of one unit's groups and values are kept when it has too many: at random, by a key that is drawn afresh.
//!
//! Invariants: what is chosen depends on the unit's own rows and on the key, on nothing else; the bound on the sensitivity
//! holds for whatever choice, so nothing rests on the mixing but that every subset is as likely as any other. The mixing
//! is the finalizer of splitmix64 (Steele, Lea, Flood 2014), over words that the key is added to: some nanoseconds, where a
//! cryptographic hash took a hundred for each group of each subject.

use zeroize::Zeroizing;

use crate::noise::{Entropy, NoiseError};

/// The key of one run's choices. No `Debug`.
pub(crate) struct Choice(Zeroizing<[u64; 2]>);

impl Choice {
    /// A fresh one.
    pub(crate) fn draw<E: Entropy + ?Sized>(entropy: &mut E) -> Result<Choice, NoiseError> {
        let mut bytes = Zeroizing::new([0; 16]);
        entropy.fill(bytes.as_mut_slice())?;
        let &[a, b] = bytes.as_chunks::<8>().0 else { return Err(NoiseError::Entropy) };
        Ok(Choice(Zeroizing::new([u64::from_le_bytes(a), u64::from_le_bytes(b)])))
    }

    /// A number for this unit and purpose.
    pub(crate) fn unit(&self, purpose: u8, day: Option<i32>, subject: &[u8; 16]) -> u64 {
        let (high, low) = halves(subject);
        let day = day.map_or(0, |day| 1 << 32 | u64::from(day.cast_unsigned()));
        let seed = mixed(high ^ self.0[0]);
        let seed = mixed(seed ^ low ^ self.0[1]);
        mixed(seed ^ u64::from(purpose) << 40 ^ day)
    }

    /// Of all keys of a unit, those of the smallest ranks are kept.
    pub(crate) fn rank(&self, unit: u64, key: u64) -> u64 {
        mixed(unit ^ mixed(key ^ self.0[1]))
    }
}

fn halves(subject: &[u8; 16]) -> (u64, u64) {
    let whole = u128::from_be_bytes(*subject);
    ((whole >> 64) as u64, whole as u64)
}

/// A number from 0 to `end` - 1, from a generator that is advanced: multiply and shift, biased by less than 2^-40 for
/// fewer than 2^24 values.
pub(crate) fn below(state: &mut u64, end: u64) -> u64 {
    let number = mixed(*state);
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    ((u128::from(number) * u128::from(end)) >> 64) as u64
}

/// The finalizer of splitmix64: a bijection.
pub(crate) fn mixed(word: u64) -> u64 {
    let mut mixed = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::noise::testing::SeededEntropy;

    /// Every order of four keys is as likely as any other, for neighbouring subjects, days and keys: chi-square, 23
    /// degrees of freedom, 49.7 is passed in one of a thousand.
    #[test]
    fn every_order_of_a_units_keys_is_as_likely() {
        for (purpose, step) in [(0, 1_u64), (2, 1), (2, 1 << 32), (2, u64::MAX / 7)] {
            let choice = Choice::draw(&mut SeededEntropy::new(u64::from(purpose) + step)).unwrap();
            let mut orders = std::collections::BTreeMap::<Vec<u64>, u32>::new();
            for name in 0..12_000_u128 {
                let unit = choice.unit(purpose, Some((name % 5) as i32), &(name / 5).to_be_bytes());
                let mut keys: Vec<u64> = (0..4).collect();
                keys.sort_by_key(|key| choice.rank(unit, key.wrapping_mul(step)));
                *orders.entry(keys).or_default() += 1;
            }
            let off = |seen: &u32| (f64::from(*seen) - 500.0).powi(2) / 500.0;
            let chi: f64 = orders.values().map(off).sum::<f64>() + 500.0 * (24 - orders.len()) as f64;
            assert!(chi < 49.7, "{chi} for keys {step} apart");
        }
    }
}

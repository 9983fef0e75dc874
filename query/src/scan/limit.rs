//! How many groups of private keys one released part may find.
//!
//! A limit that is compared with the exact number of groups would be an oracle: who fills a key up to it learns from the
//! failure whether one person has one value more. So the number is compared with a limit that has noise, which the
//! released part has paid for (`charge`), drawn before anything is read.
//!
//! Invariants: what is counted is groups that a subject has kept, so that one subject's day changes the number by what
//! `SensitivityLayout::groups_of_one` says. A released part fails if and only if its number passes its limit. The limit
//! is not below what the noise alone would pass once in 10^14 released parts.

use shoal_anonymity::noise::{DiscreteGaussian, Entropy};

use crate::charge::least_limit;
use crate::failure::Failure;

/// The noisy limit of one released part, which has about `groups_max` groups (see `charge/reserve.rs`), and never less than the noise.
pub(super) fn noisy_limit<E: Entropy + ?Sized>(
    groups_max: u64,
    noise: &DiscreteGaussian,
    entropy: &mut E,
) -> Result<u64, Failure> {
    let middle = i128::from(groups_max.max(least_limit(noise)));
    Ok(u64::try_from(noise.add(middle, entropy)?.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_anonymity::budget::{Rho, variance};

    use super::*;
    use crate::tests::Seeded;

    /// The noise of a limit is what was paid for, and the limit is what was asked for where there is room for noise.
    #[test]
    fn limits_are_noisy_and_never_too_low_for_their_noise() {
        let noise = DiscreteGaussian::new(variance(9, Rho::from_nano(20_000)).unwrap());
        let mut entropy = Seeded(1);
        let mut draw = |most: u64| -> Vec<u64> {
            (0..2_000).map(|_| noisy_limit(most, &noise, &mut entropy).unwrap()).collect()
        };
        let limits = draw(20_000);
        let off = limits.iter().map(|limit| *limit as f64 - 20_000.0);
        let sd = (off.clone().map(|off| off * off).sum::<f64>() / 2_000.0).sqrt();
        assert!((sd / 474.3 - 1.0).abs() < 0.06, "{sd}");
        assert!((off.sum::<f64>() / 2_000.0).abs() < 50.0);
        let limits = draw(10);
        assert!(limits.iter().all(|limit| (1_500..6_000).contains(limit)), "about 3,795");
    }
}

//! Coins: of bias n/d and of bias exp(-n/d), exactly, and uniform integers.
//!
//! A coin of bias n/d compares a lazily drawn uniform number with the binary expansion of n/d, eight bits at a time:
//! 256/255 bytes are drawn on average, whatever n and d. A coin of bias exp(-n/d) is Algorithm 1 of Canonne, Kamath,
//! Steinke 2020, after von Neumann: the first k with A_k = 0, A_k of bias (n/d)/k, is odd with probability
//! exp(-n/d). A_k is tossed as a coin of n/d and a coin of 1/k that both must fall on heads, so that no product
//! d * k is needed.
//!
//! Every loop has a cap which random bytes reach with probability below 2^-1000: a stuck generator is an error.

use num_bigint::BigUint;

use super::{Entropy, NoiseError};

/// No loop turns more often. Each turn but the first ends it with probability 1/4 at the least, and 0.75^4095 < 2^-1000.
pub(super) const TURNS_MAX: u32 = 4096;

/// `n / d` with `d > 0`: in 128 bits if both fit with room for a byte, else of any size.
pub(super) enum Ratio {
    Small { n: u128, d: u128 },
    Large { n: BigUint, d: BigUint },
}

/// Denominators below this leave room for the eight bits that the expansion shifts in.
pub(super) const SMALL_DENOMINATOR_MAX: u128 = 1 << 119;

fn byte<E: Entropy + ?Sized>(entropy: &mut E) -> Result<u8, NoiseError> {
    let mut out = [0u8; 1];
    entropy.fill(&mut out)?;
    Ok(out[0])
}

/// A fair coin.
pub(super) fn fair<E: Entropy + ?Sized>(entropy: &mut E) -> Result<bool, NoiseError> {
    Ok(byte(entropy)? & 1 == 1)
}

/// Uniform on `0..bound`, by rejection from the next power of two: at most two draws on average.
pub(super) fn uniform<E: Entropy + ?Sized>(bound: u64, entropy: &mut E) -> Result<u64, NoiseError> {
    let mask = match bound.checked_sub(1) {
        None => return Err(NoiseError::Variance),
        Some(0) => return Ok(0),
        Some(max) => u64::MAX >> max.leading_zeros(),
    };
    let bytes = (64 - mask.leading_zeros()).div_ceil(8) as usize;
    for _ in 0..TURNS_MAX {
        let mut out = [0u8; 8];
        entropy.fill(&mut out[..bytes])?;
        let drawn = u64::from_le_bytes(out) & mask;
        if drawn < bound {
            return Ok(drawn);
        }
    }
    Err(NoiseError::Stuck)
}

/// True with probability n/d exactly, for n <= d and 0 < d < 2^119.
pub(super) fn coin<E: Entropy + ?Sized>(n: u128, d: u128, entropy: &mut E) -> Result<bool, NoiseError> {
    debug_assert!(n <= d && d <= SMALL_DENOMINATOR_MAX);
    if n >= d {
        return Ok(true);
    }
    let mut rest = n;
    for _ in 0..TURNS_MAX {
        let shifted = rest << 8;
        let (digit, drawn) = (shifted / d, u128::from(byte(entropy)?));
        if drawn != digit {
            return Ok(drawn < digit);
        }
        rest = shifted % d;
    }
    Err(NoiseError::Stuck)
}

/// As `coin`, for numbers of any size.
fn coin_large<E: Entropy + ?Sized>(n: &BigUint, d: &BigUint, entropy: &mut E) -> Result<bool, NoiseError> {
    if n >= d {
        return Ok(true);
    }
    let mut rest = n.clone();
    for _ in 0..TURNS_MAX {
        let shifted = rest << 8u32;
        let (digit, drawn) = (&shifted / d, BigUint::from(byte(entropy)?));
        if drawn != digit {
            return Ok(drawn < digit);
        }
        rest = shifted % d;
    }
    Err(NoiseError::Stuck)
}

impl Ratio {
    /// The whole part (capped at 2^64 - 1, which no caller can tell from more) and the fraction below 1.
    fn split(self) -> (u64, Ratio) {
        match self {
            Ratio::Small { n, d } => (u64::try_from(n / d).unwrap_or(u64::MAX), Ratio::Small { n: n % d, d }),
            Ratio::Large { n, d } => {
                (u64::try_from(&n / &d).unwrap_or(u64::MAX), Ratio::Large { n: n % &d, d })
            }
        }
    }

    fn toss<E: Entropy + ?Sized>(&self, entropy: &mut E) -> Result<bool, NoiseError> {
        match self {
            Ratio::Small { n, d } => coin(*n, *d, entropy),
            Ratio::Large { n, d } => coin_large(n, d, entropy),
        }
    }
}

/// True with probability exp(-ratio) exactly, for 0 <= ratio <= 1.
fn exponential_unit<E: Entropy + ?Sized>(ratio: &Ratio, entropy: &mut E) -> Result<bool, NoiseError> {
    for k in 1..=u128::from(TURNS_MAX) {
        let heads = coin(1, k, entropy)? && ratio.toss(entropy)?;
        if !heads {
            return Ok(k % 2 == 1);
        }
    }
    Err(NoiseError::Stuck)
}

/// True with probability exp(-1) exactly.
pub(super) fn exponential_one<E: Entropy + ?Sized>(entropy: &mut E) -> Result<bool, NoiseError> {
    exponential_unit(&Ratio::Small { n: 1, d: 1 }, entropy)
}

/// True with probability exp(-ratio) exactly, for any ratio >= 0.
pub(super) fn exponential<E: Entropy + ?Sized>(ratio: Ratio, entropy: &mut E) -> Result<bool, NoiseError> {
    let (whole, fraction) = ratio.split();
    for turn in 0..whole {
        if turn >= u64::from(TURNS_MAX) {
            return Err(NoiseError::Stuck);
        }
        if !exponential_one(entropy)? {
            return Ok(false);
        }
    }
    exponential_unit(&fraction, entropy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::SeededEntropy;
    use super::*;

    fn share(trials: u32, mut toss: impl FnMut() -> bool) -> f64 {
        (0..trials).filter(|_| toss()).count() as f64 / f64::from(trials)
    }

    /// Five standard deviations of a share: a false alarm once in a million, and the seeds are fixed.
    fn close(found: f64, expected: f64, trials: u32) {
        let allowed = 5.0 * (expected * (1.0 - expected) / f64::from(trials)).sqrt() + 1e-9;
        assert!((found - expected).abs() <= allowed, "{found} is not {expected}");
    }

    #[test]
    fn coins_have_their_bias_small_and_large() {
        let trials = 100_000;
        for (n, d) in [(0u128, 3u128), (1, 3), (255, 256), (1, 1000), (7, 7), ((1 << 118) / 3, 1 << 118)] {
            let mut entropy = SeededEntropy::new(1);
            close(share(trials, || coin(n, d, &mut entropy).unwrap()), n as f64 / d as f64, trials);
            let mut entropy = SeededEntropy::new(1);
            let (n_large, d_large) = (BigUint::from(n), BigUint::from(d));
            let mut again = SeededEntropy::new(1);
            for _ in 0..1000 {
                assert_eq!(coin_large(&n_large, &d_large, &mut entropy), coin(n, d, &mut again));
            }
        }
    }

    #[test]
    fn exponential_coins_have_their_bias() {
        let trials = 100_000;
        for (n, d) in [(0u128, 1u128), (1, 10), (1, 1), (3, 2), (5, 1), (1, 1 << 100)] {
            let mut entropy = SeededEntropy::new(2);
            let found = share(trials, || exponential(Ratio::Small { n, d }, &mut entropy).unwrap());
            close(found, (-(n as f64) / d as f64).exp(), trials);
            let mut entropy = SeededEntropy::new(3);
            let large = || Ratio::Large { n: n.into(), d: d.into() };
            close(
                share(20_000, || exponential(large(), &mut entropy).unwrap()),
                (-(n as f64) / d as f64).exp(),
                20_000,
            );
        }
    }

    #[test]
    fn uniform_covers_its_range_evenly() {
        for bound in [1u64, 2, 3, 10, 256, 257] {
            let mut entropy = SeededEntropy::new(4);
            let mut seen = vec![0u32; bound as usize];
            for _ in 0..bound * 2000 {
                seen[uniform(bound, &mut entropy).unwrap() as usize] += 1;
            }
            assert!(seen.iter().all(|count| count.abs_diff(2000) < 250), "{bound}: {seen:?}");
        }
        assert_eq!(uniform(0, &mut SeededEntropy::new(4)), Err(NoiseError::Variance));
    }
}

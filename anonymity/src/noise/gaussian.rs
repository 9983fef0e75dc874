//! The sampler: discrete Gaussian by rejection from a discrete Laplace.
//!
//! Algorithm 3 of Canonne, Kamath, Steinke 2020 (arXiv 2004.00010), with t = floor(sigma) + 1 and sigma^2 = p/q:
//! draw Y from the discrete Laplace of scale t (Algorithm 2 with s = 1); keep it with probability
//! exp(-(|Y| - sigma^2/t)^2 / (2 sigma^2)), which is exp(-n/d) for n = (|Y| q t - p)^2 and d = 2 p q t^2.
//! Numbers that leave 128 bits are computed with `BigUint`; the distribution is exact either way.
//!
//! Cost: every loop, here and in `bernoulli`, ends with at least a constant probability per turn, whatever sigma is, so
//! the bytes drawn per sample have a bounded mean but for the uniform part's log2(t) bits (the tests measure it).

use num_bigint::BigUint;

use super::{
    Entropy, NoiseError, Variance,
    bernoulli::{Ratio, SMALL_DENOMINATOR_MAX, TURNS_MAX, exponential, exponential_one, fair, uniform},
};

/// |Y| stays below t * GEOMETRIC_MAX: more has probability exp(-1023) < 2^-1000 and is an error, not a sample.
const GEOMETRIC_MAX: u64 = 1023;

/// Probability proportional to exp(-x^2 / (2 sigma^2)) on the integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    variance: Variance,
    /// floor(sigma) + 1, at most 2^52 + 1.
    t: u64,
}

impl DiscreteGaussian {
    /// Centred on 0.
    pub fn new(variance: Variance) -> DiscreteGaussian {
        DiscreteGaussian { variance, t: variance.sigma_floor() + 1 }
    }

    /// sigma^2.
    pub fn variance(&self) -> Variance {
        self.variance
    }

    /// One fresh sample. Fails only if the entropy does; there is no sample then.
    pub fn sample<E: Entropy + ?Sized>(&self, entropy: &mut E) -> Result<i64, NoiseError> {
        for _ in 0..TURNS_MAX {
            let proposed = laplace(self.t, entropy)?;
            if exponential(self.rejection(proposed.unsigned_abs()), entropy)? {
                return Ok(proposed);
            }
        }
        Err(NoiseError::Stuck)
    }

    /// `total` with fresh noise.
    pub fn add<E: Entropy + ?Sized>(&self, total: i128, entropy: &mut E) -> Result<i128, NoiseError> {
        total.checked_add(i128::from(self.sample(entropy)?)).ok_or(NoiseError::Overflow)
    }

    /// (|y| q t - p)^2 / (2 p q t^2).
    fn rejection(&self, magnitude: u64) -> Ratio {
        self.rejection_small(magnitude).unwrap_or_else(|| self.rejection_large(magnitude))
    }

    fn rejection_small(&self, magnitude: u64) -> Option<Ratio> {
        let (p, q, t) = (self.variance.numerator(), self.variance.denominator(), u128::from(self.t));
        let qt = q.checked_mul(t)?;
        let root = u128::from(magnitude).checked_mul(qt)?.abs_diff(p);
        let n = root.checked_mul(root)?;
        let d = p.checked_mul(2)?.checked_mul(qt)?.checked_mul(t)?;
        (d < SMALL_DENOMINATOR_MAX).then_some(Ratio::Small { n, d })
    }

    fn rejection_large(&self, magnitude: u64) -> Ratio {
        let (p, q) = (BigUint::from(self.variance.numerator()), BigUint::from(self.variance.denominator()));
        let t = BigUint::from(self.t);
        let qt = q * &t;
        let scaled = BigUint::from(magnitude) * &qt;
        let root = if scaled >= p { &scaled - &p } else { &p - &scaled };
        Ratio::Large { n: &root * &root, d: p * 2u32 * qt * t }
    }
}

/// Probability proportional to exp(-|x| / t) on the integers: Algorithm 2 with s = 1.
fn laplace<E: Entropy + ?Sized>(t: u64, entropy: &mut E) -> Result<i64, NoiseError> {
    for _ in 0..TURNS_MAX {
        let low = uniform(t, entropy)?;
        if !exponential(Ratio::Small { n: u128::from(low), d: u128::from(t) }, entropy)? {
            continue;
        }
        let mut high = 0u64;
        while exponential_one(entropy)? {
            high += 1;
            if high >= GEOMETRIC_MAX {
                return Err(NoiseError::Stuck);
            }
        }
        // t <= 2^52 + 1 and high < 2^10: below 2^63.
        let magnitude = high
            .checked_mul(t)
            .and_then(|x| x.checked_add(low))
            .and_then(|x| i64::try_from(x).ok())
            .ok_or(NoiseError::Variance)?;
        match (fair(entropy)?, magnitude) {
            (true, 0) => {} // Zero would count twice.
            (true, _) => return Ok(-magnitude),
            (false, _) => return Ok(magnitude),
        }
    }
    Err(NoiseError::Stuck)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

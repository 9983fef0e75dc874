//! sigma^2 as an exact rational number.
//!
//! Invariants: above 0, at most 2^104 (sigma at most 2^52, so that a sample fits 64 bits), in lowest terms.
//! Not here: which variance a price buys (`budget::variance`).

use super::NoiseError;

/// The largest variance: sigma is at most 2^52.
const VARIANCE_MAX: u128 = 1 << 104;

/// The parameter sigma^2 of a discrete Gaussian, in squared units of the total that is noised.
///
/// The true variance of the samples is at most this (Canonne, Kamath, Steinke 2020, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variance {
    numerator: u128,
    denominator: u128,
}

impl Variance {
    /// `numerator / denominator`; `NoiseError::Variance` if it is 0, not a number, or above 2^104.
    pub fn new(numerator: u128, denominator: u128) -> Result<Variance, NoiseError> {
        if numerator == 0 || denominator == 0 {
            return Err(NoiseError::Variance);
        }
        let whole = numerator / denominator;
        if whole > VARIANCE_MAX || (whole == VARIANCE_MAX && !numerator.is_multiple_of(denominator)) {
            return Err(NoiseError::Variance);
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        Ok(Variance { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// Of the fraction in lowest terms.
    pub fn numerator(&self) -> u128 {
        self.numerator
    }

    /// Of the fraction in lowest terms.
    pub fn denominator(&self) -> u128 {
        self.denominator
    }

    /// The nearest floating point number: for error bars, never for noise.
    pub fn to_f64(&self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// sigma, for error bars: the standard deviation of a sample is at most this.
    pub fn sd(&self) -> f64 {
        self.to_f64().sqrt()
    }

    /// floor(sigma), exactly: floor(sqrt(p/q)) = isqrt(floor(p/q)).
    pub(super) fn sigma_floor(&self) -> u64 {
        u64::try_from((self.numerator / self.denominator).isqrt()).unwrap_or(u64::MAX)
    }
}

fn greatest_common_divisor(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fractions_are_in_lowest_terms_and_within_limits() {
        let variance = Variance::new(6, 8).unwrap();
        assert_eq!((variance.numerator(), variance.denominator()), (3, 4));
        assert_eq!(variance.to_f64(), 0.75);
        assert_eq!(Variance::new(9_999, 100).unwrap().sigma_floor(), 9);
        assert_eq!(Variance::new(1 << 80, 1).unwrap().sigma_floor(), 1 << 40);
        assert!(Variance::new(VARIANCE_MAX, 1).is_ok());
        for (numerator, denominator) in
            [(0, 1), (1, 0), (VARIANCE_MAX + 1, 1), (2 * VARIANCE_MAX + 1, 2), (u128::MAX, 1)]
        {
            assert_eq!(Variance::new(numerator, denominator), Err(NoiseError::Variance));
        }
    }
}

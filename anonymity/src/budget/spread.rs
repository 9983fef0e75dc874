//! How far a released number may lie from the bounded total: for error bars.
//!
//! Post-processing of public parameters, so floating point is harmless here. It describes the noise alone; what
//! clamping and the limit on keys took away is not in it.

use crate::noise::Variance;

/// The upper 2.5 % point of the standard normal distribution: half the width of a 95 % interval, in standard deviations.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// The uncertainty of a sum of independently noised integers, times a factor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    variance: f64,
    /// What one step of the noised integer means; intervals are widened to whole steps.
    step: f64,
}

impl Spread {
    /// Of a number without noise.
    pub fn none() -> Spread {
        Spread::default()
    }

    /// Of one integer with noise of this variance.
    pub fn of(variance: Variance) -> Spread {
        Spread { variance: variance.to_f64(), step: 1.0 }
    }

    /// Of the sum or the difference of two numbers with independent noise.
    #[must_use]
    pub fn plus(self, other: Spread) -> Spread {
        Spread { variance: self.variance + other.variance, step: self.step.max(other.step) }
    }

    /// Of the number times `factor` (fixed point to units, for example).
    #[must_use]
    pub fn scaled(self, factor: f64) -> Spread {
        Spread { variance: self.variance * factor * factor, step: self.step * factor.abs() }
    }

    /// In squared units of the number.
    pub fn variance(self) -> f64 {
        self.variance
    }

    /// Standard deviation, in units of the number (an upper bound of it).
    pub fn sd(self) -> f64 {
        self.variance.sqrt()
    }

    /// An interval around `estimate` that holds the bounded total with a probability of at least 95 %.
    ///
    /// The half width is 1.96 sd, rounded up to whole steps: Pr[X >= w + 1] <= Pr[N >= w] for one discrete Gaussian
    /// (Canonne, Kamath, Steinke 2020, section 3).
    pub fn interval_95(self, estimate: f64) -> (f64, f64) {
        let half = if self.step > 0.0 { (Z_95 * self.sd() / self.step).ceil() * self.step } else { 0.0 };
        (estimate - half, estimate + half)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::noise::{DiscreteGaussian, testing::SeededEntropy};

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        for (p, q, days) in [(1u128, 25u128, 1u32), (1, 4, 1), (1, 1, 3), (250, 1, 1), (250, 1, 7)] {
            let variance = Variance::new(p, q).unwrap();
            let (gaussian, mut entropy) = (DiscreteGaussian::new(variance), SeededEntropy::new(12));
            let spread = (0..days).fold(Spread::none(), |sum, _| sum.plus(Spread::of(variance)));
            let trials = 10_000;
            let inside = (0..trials)
                .filter(|_| {
                    let noise: i64 = (0..days).map(|_| gaussian.sample(&mut entropy).unwrap()).sum();
                    let (low, high) = spread.interval_95(1000.0 + noise as f64);
                    low <= 1000.0 && 1000.0 <= high
                })
                .count();
            assert!(inside >= 9_400, "{p}/{q} over {days} days: {inside}");
        }
    }

    #[test]
    fn spreads_add_and_scale() {
        let day = Spread::of(Variance::new(9, 1).unwrap());
        let week = (1..7).fold(day, |sum, _| sum.plus(day));
        assert!((week.sd() - 63.0_f64.sqrt()).abs() < 1e-12);
        assert!((week.scaled(0.001).sd() - 0.001 * week.sd()).abs() < 1e-15);
        assert_eq!(day.interval_95(10.0), (4.0, 16.0));
        assert_eq!(Spread::none().interval_95(5.0), (5.0, 5.0));
        assert_eq!(Spread::none().sd(), 0.0);
    }
}

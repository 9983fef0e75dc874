//! From a sensitivity and a share of rho to the variance of the noise, and to the threshold of private keys.
//!
//! - Gaussian mechanism: noise of parameter sigma^2 on a vector of L2 sensitivity D is (D^2 / 2 sigma^2)-zCDP (Bun,
//!   Steinke 2016, Proposition 1.6; discrete: Canonne, Kamath, Steinke 2020, section 2). So sigma^2 = D^2 / (2 rho).
//! - Threshold: for an integer m, Pr[X >= m] <= Pr[N(0, sigma^2) >= m - 1] (there, section 3). A key with k_min
//!   subjects, the fewest that may be shown, passes T = k_min + ceil(sigma z) + 1 with probability at most
//!   Pr[N >= ceil(sigma z)] <= delta / L0, for z the upper quantile of delta / L0; a subject touches L0 keys.
//!
//! Not here: D^2 of a bounded aggregate (`bound::Limits`).

use super::{BudgetError, Rho};
use crate::noise::Variance;

const NANO: u128 = 1_000_000_000;

/// L2 sensitivity squared of at most `l0` cells that change by at most `linf` each: l0 * linf^2.
pub fn squared_sensitivity(l0: u32, linf: u64) -> Result<u128, BudgetError> {
    let linf = u128::from(linf);
    linf.checked_mul(linf).and_then(|square| square.checked_mul(u128::from(l0))).ok_or(BudgetError::Overflow)
}

/// sigma^2 = `squared_sensitivity` / (2 `share`), exactly: never less noise than is charged for.
pub fn variance(squared_sensitivity: u128, share: Rho) -> Result<Variance, BudgetError> {
    if share == Rho::ZERO {
        return Err(BudgetError::ShareTooSmall);
    }
    let numerator = squared_sensitivity.checked_mul(NANO / 2).ok_or(BudgetError::Sensitivity)?;
    Variance::new(numerator, u128::from(share.nano())).map_err(|_| BudgetError::Sensitivity)
}

/// The noisy number of subjects that a private key must reach, beside `k_min` true ones, to be shown.
///
/// `subjects_variance` is that of the noise on the number of subjects, `delta` the probability allowed per query with
/// which a subject's presence shows in a key's appearance, `l0` the number of keys a subject can touch.
pub fn threshold(k_min: u32, subjects_variance: Variance, delta: f64, l0: u32) -> Result<i64, BudgetError> {
    if l0 == 0 {
        return Err(BudgetError::Sensitivity);
    }
    let z = normal_upper_quantile(delta / f64::from(l0))?;
    // At most 2^52 * 39, and z * sd is rounded by less than the 1e-12 that z was raised by.
    let margin = (subjects_variance.sd() * z).ceil() as i64;
    Ok(i64::from(k_min).saturating_add(margin).saturating_add(1))
}

/// A z with Pr[N(0, 1) > z] <= p, for 0 < p <= 1/2: the quantile, raised by 1e-12 of itself.
///
/// M. Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", Applied Statistics 37 (1988),
/// routine PPND16: relative error about 1e-16.
pub fn normal_upper_quantile(p: f64) -> Result<f64, BudgetError> {
    if !(f64::MIN_POSITIVE..=0.5).contains(&p) {
        return Err(BudgetError::Probability);
    }
    let centred = 0.5 - p;
    let z = if centred <= 0.425 {
        let r = 0.180625 - centred * centred;
        centred * polynomial(&CENTRE_NUMERATOR, r) / polynomial(&CENTRE_DENOMINATOR, r)
    } else {
        let r = (-p.ln()).sqrt();
        if r <= 5.0 {
            polynomial(&MIDDLE_NUMERATOR, r - 1.6) / polynomial(&MIDDLE_DENOMINATOR, r - 1.6)
        } else {
            polynomial(&TAIL_NUMERATOR, r - 5.0) / polynomial(&TAIL_DENOMINATOR, r - 5.0)
        }
    };
    Ok(z * (1.0 + 1e-12))
}

/// Coefficients from the constant term up.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

const CENTRE_NUMERATOR: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRE_DENOMINATOR: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_66e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_854e3,
];
const MIDDLE_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const TAIL_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const TAIL_DENOMINATOR: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;
    use crate::budget::Precision;

    #[test]
    fn sigmas_are_those_that_are_promised() {
        for (precision, sigma) in [(Precision::Low, 31.6), (Precision::Normal, 15.8), (Precision::High, 7.1)]
        {
            let found = variance(squared_sensitivity(1, 1).unwrap(), precision.rho()).unwrap();
            assert!((found.sd() - sigma).abs() < 0.05, "{precision:?}: {}", found.sd());
        }
        let third = variance(squared_sensitivity(3, 7).unwrap(), Rho::from_nano(333_333_331)).unwrap();
        assert_eq!((third.numerator(), third.denominator()), (3 * 49 * 500_000_000, 333_333_331));
    }

    proptest! {
        #[test]
        fn noise_pays_the_whole_charge(l0 in 1u32..1000, linf in 1u64..1 << 30, nano in 1_000u64..) {
            let square = squared_sensitivity(l0, linf).unwrap();
            let found = variance(square, Rho::from_nano(nano)).unwrap();
            // square / (2 sigma^2) <= rho, in integers: square * q * 1e9 <= 2 * rho_nano * p.
            let left = num_bigint::BigUint::from(square) * found.denominator() * NANO;
            prop_assert!(left <= num_bigint::BigUint::from(found.numerator()) * nano * 2u32);
        }
    }

    #[test]
    fn what_cannot_be_noised_is_refused() {
        assert_eq!(variance(0, Rho::from_nano(1)), Err(BudgetError::Sensitivity));
        assert_eq!(variance(1, Rho::ZERO), Err(BudgetError::ShareTooSmall));
        assert_eq!(variance(u128::MAX, Rho::from_nano(1)), Err(BudgetError::Sensitivity));
        assert_eq!(squared_sensitivity(2, u64::MAX), Err(BudgetError::Overflow));
    }

    #[test]
    fn quantiles_are_right_and_on_the_careful_side() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let mut p = 0.499;
        while p > 1e-300 {
            let z = normal_upper_quantile(p).unwrap();
            let tail = normal.sf(z);
            assert!(tail <= p * (1.0 + 1e-10), "p {p}: z {z} leaves {tail}");
            assert!((tail / p - 1.0).abs() < 1e-8, "p {p}: z {z} leaves {tail}");
            p *= 0.7;
        }
        // Tables: 95 % two-sided, and five digits of the tail's.
        for (p, z) in [
            (0.025, 1.959_963_984_540),
            (1e-6, 4.753_424_308_823),
            (1e-9, 5.997_807_015_008),
            (1e-12, 7.034_483_825_006),
        ] {
            assert!((normal_upper_quantile(p).unwrap() - z).abs() < 1e-9, "{p}");
        }
        for bad in [0.0, -1.0, 0.51, f64::NAN, f64::INFINITY] {
            assert_eq!(normal_upper_quantile(bad), Err(BudgetError::Probability));
        }
    }

    #[test]
    fn thresholds_hold_against_the_exact_tail() {
        for (p, q, delta, l0) in
            [(1u128, 4u128, 1e-3, 1u32), (1, 1, 1e-6, 3), (250, 1, 1e-6, 1), (250, 1, 1e-8, 10)]
        {
            let spread = Variance::new(p, q).unwrap();
            let passes = threshold(20, spread, delta, l0).unwrap();
            let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * spread.to_f64())).exp();
            let mass: f64 = (-2000..=2000).map(weight).sum();
            let tail: f64 = (passes - 20..=2000).map(weight).sum::<f64>() / mass;
            assert!(tail <= delta / f64::from(l0), "{p}/{q}: {tail}");
            let before: f64 = (passes - 23..=2000).map(weight).sum::<f64>() / mass;
            assert!(before > delta / f64::from(l0), "{p}/{q}: wastes more than two subjects");
        }
        assert_eq!(threshold(20, Variance::new(250, 1).unwrap(), 1e-6, 1), Ok(20 + 76 + 1));
        assert_eq!(threshold(20, Variance::new(1, 1).unwrap(), 1e-6, 0), Err(BudgetError::Sensitivity));
    }
}

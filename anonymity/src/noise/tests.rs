//! The sampler against the exact probability mass, its moments, and entropy that fails or is stuck.
#![allow(clippy::unwrap_used)]

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::super::testing::{ConstantEntropy, FailingEntropy, SeededEntropy};
use super::super::{DiscreteGaussian, NoiseError, OsEntropy, Variance};
use super::Ratio;

/// The p-value of a chi-square test of `samples` against exp(-x^2 / 2 sigma^2), cells with less than 10 expected pooled.
fn p_value(samples: &[i64], sigma2: f64) -> f64 {
    let reach = (sigma2.sqrt() * 12.0).ceil() as i64 + 3;
    let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * sigma2)).exp();
    let mass: f64 = (-reach..=reach).map(weight).sum();
    let mut counts = std::collections::HashMap::new();
    samples.iter().for_each(|x| *counts.entry(*x).or_insert(0u64) += 1);
    let (mut statistic, mut cells, mut pooled_expected, mut pooled_found) = (0.0, 0u32, 0.0, 0.0);
    let mut inside = 0u64;
    for x in -reach..=reach {
        let expected = weight(x) / mass * samples.len() as f64;
        let found = *counts.get(&x).unwrap_or(&0);
        inside += found;
        if expected < 10.0 {
            pooled_expected += expected;
            pooled_found += found as f64;
        } else {
            statistic += (found as f64 - expected).powi(2) / expected;
            cells += 1;
        }
    }
    assert_eq!(inside, samples.len() as u64, "a sample beyond twelve sigma");
    if pooled_expected > 5.0 {
        statistic += (pooled_found - pooled_expected).powi(2) / pooled_expected;
        cells += 1;
    }
    1.0 - ChiSquared::new(f64::from(cells - 1)).unwrap().cdf(statistic)
}

fn draw(variance: Variance, count: usize, seed: u64) -> Vec<i64> {
    let (gaussian, mut entropy) = (DiscreteGaussian::new(variance), SeededEntropy::new(seed));
    (0..count).map(|_| gaussian.sample(&mut entropy).unwrap()).collect()
}

#[test]
fn samples_follow_the_exact_mass() {
    for (seed, (p, q)) in
        [(1, 4), (1, 1), (9, 2), (250, 1), (24_964, 100), (1_000_000_001, 1_000_000)].into_iter().enumerate()
    {
        let variance = Variance::new(p, q).unwrap();
        let value = p_value(&draw(variance, 60_000, seed as u64), variance.to_f64());
        assert!(value > 1e-4, "sigma^2 = {p}/{q}: p-value {value}");
    }
}

#[test]
fn the_test_itself_tells_a_wrong_sigma() {
    let samples = draw(Variance::new(250, 1).unwrap(), 60_000, 7);
    assert!(p_value(&samples, 240.0) < 1e-4);
    let shifted: Vec<i64> = samples.iter().map(|x| x + 1).collect();
    assert!(p_value(&shifted, 250.0) < 1e-4);
}

#[test]
fn large_sigmas_have_their_moments() {
    for (bits, extra) in [(40u32, 0u128), (60, 1), (80, 0), (80, 12_345), (104, 0)] {
        let variance = Variance::new((1u128 << bits) + extra, 1).unwrap();
        let count = 4_000;
        let scaled: Vec<f64> = draw(variance, count, 11).iter().map(|x| *x as f64 / variance.sd()).collect();
        let mean = scaled.iter().sum::<f64>() / count as f64;
        let second = scaled.iter().map(|x| x * x).sum::<f64>() / count as f64;
        let fourth = scaled.iter().map(|x| x.powi(4)).sum::<f64>() / count as f64;
        let positive = scaled.iter().filter(|x| **x > 0.0).count() as f64 / count as f64;
        // Five standard errors of a normal's moments: 1, sqrt 2, sqrt 96, 1/2.
        let error = 5.0 / (count as f64).sqrt();
        assert!(mean.abs() < error, "2^{bits}: mean {mean}");
        assert!((second - 1.0).abs() < 1.4143 * error, "2^{bits}: variance {second}");
        assert!((fourth - 3.0).abs() < 9.798 * error, "2^{bits}: kurtosis {fourth}");
        assert!((positive - 0.5).abs() < 0.5 * error, "2^{bits}: {positive} positive");
    }
}

#[test]
fn both_number_sizes_give_the_same_ratio() {
    for (p, q, y) in [
        (1u128, 4u128, 0u64),
        (1, 4, 9),
        (250, 1, 16),
        (1_000_000_001, 1_000_000, 500),
        (1 << 40, 3, 1 << 22),
    ] {
        let gaussian = DiscreteGaussian::new(Variance::new(p, q).unwrap());
        let (Some(Ratio::Small { n, d }), Ratio::Large { n: n_large, d: d_large }) =
            (gaussian.rejection_small(y), gaussian.rejection_large(y))
        else {
            panic!("{p}/{q} fits 128 bits")
        };
        assert_eq!((n_large, d_large), (n.into(), d.into()));
    }
    let large = DiscreteGaussian::new(Variance::new(1 << 80, 1).unwrap());
    assert!(large.rejection_small(1 << 41).is_none());
}

#[test]
fn the_same_entropy_gives_the_same_samples_and_another_others() {
    let variance = Variance::new(1 << 30, 7).unwrap();
    assert_eq!(draw(variance, 200, 5), draw(variance, 200, 5));
    assert_ne!(draw(variance, 200, 5), draw(variance, 200, 6));
}

#[test]
fn failing_entropy_is_an_error_wherever_it_fails() {
    let gaussian = DiscreteGaussian::new(Variance::new(1000, 3).unwrap());
    let mut whole = SeededEntropy::new(9);
    let expected = gaussian.sample(&mut whole).unwrap();
    for bytes_left in 0..whole.bytes {
        let mut failing = FailingEntropy { inner: SeededEntropy::new(9), bytes_left };
        assert_eq!(gaussian.sample(&mut failing), Err(NoiseError::Entropy));
        let mut failing = FailingEntropy { inner: SeededEntropy::new(9), bytes_left };
        assert_eq!(gaussian.add(17, &mut failing), Err(NoiseError::Entropy));
    }
    let mut enough = FailingEntropy { inner: SeededEntropy::new(9), bytes_left: whole.bytes };
    assert_eq!(gaussian.add(17, &mut enough), Ok(17 + i128::from(expected)));
}

#[test]
fn a_generator_that_repeats_one_byte_never_hangs() {
    let gaussian = DiscreteGaussian::new(Variance::new(1 << 20, 1).unwrap());
    assert_eq!(gaussian.sample(&mut ConstantEntropy(0)), Err(NoiseError::Stuck));
    for byte in 1..=255 {
        let _ends = gaussian.sample(&mut ConstantEntropy(byte));
    }
}

#[test]
fn bytes_per_sample_stay_bounded() {
    for (p, q) in
        [(1u128, 1000u128), (1, 1), (250, 1), (1_000_000_007, 1_000_000), (1 << 80, 1), ((1 << 100) + 1, 3)]
    {
        let (gaussian, mut entropy) =
            (DiscreteGaussian::new(Variance::new(p, q).unwrap()), SeededEntropy::new(3));
        for _ in 0..2_000 {
            gaussian.sample(&mut entropy).unwrap();
        }
        let mean = entropy.bytes as f64 / 2_000.0;
        assert!(mean < 64.0, "{p}/{q}: {mean} bytes a sample");
    }
}

#[test]
fn totals_at_the_edge_are_an_error() {
    let gaussian = DiscreteGaussian::new(Variance::new(1 << 80, 1).unwrap());
    let mut entropy = OsEntropy::new();
    let overflowed =
        (0..100).filter(|_| gaussian.add(i128::MAX, &mut entropy) == Err(NoiseError::Overflow)).count();
    assert!((10..=90).contains(&overflowed));
}

//! The stochastic test of differential privacy, after `StatisticalTestsUtil` of google/differential-privacy: the whole
//! mechanism (bound, total, noise) runs many times on two inputs that differ in one subject; the outputs are put into
//! buckets; over the buckets that speak for one input, its share may exceed e^epsilon times the other's by delta at most.
//!
//! Which buckets speak is decided on one half of the runs and counted on the other, so the count is not biased. The line
//! is drawn half-way between the delta of the claimed sensitivity and that of 1.175 times the sensitivity (the factor
//! that Google's tests use): with 20,000 runs it is 3.9 standard errors or more from both, so one comparison is wrong by
//! chance less than once in 10^4, and never with the seeds given here.

use shoal_anonymity::bound::{Bounder, Clamp, Limits};
use shoal_anonymity::budget::{Rho, variance};
use shoal_anonymity::noise::DiscreteGaussian;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::Seeded;

const RUNS: usize = 20_000;
const BUCKETS: usize = 40;
/// The price: one standard deviation of the noise is one sensitivity.
const RHO_NANO: u64 = 500_000_000;
/// Google's factor: a mechanism that is off by this must be found out.
const FACTOR: f64 = 1.175;

/// What a mechanism claims, and what one subject really does to it.
struct Mechanism {
    /// Keys one subject may touch, and the clamp: what the noise is made for.
    claimed: (u32, u64),
    /// What is really let through.
    real: (u32, u64),
    /// Keys each subject has events in.
    keys: u32,
}

/// Totals of some subjects in `keys` groups with their noise, added up: every run one number.
fn runs(mechanism: &Mechanism, subjects: u8, seed: u64) -> Vec<f64> {
    let limits = |(l0, linf)| Limits::new(l0, vec![Clamp::Count(linf)]).unwrap();
    let (claimed, real) = (limits(mechanism.claimed), limits(mechanism.real));
    let squared = claimed.days_sensitivity(Some(0)).unwrap();
    let noise = DiscreteGaussian::new(variance(squared, Rho::from_nano(RHO_NANO)).unwrap());
    let mut entropy = Seeded::new(seed);
    let total = |entropy: &mut Seeded| -> f64 {
        let mut bounder = Bounder::new(&real, entropy).unwrap();
        for subject in 0..subjects {
            for key in 0..mechanism.keys {
                bounder.take(key.into(), &[1_000]).unwrap();
            }
            bounder
                .close(Some(20_000), Some(20_000), &[subject; 16], &mut |key| u32::try_from(key).ok())
                .unwrap();
        }
        let totals = bounder.finish();
        // Where nothing is left, there is noise too.
        let exact = |key| totals.get(Some(20_000), key).map_or(0, |cell| cell.sums[0]);
        (0..mechanism.keys).map(|key| noise.add(exact(key), entropy).unwrap() as f64).sum()
    };
    let runs = (0..RUNS).map(|_| total(&mut entropy));
    runs.collect()
}

/// Share of runs by bucket.
fn histogram(runs: &[f64], low: f64, width: f64) -> Vec<f64> {
    let mut shares = vec![0.0; BUCKETS];
    for run in runs {
        let bucket = ((run - low) / width).clamp(0.0, (BUCKETS - 1) as f64);
        shares[bucket as usize] += 1.0 / runs.len() as f64;
    }
    shares
}

/// By how much the first exceeds e^epsilon times the second, over the buckets in which it did so on other runs.
fn excess(one: &[f64], other: &[f64], epsilon: f64) -> f64 {
    let all = || one.iter().chain(other).copied();
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    let shares = |runs: &[f64]| histogram(runs, low, (high - low) / BUCKETS as f64);
    let half = RUNS / 2;
    let (seen, seen_other) = (shares(&one[..half]), shares(&other[..half]));
    let (tested, tested_other) = (shares(&one[half..]), shares(&other[half..]));
    let more = |a: f64, b: f64| a - epsilon.exp() * b;
    (0..BUCKETS)
        .filter(|at| more(seen[*at], seen_other[*at]) > 0.0)
        .map(|at| more(tested[at], tested_other[at]))
        .sum()
}

/// The delta at epsilon of a Gaussian whose shift is `shift` standard deviations (Balle, Wang 2018, Theorem 8).
fn delta(epsilon: f64, shift: f64) -> f64 {
    let normal = Normal::new(0.0, 1.0).unwrap();
    normal.cdf(shift / 2.0 - epsilon / shift) - epsilon.exp() * normal.cdf(-shift / 2.0 - epsilon / shift)
}

/// Whether the two inputs cannot be told apart better than is paid for, at every epsilon and in both directions.
fn is_accepted(mechanism: &Mechanism, seed: u64) -> bool {
    let (with, without) = (runs(mechanism, 4, seed), runs(mechanism, 3, seed + 1));
    let shift = (2.0 * Rho::from_nano(RHO_NANO).to_f64()).sqrt();
    [0.0, 0.5, 1.0].into_iter().all(|epsilon| {
        let most = (delta(epsilon, shift) + delta(epsilon, FACTOR * shift)) / 2.0;
        excess(&with, &without, epsilon) <= most && excess(&without, &with, epsilon) <= most
    })
}

#[test]
fn a_count_is_as_private_as_it_claims() {
    assert!(is_accepted(&Mechanism { claimed: (1, 40), real: (1, 40), keys: 1 }, 1));
    assert!(is_accepted(&Mechanism { claimed: (8, 3), real: (8, 3), keys: 8 }, 3));
    assert!(
        is_accepted(&Mechanism { claimed: (8, 3), real: (8, 3), keys: 12 }, 5),
        "groups that do not count"
    );
}

#[test]
fn a_count_that_is_off_by_googles_factor_is_found_out() {
    assert!(!is_accepted(&Mechanism { claimed: (1, 40), real: (1, 47), keys: 1 }, 7), "the clamp");
    // sqrt(11 / 8) is 1.173.
    assert!(!is_accepted(&Mechanism { claimed: (8, 3), real: (11, 3), keys: 11 }, 9), "the number of groups");
}

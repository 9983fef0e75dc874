//! Against OpenDP 0.16, whose accounting and samplers are proven on paper and written by others.
//!
//! Not here: OpenDP's generator is not a secure one in this build, so it is an oracle and nothing else.

use std::collections::HashMap;

use opendp::combinators::make_zCDP_to_approxDP;
use opendp::core::Measurement;
use opendp::domains::{AtomDomain, MapDomain};
use opendp::measurements::{make_gaussian, make_gaussian_threshold};
use opendp::measures::{Approximate, ZeroConcentratedDivergence};
use opendp::metrics::{AbsoluteDistance, L0PInfDistance};
use shoal_anonymity::bound::{Clamp, Limits};
use shoal_anonymity::budget::{Precision, Preset, Rho, epsilon, threshold, variance};
use shoal_anonymity::noise::{DiscreteGaussian, Variance};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::Seeded;

type Gaussian = Measurement<AtomDomain<i64>, AbsoluteDistance<i64>, ZeroConcentratedDivergence, i64>;

/// OpenDP's discrete Gaussian on an integer.
fn theirs(sd: f64) -> Gaussian {
    make_gaussian(AtomDomain::<i64>::default(), AbsoluteDistance::<i64>::default(), sd, None).unwrap()
}

fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!((ours / theirs - 1.0).abs() < 1e-6, "{what}: {ours}, and OpenDP has {theirs}");
}

#[test]
fn epsilons_are_those_of_opendp() {
    let presets = [Preset::Strict, Preset::Standard, Preset::Internal].map(Preset::cap);
    let precisions = [Precision::Low, Precision::Normal, Precision::High].map(Precision::rho);
    let others = [1_000_000, 33_000_000, 1_000_000_000, 20_000_000_000].map(Rho::from_nano);
    for rho in presets.into_iter().chain(precisions).chain(others) {
        let profile =
            make_zCDP_to_approxDP(theirs(1.0 / (2.0 * rho.to_f64()).sqrt())).unwrap().map(&1).unwrap();
        for delta in [1e-5, 1e-6, 1e-9] {
            let found = profile.epsilon(delta).unwrap();
            assert_close(epsilon(rho, delta).unwrap(), found, &format!("epsilon of rho {rho} at {delta}"));
        }
    }
}

#[test]
fn opendp_charges_our_noise_with_the_price_we_ask() {
    for (linf, l0) in [(1, 1), (50, 1), (3, 8), (1_800_000, 24)] {
        let limits = Limits::new(l0, vec![Clamp::Count(linf)]).unwrap();
        let squared = limits.days_sensitivity(Some(0)).unwrap();
        for rho in [Precision::Low, Precision::Normal, Precision::High].map(Precision::rho) {
            let noise = variance(squared, rho).unwrap();
            // In one dimension: a change of linf in each of l0 cells is as one change of linf * sqrt(l0).
            let charged = theirs(noise.sd()).map(&i64::try_from(linf).unwrap()).unwrap();
            assert_close(rho.to_f64(), charged * f64::from(l0), &format!("{linf} in each of {l0} cells"));
        }
    }
}

#[test]
fn thresholds_hide_a_key_as_often_as_opendp_asks() {
    for (p, q, delta, l0) in
        [(250_u128, 1_u128, 1e-8, 1_u32), (500, 1, 1e-8, 8), (50, 1, 1e-6, 3), (4_000, 3, 1e-6, 24)]
    {
        let spread = Variance::new(p, q).unwrap();
        let k_min = 20;
        // A group that is shown from `passes` on and must have k_min subjects: above k_min - 1, the largest number that is
        // never shown, it is OpenDP's key that is not there without one subject.
        let passes = threshold(k_min, spread, delta, l0).unwrap() - i64::from(k_min);
        let delta_of = |passes: i64| -> f64 {
            let keys = MapDomain::new(AtomDomain::<i32>::default(), AtomDomain::<i64>::default());
            let metric = L0PInfDistance(AbsoluteDistance::<i64>::default());
            let release = make_gaussian_threshold::<_, _, Approximate<ZeroConcentratedDivergence>>(
                keys,
                metric,
                spread.sd(),
                passes,
                None,
            );
            release.unwrap().map(&(l0, i64::from(l0), 1)).unwrap().1
        };
        // OpenDP rounds the tail up in 32 bits: to some 10^-6 of itself.
        assert!(delta_of(passes) <= delta * (1.0 + 1e-5), "{p}/{q}: {}", delta_of(passes));
        assert!(delta_of(passes - 1) > delta * (1.0 - 1e-5), "{p}/{q}: one lower would do");
    }
}

/// p-value of a chi-square test against exp(-x^2 / 2 sigma^2); cells with fewer than 10 expected are pooled.
fn p_value(samples: &[i64], sigma2: f64) -> f64 {
    let reach = (sigma2.sqrt() * 12.0).ceil() as i64 + 3;
    let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * sigma2)).exp();
    let mass: f64 = (-reach..=reach).map(weight).sum();
    let mut found: HashMap<i64, f64> = HashMap::new();
    samples.iter().for_each(|x| *found.entry(*x).or_default() += 1.0);
    let (mut statistic, mut cells) = (0.0, 0_u32);
    let mut rest = (0.0, samples.len() as f64);
    let mut add = |expected: f64, found: f64| {
        statistic += (found - expected).powi(2) / expected;
        cells += 1;
    };
    for x in -reach..=reach {
        let expected = weight(x) / mass * samples.len() as f64;
        if expected >= 10.0 {
            let found = found.get(&x).copied().unwrap_or(0.0);
            add(expected, found);
            rest.1 -= found;
        } else {
            rest.0 += expected;
        }
    }
    add(rest.0.max(1e-9), rest.1);
    1.0 - ChiSquared::new(f64::from(cells - 1)).unwrap().cdf(statistic)
}

#[test]
fn our_samples_and_those_of_opendp_have_one_exact_distribution() {
    for (seed, (p, q)) in [(50_u128, 1_u128), (9, 2), (250, 1)].into_iter().enumerate() {
        let variance = Variance::new(p, q).unwrap();
        let (ours, mut entropy) = (DiscreteGaussian::new(variance), Seeded::new(seed as u64));
        let samples: Vec<i64> = (0..40_000).map(|_| ours.sample(&mut entropy).unwrap()).collect();
        let value = p_value(&samples, variance.to_f64());
        assert!(value > 1e-4, "{p}/{q}: {value}");
        let theirs = theirs(variance.sd());
        let samples: Vec<i64> = (0..4_000).map(|_| theirs.invoke(&0).unwrap()).collect();
        let value = p_value(&samples, variance.to_f64());
        assert!(value > 1e-9, "OpenDP's own, {p}/{q}: {value}");
        // The same test tells a sigma that is a tenth too small.
        let wrong = DiscreteGaussian::new(Variance::new(p * 81, q * 100).unwrap());
        let samples: Vec<i64> = (0..40_000).map(|_| wrong.sample(&mut entropy).unwrap()).collect();
        assert!(p_value(&samples, variance.to_f64()) < 1e-9, "{p}/{q}");
    }
}

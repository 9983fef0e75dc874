//! Coverage and utility of released quantiles, on simulated values.
#![allow(clippy::unwrap_used)]

use super::tests::log_grid;
use super::*;
use crate::budget::{Rho, variance};
use crate::noise::testing::SeededEntropy;
use crate::noise::{DiscreteGaussian, Entropy, Variance};

/// Numbers of a distribution with a long tail: sums of uniform bytes, exponentiated (near to a log-normal).
fn values(count: usize, entropy: &mut SeededEntropy) -> Vec<i64> {
    let mut bytes = vec![0_u8; 12 * count];
    entropy.fill(&mut bytes).unwrap();
    let mut values: Vec<i64> = bytes
        .chunks(12)
        .map(|chunk| {
            let sum: f64 = chunk.iter().map(|byte| (f64::from(*byte) + 0.5) / 256.0).sum();
            (6.9 + 1.2 * (sum - 6.0)).exp().round().clamp(1.0, 1e7) as i64
        })
        .collect();
    values.sort_unstable();
    values
}

fn leaf_counts(grid: &Grid, values: &[i64]) -> LeafCounts {
    let mut counts = LeafCounts::new(grid);
    values.iter().for_each(|value| counts.add(0, grid.leaf(*value), 1));
    counts
}

fn noisy(exact: &[i128], noise: &DiscreteGaussian, entropy: &mut SeededEntropy) -> Vec<i128> {
    exact.iter().map(|node| noise.add(*node, entropy).unwrap()).collect()
}

/// How often the interval holds the quantile of the values on the grid; how often value +- 1.96 sd does.
fn coverage(values: &[i64], noise: &DiscreteGaussian, trials: u32, millionths: u32) -> (f64, f64) {
    let (grid, mut entropy) = (log_grid(), SeededEntropy::new(u64::from(millionths)));
    let exact = leaf_counts(&grid, values).nodes(0);
    let truth = Distribution::new(&grid, &exact, 0.0).unwrap().quantile(millionths).value;
    let (mut inside, mut around) = (0, 0);
    for _ in 0..trials {
        let nodes = noisy(&exact, noise, &mut entropy);
        let found = Distribution::new(&grid, &nodes, noise.variance().to_f64()).unwrap();
        let found = found.quantile(millionths);
        assert!(found.low <= found.value && found.value <= found.high);
        inside += u32::from(found.low <= truth && truth <= found.high);
        around += u32::from((found.value - truth).abs() <= 1.96 * found.sd());
    }
    (f64::from(inside) / f64::from(trials), f64::from(around) / f64::from(trials))
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let trials = 1_000;
    for (count, sd) in [(100_000, 63), (10_000, 63)] {
        let values = values(count, &mut SeededEntropy::new(1));
        let noise = DiscreteGaussian::new(Variance::new(sd * sd, 1).unwrap());
        for millionths in [250_000, 500_000, 950_000] {
            let (inside, around) = coverage(&values, &noise, trials, millionths);
            println!("{count} values, sd {sd}, {millionths}: {inside} inside, {around} around");
            // 95 %, with a standard error of 0.7 % in 1 000 trials.
            assert!((0.93..=0.97).contains(&inside), "{count}, {sd}, {millionths}: {inside}");
            assert!((0.92..=0.98).contains(&around), "{count}, {sd}, {millionths}: {around}");
        }
    }
}

/// Of what everybody has, one value of each counts: the interval is about all values, also where there is hardly any noise.
#[test]
fn intervals_of_a_sample_hold_the_quantile_of_all_values() {
    let (grid, trials) = (log_grid(), 400);
    let mut all = values(200_000, &mut SeededEntropy::new(1));
    let truth = |q: usize, all: &[i64]| all[all.len() / 1_000 * q / 1_000] as f64;
    let truths = [500_000, 950_000].map(|q| (q, truth(q, &all)));
    let mut entropy = SeededEntropy::new(5);
    // Ten values of each of 20 000, in no order.
    let mut picks = vec![0; 4 * all.len()];
    entropy.fill(&mut picks).unwrap();
    let picks = picks.as_chunks::<4>().0.iter().map(|pick| u32::from_le_bytes(*pick));
    let mut mixed: Vec<(u32, i64)> = picks.zip(all.drain(..)).collect();
    mixed.sort_unstable();
    for sd in [1, 100] {
        let noise = DiscreteGaussian::new(Variance::new(sd * sd, 1).unwrap());
        let mut inside = [0; 2];
        for _ in 0..trials {
            let mut choice = vec![0; mixed.len() / 10];
            entropy.fill(&mut choice).unwrap();
            let chosen = mixed.chunks(10).zip(&choice).map(|(own, at)| own[usize::from(*at) % 10].1);
            let exact = leaf_counts(&grid, &chosen.collect::<Vec<_>>()).nodes(0);
            let nodes = noisy(&exact, &noise, &mut entropy);
            let found = Distribution::new(&grid, &nodes, noise.variance().to_f64()).unwrap().sampled();
            for ((q, truth), inside) in truths.iter().zip(&mut inside) {
                let found = found.quantile(*q as u32);
                *inside += u32::from(found.low.floor() <= *truth && *truth <= found.high.ceil());
            }
        }
        let shares = inside.map(|inside| f64::from(inside) / f64::from(trials));
        println!("sd {sd}: {shares:?} inside");
        assert!(shares.iter().all(|share| (0.92..=0.99).contains(share)), "sd {sd}: {shares:?}");
    }
}

#[test]
fn intervals_hold_the_truth_when_noise_hides_everything() {
    for count in [0, 30, 1_000] {
        let values = values(count, &mut SeededEntropy::new(1));
        let noise = DiscreteGaussian::new(Variance::new(200 * 200, 1).unwrap());
        let (inside, _) = coverage(&values, &noise, 200, 500_000);
        assert!(inside >= 0.92, "{count}: {inside}");
    }
}

/// Root of the mean squared relative error, against the values themselves: the grid's error is in it.
fn relative_error(values: &[i64], squared_sensitivity: u128, millionths: u32, trials: u32) -> f64 {
    let (grid, mut entropy) = (log_grid(), SeededEntropy::new(3));
    let variance = variance(squared_sensitivity, Rho::from_nano(2_000_000)).unwrap();
    let noise = DiscreteGaussian::new(variance);
    let exact = leaf_counts(&grid, values).nodes(0);
    let truth = values[values.len() / 1_000 * millionths as usize / 1_000] as f64;
    let errors = (0..trials).map(|_| {
        let nodes = noisy(&exact, &noise, &mut entropy);
        let found = Distribution::new(&grid, &nodes, variance.to_f64()).unwrap();
        (found.quantile(millionths).value / truth - 1.0).powi(2)
    });
    (errors.sum::<f64>() / f64::from(trials)).sqrt()
}

#[test]
fn quantiles_are_useful() {
    let grid = log_grid();
    for (count, millionths, error_max) in [
        (1_000_000, 500_000, 0.005),
        (1_000_000, 950_000, 0.01),
        (10_000, 500_000, 0.03),
        (10_000, 950_000, 0.08),
    ] {
        let values = values(count, &mut SeededEntropy::new(2));
        let daily = relative_error(&values, grid.days_sensitivity(1).unwrap(), millionths, 50);
        let ranged = relative_error(&values, grid.range_sensitivity(1).unwrap(), millionths, 50);
        println!(
            "{count} values, rho 0.002, {millionths}: relative error {daily:.5} daily, {ranged:.5} ranged"
        );
        assert!(daily < error_max && ranged < 1.5 * error_max, "{count}, {millionths}: {daily}, {ranged}");
    }
}

#[test]
fn sums_of_trees_are_trees() {
    let grid = log_grid();
    let (noise, mut entropy) =
        (DiscreteGaussian::new(Variance::new(2_000, 1).unwrap()), SeededEntropy::new(4));
    let days: Vec<Vec<i64>> = (0..7).map(|_| values(3_000, &mut entropy)).collect();
    let mut sum = vec![0; grid.nodes() as usize];
    for day in &days {
        let nodes = noisy(&leaf_counts(&grid, day).nodes(0), &noise, &mut entropy);
        sum.iter_mut().zip(nodes).for_each(|(sum, node)| *sum += node);
    }
    let all: Vec<i64> = days.concat();
    let exact = leaf_counts(&grid, &all).nodes(0);
    let truth = Distribution::new(&grid, &exact, 0.0).unwrap();
    let found = Distribution::new(&grid, &sum, 7.0 * 2_000.0).unwrap();
    assert!((found.total() - 21_000.0).abs() < 1_000.0, "{}", found.total());
    let (truth, found) = (truth.quantile(500_000), found.quantile(500_000));
    assert!(truth.sd() < 1e-9 * truth.value);
    assert!(found.low < truth.value && truth.value < found.high && found.sd() < 0.1 * truth.value);
}

#[test]
fn what_is_no_tree_is_refused() {
    let grid = log_grid();
    for (nodes, variance) in [(509, 1.0), (510, f64::NAN), (510, -1.0), (0, 1.0)] {
        assert_eq!(Distribution::new(&grid, &vec![0; nodes], variance).err(), Some(TreeError::Nodes));
    }
    let extremes = Distribution::new(&grid, &vec![i128::MIN; 510], 1e30).unwrap().quantile(u32::MAX);
    assert!(extremes.value.is_finite() && extremes.sd().is_finite());
}

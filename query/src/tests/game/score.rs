//! The best guess that is a weighted sum and a line.
//!
//! Invariants: weights and line come from the first half of the trials, the accuracy from the second; both worlds count
//! alike.

/// How often the guess is right, given each trial's numbers in both worlds.
pub(super) fn accuracy(with: &[Vec<f64>], without: &[Vec<f64>]) -> f64 {
    let halves = |all: &[Vec<f64>]| (all[..all.len() / 2].to_vec(), all[all.len() / 2..].to_vec());
    let ((learn_with, test_with), (learn_without, test_without)) = (halves(with), halves(without));
    let weights = weights(&learn_with, &learn_without);
    let sums = |all: &[Vec<f64>]| -> Vec<f64> { all.iter().map(|numbers| sum(&weights, numbers)).collect() };
    let line = line(&sums(&learn_with), &sums(&learn_without));
    let above = |all: &[Vec<f64>]| share(&sums(all), line);
    (above(&test_with) + 1.0 - above(&test_without)) / 2.0
}

fn share(sums: &[f64], line: f64) -> f64 {
    sums.iter().filter(|sum| **sum > line).count() as f64 / sums.len() as f64
}

fn sum(weights: &[f64], numbers: &[f64]) -> f64 {
    weights.iter().zip(numbers).map(|(weight, number)| weight * number).sum()
}

fn mean(all: &[Vec<f64>], at: usize) -> f64 {
    all.iter().map(|numbers| numbers[at]).sum::<f64>() / all.len() as f64
}

/// Of each number, the change of its mean by its variance: optimal when numbers are independent and normal.
fn weights(with: &[Vec<f64>], without: &[Vec<f64>]) -> Vec<f64> {
    let spread = |all: &[Vec<f64>], at: usize, mean: f64| {
        all.iter().map(|numbers| (numbers[at] - mean).powi(2)).sum::<f64>() / all.len() as f64
    };
    let weight = |at: usize| {
        let (a, b) = (mean(with, at), mean(without, at));
        (a - b) / ((spread(with, at, a) + spread(without, at, b)) / 2.0).max(1e-9)
    };
    (0..with[0].len()).map(weight).collect()
}

/// Where most trials are on their world's side.
fn line(with: &[f64], without: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = with.iter().map(|sum| (*sum, true)).collect();
    all.extend(without.iter().map(|sum| (*sum, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Below the first, everything is called `with`.
    let mut right = with.len();
    let (mut best, mut line) = (right, f64::NEG_INFINITY);
    for (at, (sum, is_with)) in all.iter().enumerate() {
        right = if *is_with { right - 1 } else { right + 1 };
        let is_last_of_its_value = all.get(at + 1).is_none_or(|next| next.0 > *sum);
        if is_last_of_its_value && right > best {
            (best, line) = (right, *sum);
        }
    }
    line
}

#[test]
fn a_guess_is_as_good_as_its_numbers() {
    let count = 400;
    let two = |x: f64, y: f64| vec![vec![x, y]; count];
    assert_eq!(accuracy(&two(1.0, 5.0), &two(0.0, 5.0)), 1.0);
    assert_eq!(accuracy(&two(0.0, 5.0), &two(1.0, 5.0)), 1.0, "whichever way it goes");
    assert_eq!(accuracy(&two(1.0, 5.0), &two(1.0, 5.0)), 0.5);
    // Half of the trials tell.
    let half =
        |x: f64| -> Vec<Vec<f64>> { (0..count).map(|i| vec![if i % 2 == 0 { x } else { 0.0 }]).collect() };
    assert_eq!(accuracy(&half(1.0), &half(0.0)), 0.75);
}

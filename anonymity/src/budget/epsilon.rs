//! What rho-zCDP means as (epsilon, delta)-differential privacy.
//!
//! - Simple: epsilon = rho + 2 sqrt(rho ln(1/delta)) (Bun, Steinke 2016, arXiv 1605.02065, Proposition 1.3).
//! - Tight: for every alpha > 1, delta = exp((alpha - 1)(alpha rho - epsilon)) / (alpha - 1) * (1 - 1/alpha)^alpha
//!   (Canonne, Kamath, Steinke 2020, Corollary 13). Solved for epsilon and minimised over alpha; any alpha gives a
//!   valid epsilon, so a search that stops early errs on the careful side.
//!
//! For people and documents only: the accounting is in rho.

use super::{BudgetError, Rho};

/// The textbook bound, an upper bound of `epsilon`.
pub fn epsilon_simple(rho: Rho, delta: f64) -> Result<f64, BudgetError> {
    check(delta)?;
    let rho = rho.to_f64();
    Ok(rho + 2.0 * (rho * -delta.ln()).sqrt())
}

/// The least epsilon that the tight conversion gives at `delta`, rounded up by 1e-9 of itself.
pub fn epsilon(rho: Rho, delta: f64) -> Result<f64, BudgetError> {
    check(delta)?;
    if rho == Rho::ZERO {
        return Ok(0.0);
    }
    let rho = rho.to_f64();
    let at = |log_excess: f64| {
        let excess = log_excess.exp(); // alpha - 1
        let alpha = 1.0 + excess;
        // ln(1 - 1/alpha) = ln(excess) - ln(1 + excess)
        let log_ratio = log_excess - excess.ln_1p();
        alpha * rho + (alpha * log_ratio - delta.ln() - log_excess) / excess
    };
    // A grid over alpha - 1 from 1e-6 to 1e12, then a golden-section search around its best point.
    let steps = 1_000;
    let (low, high) = (1e-6_f64.ln(), 1e12_f64.ln());
    let width = (high - low) / f64::from(steps);
    let best = (0..=steps)
        .map(|step| low + width * f64::from(step))
        .min_by(|a, b| at(*a).total_cmp(&at(*b)))
        .unwrap_or(low);
    let least = golden_section(&at, best - width, best + width);
    Ok((least * (1.0 + 1e-9)).max(0.0))
}

fn golden_section(at: &dyn Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (low, high);
    for _ in 0..80 {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if at(left) < at(right) { high = right } else { low = left }
    }
    at((low + high) / 2.0)
}

fn check(delta: f64) -> Result<(), BudgetError> {
    if (f64::MIN_POSITIVE..1.0).contains(&delta) { Ok(()) } else { Err(BudgetError::Probability) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;
    use crate::budget::Preset;

    #[test]
    fn the_presets_mean_what_the_documents_say() {
        for (preset, expected) in [(Preset::Strict, 2.4), (Preset::Standard, 5.2), (Preset::Internal, 11.7)] {
            let found = epsilon(preset.cap(), 1e-6).unwrap();
            assert!((found - expected).abs() <= 0.05, "{preset:?}: {found}");
        }
    }

    #[test]
    fn tight_lies_between_the_gaussian_mechanism_and_the_simple_bound() {
        // The Gaussian mechanism itself is rho-zCDP; its exact delta (Balle, Wang 2018, arXiv 1805.06530, Theorem 8)
        // at our epsilon must be below delta, and not by orders of magnitude.
        let normal = Normal::new(0.0, 1.0).unwrap();
        for nano in [1_000_000u64, 10_000_000, 125_000_000, 500_000_000, 2_000_000_000, 20_000_000_000] {
            for delta in [1e-3, 1e-6, 1e-9] {
                let rho = Rho::from_nano(nano);
                let (tight, simple) = (epsilon(rho, delta).unwrap(), epsilon_simple(rho, delta).unwrap());
                assert!(tight < simple);
                let ratio = (2.0 * rho.to_f64()).sqrt(); // D / sigma
                let exact = normal.cdf(ratio / 2.0 - tight / ratio)
                    - tight.exp() * normal.cdf(-ratio / 2.0 - tight / ratio);
                assert!(exact <= delta && exact > delta / 20.0, "rho {rho}, delta {delta}: {exact}");
            }
        }
    }

    #[test]
    fn more_budget_or_less_delta_means_more_epsilon() {
        let at = |nano, delta| epsilon(Rho::from_nano(nano), delta).unwrap();
        assert_eq!(at(0, 1e-6), 0.0);
        assert!(at(1, 1e-6) < at(1_000, 1e-6) && at(1_000, 1e-6) < at(1_000_000, 1e-6));
        assert!(at(1_000_000, 1e-6) < at(1_000_000, 1e-7));
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(epsilon(Rho::from_nano(1), bad), Err(BudgetError::Probability));
            assert_eq!(epsilon_simple(Rho::from_nano(1), bad), Err(BudgetError::Probability));
        }
    }
}

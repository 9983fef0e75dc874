//! What an answer costs and what noise that buys.
//!
//! - `rho`: zCDP budgets in nano-rho; precision and presets
//! - `sigma`: from a sensitivity and a share of rho to the exact variance of the noise; the threshold of private keys
//! - `price`: from a wanted standard deviation to the least share of rho
//! - `part`: the identity of what was paid for
//! - `epsilon`: what a rho means as (epsilon, delta)
//! - `spread`: standard deviation and 95 % interval of what was released
//!
//! Invariants: budgets are integers and are never rounded in the analyst's favour; a variance is the exact quotient,
//! so no answer is noised less than it is charged for; what floating point computes (thresholds, epsilon) is rounded
//! to the careful side. Composition: rho adds up (Bun, Steinke 2016, arXiv 1605.02065, Lemma 1.7).
//!
//! Not here: the ledger of what was spent on which block (`shoal-storage`), the sampler (`noise`), sensitivities (`bound`).

mod epsilon;
mod part;
mod price;
mod rho;
mod sigma;
mod spread;

pub use epsilon::{epsilon, epsilon_simple};
pub use part::{PartDigest, part_digest};
pub use price::share_for;
pub use rho::{Precision, Preset, Rho};
pub use sigma::{normal_upper_quantile, squared_sensitivity, threshold, variance};
pub use spread::{Spread, Z_95};

/// Why a price or a noise cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// A sum or product leaves its range.
    #[error("a budget or sensitivity is too large")]
    Overflow,
    /// A budget was to be split among nobody, or by weights that are all 0.
    #[error("a budget must be split among at least one aggregate")]
    NoShares,
    /// A share would be below one nano-rho.
    #[error("the budget is too small to be split among so many aggregates")]
    ShareTooSmall,
    /// A sensitivity of 0, or one that asks for noise beyond sigma 2^52.
    #[error("the bounds of the measure are 0 or too wide to be noised")]
    Sensitivity,
    /// A probability outside 0 < p < 1 (for a quantile: 0 < p <= 1/2).
    #[error("a probability is out of range")]
    Probability,
    /// Not a decimal number with at most nine places, or not a known name.
    #[error("not a budget, precision or preset")]
    Parse,
}

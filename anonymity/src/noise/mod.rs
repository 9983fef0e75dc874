//! Exact discrete Gaussian noise: the only randomness that stands between a true total and a released one.
//!
//! - `entropy`: where random bytes come from; a failure is an error, never a weaker source
//! - `variance`: sigma^2 as an exact rational
//! - `bernoulli`: coins of rational and exponential bias, without floating point
//! - `gaussian`: the sampler
//!
//! Source: C. Canonne, G. Kamath, T. Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020
//! (arXiv 2004.00010), Algorithms 1, 2 and 3.
//!
//! Invariants: integers and rationals only, so that the distribution is exactly the one the proof is about (floating
//! point noise leaks through its low bits); fresh bytes for every sample; no path returns a total without noise.
//! The time of a sample depends on the random bytes, which is why answers leave on a time grid (`shoal-query`).
//!
//! Not here: how large sigma must be (`budget`), what is noised (`bound`).

mod bernoulli;
mod entropy;
mod gaussian;
mod variance;

#[cfg(test)]
pub(crate) use entropy::testing;
pub use entropy::{Entropy, OsEntropy};
pub use gaussian::DiscreteGaussian;
pub use variance::Variance;

/// Why there is no noise, and so no release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// The operating system gave no random bytes.
    #[error("the operating system's random generator failed")]
    Entropy,
    /// The random bytes cannot be random: an event of probability below 2^-1000 happened.
    #[error("the random generator is stuck")]
    Stuck,
    /// Zero, not a fraction, or beyond 2^104.
    #[error("a variance must be a fraction above 0 and at most 2^104")]
    Variance,
    /// A total plus its noise leaves 128 bits. Totals from `bound` cannot do this.
    #[error("a total is too large to be noised")]
    Overflow,
}

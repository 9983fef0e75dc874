//! How many, without telling who: noise, contribution bounds, budget arithmetic and the tree of quantiles.
//!
//! Pure: the only thing taken from the system is its random generator (`noise::OsEntropy`), and that behind a trait.
//!
//! - `noise`: exact discrete Gaussian
//! - `choice`: which groups and values of one unit are kept, when there are too many
//! - `bound`: what one subject's day contributes, at the most
//! - `tree`: quantiles: a tree of counts over a measure's grid, and what its noisy nodes tell
//! - `budget`: rho, precision, sigma, thresholds, presets
//!
//! Not here: who is meant (`shoal-privacy`), what may be asked (`shoal-language`), what has been spent (`shoal-storage`).

pub mod bound;
pub mod budget;
mod choice;
pub mod noise;
pub mod tree;

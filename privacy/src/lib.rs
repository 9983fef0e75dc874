//! Everything that protects a person: keyring, pseudonym, consent, scrub, generalise, noise, bound, budget.
//!
//! Pure but for the key file. Secrets and pseudonyms have no `Debug` and no `Display`.
//!
//! - `keyring`: the key file, and one derived key for each purpose
//! - `pseudonym`: identifiers become 128-bit keyed digests
//! - `consent`: may this event be kept? the three ways of consent
//! - `scrub`: free text loses what identifies
//! - `secret`: hashes of access keys
//! - `chain`: lines that cannot be changed unseen
//! - `crash_group`: crashes of one cause get one name
//! - `generalise`: coordinates and addresses lose their precision
//! - `noise`: exact discrete Gaussian
//! - `choice`: which groups and values of one unit are kept, when there are too many
//! - `bound`: what one subject's day contributes, at the most
//! - `tree`: quantiles: a tree of counts over a measure's grid, and what its noisy nodes tell
//! - `budget`: rho, precision, sigma, thresholds, presets
//!
//! Not here: where consents are kept (`shoal-storage`, `ledger.rs`), the private query itself (`shoal-query`).

pub mod bound;
pub mod budget;
pub mod chain;
mod choice;
pub mod consent;
pub mod crash_group;
pub mod generalise;
pub mod keyring;
pub mod noise;
pub mod pseudonym;
pub mod scrub;
pub mod secret;
pub mod tree;

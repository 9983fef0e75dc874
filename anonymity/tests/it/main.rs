//! The noise and the accounting against what others have written and published: the OpenDP library, and the hypothesis
//! test that Google's differential privacy library uses on its own mechanisms.
//!
//! | module | question |
//! |---|---|
//! | `oracle` | does OpenDP compute the same epsilon, the same price of a noise, the same threshold, the same distribution? |
//! | `closeness` | can two inputs that differ in one subject be told apart better than the price allows? |
//!
//! All randomness of Shoal is seeded, so a run is a function of the code. OpenDP's own samples are not; what is asked of
//! them fails by chance once in 10^9 runs.
#![allow(clippy::unwrap_used)]

mod closeness;
mod oracle;

use shoal_anonymity::noise::{Entropy, NoiseError};

/// Bytes that follow from a number (a keyed blake3).
pub(crate) struct Seeded(blake3::OutputReader);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
        self.0.fill(out);
        Ok(())
    }
}

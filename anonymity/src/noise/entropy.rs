//! Where random bytes come from.
//!
//! Production has one source, the operating system's generator, read in blocks. Every byte is handed out once and
//! wiped from the block. The seeded source is compiled into this crate's tests only, so that no configuration and no
//! caller can choose predictable noise.

use zeroize::Zeroize;

use super::NoiseError;

/// A source of uniform, independent, unpredictable bytes.
pub trait Entropy {
    /// Fills all of `out`, or fails; after a failure `out` must not be used.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError>;
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
        (**self).fill(out)
    }
}

const BLOCK_BYTES: usize = 4096;

/// The operating system's generator, read a block at a time (one system call for a few hundred samples).
///
/// Has no `Debug` and no `Clone`: a copy would hand out the same noise twice.
pub struct OsEntropy {
    block: Box<[u8; BLOCK_BYTES]>,
    next: usize,
}

impl OsEntropy {
    /// An empty block; the first `fill` reads from the operating system.
    pub fn new() -> OsEntropy {
        OsEntropy { block: Box::new([0; BLOCK_BYTES]), next: BLOCK_BYTES }
    }
}

impl Default for OsEntropy {
    fn default() -> Self {
        OsEntropy::new()
    }
}

impl Drop for OsEntropy {
    fn drop(&mut self) {
        self.block.zeroize();
    }
}

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
        if out.len() > BLOCK_BYTES {
            return getrandom::fill(out).map_err(|_| NoiseError::Entropy);
        }
        if BLOCK_BYTES - self.next < out.len() {
            // Used up until proven full: a failure half way must not leave old bytes to be handed out.
            self.next = BLOCK_BYTES;
            getrandom::fill(self.block.as_mut_slice()).map_err(|_| NoiseError::Entropy)?;
            self.next = 0;
        }
        let fresh = &mut self.block[self.next..self.next + out.len()];
        out.copy_from_slice(fresh);
        fresh.zeroize();
        self.next += out.len();
        Ok(())
    }
}

/// Sources for tests: never compiled into the library that others link.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Entropy, NoiseError};

    /// The output of a keyed blake3: the same seed, the same bytes.
    pub(crate) struct SeededEntropy {
        reader: blake3::OutputReader,
        /// How many bytes were taken.
        pub(crate) bytes: u64,
    }

    impl SeededEntropy {
        pub(crate) fn new(seed: u64) -> SeededEntropy {
            SeededEntropy {
                reader: blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof(),
                bytes: 0,
            }
        }
    }

    impl Entropy for SeededEntropy {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
            self.reader.fill(out);
            self.bytes += out.len() as u64;
            Ok(())
        }
    }

    /// Works for a number of bytes, then fails for good.
    pub(crate) struct FailingEntropy {
        pub(crate) inner: SeededEntropy,
        pub(crate) bytes_left: u64,
    }

    impl Entropy for FailingEntropy {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
            self.bytes_left = self.bytes_left.checked_sub(out.len() as u64).ok_or(NoiseError::Entropy)?;
            self.inner.fill(out)
        }
    }

    /// A broken generator: the same byte for ever.
    pub(crate) struct ConstantEntropy(pub(crate) u8);

    impl Entropy for ConstantEntropy {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
            out.fill(self.0);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_are_handed_out_once_and_wiped() {
        let mut entropy = OsEntropy::new();
        let (mut first, mut second) = ([0u8; 64], [0u8; 64]);
        entropy.fill(&mut first).unwrap();
        entropy.fill(&mut second).unwrap();
        assert_ne!(first, second);
        assert!(entropy.block[..128].iter().all(|byte| *byte == 0));
        assert!(entropy.block[128..].iter().any(|byte| *byte != 0));
    }

    #[test]
    fn blocks_are_renewed_and_large_requests_are_filled() {
        let mut entropy = OsEntropy::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let mut out = [0u8; 17];
            entropy.fill(&mut out).unwrap();
            assert!(seen.insert(out));
        }
        let mut large = vec![0u8; 3 * BLOCK_BYTES];
        entropy.fill(&mut large).unwrap();
        assert!(large.chunks(32).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }
}

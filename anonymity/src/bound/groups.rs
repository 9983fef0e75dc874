//! Groups that are known by their values only, as 64 bits: keyed, so that nobody can make two of them collide on purpose.
//!
//! Invariants: equal values give equal numbers under one key; numbers give different ones for certain, texts and
//! combinations with a chance of 2^-64 for each pair not to. What collides counts as one group, within the same bounds.

use zeroize::Zeroizing;

use crate::choice::mixed;
use crate::noise::{Entropy, NoiseError};

/// The key of one run's groups. No `Debug`.
pub struct GroupKey {
    texts: Zeroizing<[u8; 32]>,
    words: Zeroizing<[u64; 2]>,
}

impl GroupKey {
    /// A fresh one.
    ///
    /// # Errors
    /// [`NoiseError`] when there are no random bytes.
    pub fn draw<E: Entropy + ?Sized>(entropy: &mut E) -> Result<GroupKey, NoiseError> {
        let mut texts = Zeroizing::new([0; 32]);
        entropy.fill(texts.as_mut_slice())?;
        let mut words = Zeroizing::new([0; 2]);
        for word in words.iter_mut() {
            let mut bytes = Zeroizing::new([0; 8]);
            entropy.fill(bytes.as_mut_slice())?;
            *word = u64::from_le_bytes(*bytes);
        }
        Ok(GroupKey { texts, words })
    }

    /// Of a text.
    pub fn text(&self, text: &str) -> u64 {
        let digest = blake3::keyed_hash(&self.texts, text.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Of anything that 64 bits say.
    pub fn word(&self, word: u64) -> u64 {
        mixed(word ^ self.words[0])
    }

    /// Of a group and one key more.
    pub fn both(&self, group: u64, key: u64) -> u64 {
        mixed(mixed(group ^ self.words[0]).wrapping_add(key) ^ self.words[1])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::noise::testing::SeededEntropy;

    #[test]
    fn groups_are_apart_and_every_key_has_its_own() {
        let key = |seed| GroupKey::draw(&mut SeededEntropy::new(seed)).unwrap();
        let (one, other) = (key(1), key(2));
        let mut seen = BTreeSet::new();
        for a in 0..200_u64 {
            assert!(seen.insert(one.word(a)) && seen.insert(other.word(a)));
            assert!(seen.insert(one.text(&a.to_string())) && seen.insert(other.text(&a.to_string())));
            for b in 0..200_u64 {
                assert!(seen.insert(one.both(a, b)) && seen.insert(one.both(a, u64::MAX - b)));
            }
        }
        assert_eq!(one.text("de"), key(1).text("de"));
    }
}

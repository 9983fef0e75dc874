//! Hashes of access keys' secrets. A secret has 192 random bits, so one keyed hash is enough; comparison is constant time.
//!
//! Not here: which keys there are and what they may do (`shoal-server`, `access_keys.rs`).

use subtle::ConstantTimeEq;

const CONTEXT: &str = "Shoal 2026-11-22 hash of the secret of an access key, version 1";

/// The hash of a secret. Cannot be turned back; no `Debug`, so that no log line ever shows one.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> SecretHash {
        SecretHash(blake3::derive_key(CONTEXT, secret.as_bytes()))
    }

    /// Whether this is the secret; takes the same time for every wrong one of the same length.
    pub fn verify(&self, secret: &str) -> bool {
        self.0.ct_eq(&SecretHash::of(secret).0).into()
    }

    /// 64 hexadecimal digits, for the file of keys.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// From [`Self::to_hex`].
    pub fn from_hex(text: &str) -> Option<SecretHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(SecretHash(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_secret_itself_is_the_secret() {
        let hash = SecretHash::from_hex(&SecretHash::of("a secret").to_hex()).unwrap();
        assert!(hash.verify("a secret"));
        assert!(!hash.verify("a secreT"));
        assert!(!hash.verify(""));
        assert!(!hash.to_hex().contains(&hex::encode("a secret")));
        assert!(SecretHash::from_hex("zz").is_none());
        assert!(SecretHash::from_hex(&"ab".repeat(33)).is_none());
    }
}

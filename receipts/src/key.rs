//! Who signs: Ed25519 (RFC 8032) from a seed, and the public key that anyone verifies with.
//!
//! Invariants: a [`Signer`] has no `Debug`, and its key is in no error and zeroised when it is dropped; a signature is accepted only
//! by the strict rules (no key or point of small order, no second form of a number), so that nobody makes a second signature of one.
//! Not here: where the seed comes from, which is the caller's.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::hash::{Hash, Tag, bytes_of};

/// What a signed entry begins with, so that a signature of one is none of anything else.
const SIGNED: &[u8] = b"Shoal receipt entry 1\n";

/// The first 8 bytes of a hash of a public key. It tells keys apart, and proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<KeyId, D::Error> {
        let text = String::deserialize(from)?;
        bytes_of(&text).map(KeyId).ok_or_else(|| D::Error::custom("no 16 lower-case hexadecimal digits"))
    }
}

/// What anyone verifies receipts with. Its text is 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key of this text; none when the text is no key, or a key for which anyone could make signatures.
    pub fn from_text(text: &str) -> Option<PublicKey> {
        let key = VerifyingKey::from_bytes(&bytes_of(text)?).ok()?;
        (!key.is_weak()).then_some(PublicKey(key))
    }

    /// What entries call the key.
    pub fn id(&self) -> KeyId {
        let Hash([a, b, c, d, e, f, g, h, ..]) = Hash::of(Tag::Key, &[self.0.as_bytes()]);
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// Whether this is the key's signature of an entry.
    pub(crate) fn has_signed(&self, body: &str, signature: &[u8; 64]) -> bool {
        let message = [SIGNED, body.as_bytes()].concat();
        self.0.verify_strict(&message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

/// The private key. No `Debug`; zeroised when it is dropped.
pub struct Signer {
    key: SigningKey,
    /// The own public key first, then those of before.
    known: Vec<PublicKey>,
}

impl Signer {
    /// The key of this seed, which must be random and is the private key: the caller keeps it, and zeroises its copy.
    pub fn from_seed(seed: [u8; 32]) -> Signer {
        let seed = zeroize::Zeroizing::new(seed);
        let key = SigningKey::from_bytes(&seed);
        let known = vec![PublicKey(key.verifying_key())];
        Signer { key, known }
    }

    /// The same signer, which goes on with a chain that these keys have signed before it.
    #[must_use]
    pub fn after(mut self, earlier: impl IntoIterator<Item = PublicKey>) -> Signer {
        self.known.extend(earlier);
        self
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// The public key, and those of before.
    pub(crate) fn known(&self) -> &[PublicKey] {
        &self.known
    }

    pub(crate) fn sign(&self, body: &str) -> [u8; 64] {
        self.key.sign(&[SIGNED, body.as_bytes()].concat()).to_bytes()
    }
}

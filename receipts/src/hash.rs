//! SHA-256 (FIPS 180-4), told apart by what is hashed.
//!
//! Invariants: what is hashed for two purposes begins with two different tags, none of which is the beginning of another, so that
//! no hash of one purpose is one of another; the text of a hash is 64 lower-case hexadecimal digits, and no other text is read as one.
//! SHA-256 and not BLAKE3, which the rest of Shoal uses: Python and every other language have it without a package.
//! Not here: what is hashed (`commitment.rs`, `entry.rs`, `tree.rs`, `part.rs`).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

/// What is hashed. Never change a tag: every receipt from before would fail.
#[derive(Clone, Copy)]
pub(crate) enum Tag {
    /// The public key, for its id.
    Key,
    /// A whole line, for the next one.
    Line,
    /// A salt, a name and a value.
    Commitment,
    /// The files that a part of a receipt lists.
    Part,
    /// A file (RFC 6962, section 2.1).
    Leaf,
    /// Two hashes below one (RFC 6962, section 2.1).
    Node,
}

impl Tag {
    fn bytes(self) -> &'static [u8] {
        match self {
            Tag::Key => b"Shoal receipt key 1\n",
            Tag::Line => b"Shoal receipt line 1\n",
            Tag::Commitment => b"Shoal receipt commitment 1\n",
            Tag::Part => b"Shoal receipt part 1\n",
            Tag::Leaf => &[0],
            Tag::Node => &[1],
        }
    }
}

/// 32 bytes of SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// What the first line has in the place of the hash of the one before it.
    pub(crate) const FIRST: Hash = Hash([0; 32]);

    /// The hash of these bytes, one after the other, for this purpose.
    pub(crate) fn of(tag: Tag, parts: &[&[u8]]) -> Hash {
        let mut state = Sha256::new_with_prefix(tag.bytes());
        parts.iter().for_each(|part| state.update(part));
        Hash(state.finalize().into())
    }

    /// The hash of nothing, which is the root of a tree without leaves (RFC 6962, section 2.1).
    pub(crate) fn of_nothing() -> Hash {
        Hash(Sha256::digest([]).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(from)?;
        bytes_of(&text).map(Hash).ok_or_else(|| D::Error::custom("no 64 lower-case hexadecimal digits"))
    }
}

/// The bytes of a text of lower-case hexadecimal digits; none when it is another text.
pub(crate) fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

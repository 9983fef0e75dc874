//! Bytes that nobody reads without a key, and that nobody changes unnoticed.
//!
//! ```text
//! nonce, 24 bytes, random | XChaCha20-Poly1305 of the bytes | tag, 16 bytes       the context is authenticated, and is not there
//! ```
//! XChaCha20-Poly1305 is that of draft-irtf-cfrg-xchacha-03: its nonces are long enough to be random however much one key seals.
//!
//! Invariants: what was sealed in one context cannot be opened in another; nothing of a key is in an error or a `Debug`; keys are
//! zeroised. Not here: from which secret a key is derived (`shoal-privacy`, `keyring`), what is sealed with it.

use std::io;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{Key, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// By how many bytes a sealed text is longer than what is in it.
pub const SEAL_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// How many of them stand before what is in it.
pub const SEAL_BEFORE_BYTES: usize = NONCE_BYTES;

/// Seals and opens what is kept for one purpose. Clones are the same key. No `Debug`; zeroised when dropped.
#[derive(Clone)]
pub struct SealingKey(XChaCha20Poly1305);

/// How files of one kind are kept. Whatever was sealed is read, and so is whatever was written in the clear before. No `Debug`.
#[derive(Clone)]
pub struct Sealing {
    /// The key of the files.
    pub key: SealingKey,
    /// Whether what is written from now on is sealed with it. A file that is sealed stays so in any case.
    pub is_writing: bool,
}

impl SealingKey {
    /// The key of these bytes.
    pub fn new(key: &[u8; KEY_BYTES]) -> SealingKey {
        SealingKey(XChaCha20Poly1305::new(Key::from_slice(key)))
    }

    /// A fresh key.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> io::Result<SealingKey> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        crate::host::fill(&mut key[..])?;
        Ok(SealingKey::new(&key))
    }

    /// Puts the sealed text behind what is in `out`: [`SEAL_BYTES`] more than `bytes` has.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn seal_into(&self, context: &[u8], bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let from = out.len();
        out.reserve(bytes.len() + SEAL_BYTES);
        out.resize(from + NONCE_BYTES, 0);
        out.extend_from_slice(bytes);
        out.resize(from + SEAL_BYTES + bytes.len(), 0);
        self.seal_in_place(context, &mut out[from..])
    }

    /// Seals bytes in their own place: they stand behind the first [`SEAL_BEFORE_BYTES`], and [`SEAL_BYTES`] of the room are more
    /// than they are. What the others hold is written over.
    ///
    /// # Errors
    /// When the operating system has no random numbers, or the room is smaller than [`SEAL_BYTES`].
    pub fn seal_in_place(&self, context: &[u8], room: &mut [u8]) -> io::Result<()> {
        let bytes = room.len().checked_sub(SEAL_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
        let (nonce, rest) = room.split_at_mut(NONCE_BYTES);
        crate::host::fill(nonce)?;
        let (bytes, tag) = rest.split_at_mut(bytes);
        let sealed = self.0.encrypt_in_place_detached(XNonce::from_slice(nonce), context, bytes);
        tag.copy_from_slice(&sealed.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?);
        Ok(())
    }

    /// [`SealingKey::seal_into`] an empty one.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn seal(&self, context: &[u8], bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.seal_into(context, bytes, &mut out)?;
        Ok(out)
    }

    /// What is in a sealed text, decrypted in its own place; none when it is another text, or was sealed with another key or in
    /// another context. Its bytes are then as they were.
    pub fn open_in_place<'s>(&self, context: &[u8], sealed: &'s mut [u8]) -> Option<&'s mut [u8]> {
        let (nonce, rest) = sealed.split_at_mut_checked(NONCE_BYTES)?;
        let (bytes, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        let (nonce, tag) = (XNonce::from_slice(nonce), Tag::from_slice(tag));
        self.0.decrypt_in_place_detached(nonce, context, bytes, tag).ok()?;
        Some(bytes)
    }

    /// What is in a sealed text; none where [`SealingKey::open_in_place`] has none.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let bytes = self.open_in_place(context, &mut sealed)?.len();
        sealed.copy_within(NONCE_BYTES..NONCE_BYTES + bytes, 0);
        sealed.truncate(bytes);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_same_key_and_context_give_the_bytes_back() {
        let (key, other) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let sealed = key.seal(b"de/usage", b"a secret of a day").unwrap();
        assert_eq!(sealed.len(), b"a secret of a day".len() + SEAL_BYTES);
        assert_eq!(&**key.open(b"de/usage", &sealed).unwrap(), b"a secret of a day");
        assert!(key.open(b"de/crash", &sealed).is_none());
        assert!(other.open(b"de/usage", &sealed).is_none());
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, key.seal(b"de/usage", b"a secret of a day").unwrap(), "a nonce is used once");
    }

    /// The example of draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn it_is_the_published_cipher() {
        let key: Vec<u8> = (0x80..0xa0).collect();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let associated = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let text =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                     sunscreen would be it.";
        let key = SealingKey::new(key.as_slice().try_into().unwrap());
        let mut bytes = text.to_vec();
        let sealed = key.0.encrypt_in_place_detached(XNonce::from_slice(&nonce), &associated, &mut bytes);
        assert_eq!(bytes[..4], [0xbd, 0x6d, 0x17, 0x9d]);
        let tag =
            [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49];
        assert_eq!(sealed.unwrap()[..], tag);
    }

    proptest! {
        #[test]
        fn a_bit_that_flips_or_a_byte_that_is_missing_gives_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0..8u32,
        ) {
            let key = SealingKey::generate().unwrap();
            let mut room = [&[7; SEAL_BEFORE_BYTES][..], &bytes, &[7; SEAL_BYTES - SEAL_BEFORE_BYTES]].concat();
            key.seal_in_place(b"context", &mut room).unwrap();
            prop_assert_eq!(&**key.open(b"context", &room).unwrap(), &bytes, "in its own place");
            let sealed = key.seal(b"context", &bytes).unwrap();
            prop_assert_eq!(&**key.open(b"context", &sealed).unwrap(), &bytes);
            let at = at.index(sealed.len());
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(key.open(b"context", &flipped).is_none());
            prop_assert!(key.open(b"context", &sealed[..at]).is_none());
        }
    }
}

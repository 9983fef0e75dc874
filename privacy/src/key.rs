//! What a secret key is in memory. Not here: where keys come from (`keyring`), what is hashed with them (`pseudonym`,
//! `consent`), the secrets of access keys (`secret`).

use zeroize::Zeroizing;

/// Bytes of a root secret and of a derived key.
pub(crate) const SECRET_BYTES: usize = 32;

/// A root secret or a derived key. No `Debug`; zeroised when dropped.
pub(crate) type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// The operating system gave no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random numbers")]
pub struct NoRandomNumbers;

//! The interface to whoever holds a wrapping key.
//!
//! Invariants that every implementation keeps (`conformance` checks them): what was wrapped is unwrapped with the same context alone;
//! bytes that were changed give an error and no secret; an older version of a key unwraps until it is destroyed.
//! Not here: how a wrapped key file is written (`envelope`), which implementation is used (`custodies`).

use zeroize::Zeroizing;

use crate::error::CustodyError;
use crate::key_name::{KeyName, Kind, Wrapped};

/// Whoever holds a wrapping key.
pub trait Custody {
    /// Which implementation it is.
    fn kind(&self) -> Kind;

    /// Wraps a secret with the newest version of the key. `context` says what it is for: it is authenticated, and not kept.
    ///
    /// # Errors
    /// When the custody does not answer, refuses, or has no such key.
    fn wrap(&self, context: &[u8], secret: &[u8]) -> Result<Wrapped, CustodyError>;

    /// Unwraps a secret, with the key that wrapped it.
    ///
    /// # Errors
    /// When the custody does not answer, refuses, has that key no more, or when the bytes or the context are not those of then.
    fn unwrap(&self, context: &[u8], wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, CustodyError>;

    /// Which key wraps now. The key has wrapped and unwrapped a probe when this returns.
    ///
    /// # Errors
    /// As both of the others.
    fn probe(&self) -> Result<KeyName, CustodyError> {
        const PROBE: &[u8] = b"shoal probe of a custody";
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut secret[..]).map_err(|_| CustodyError::NoRandomNumbers)?;
        let wrapped = self.wrap(PROBE, &secret[..])?;
        match self.unwrap(PROBE, &wrapped)?[..] == secret[..] {
            true => Ok(wrapped.key),
            false => Err(CustodyError::not_authentic(self.kind(), &wrapped.key)),
        }
    }
}

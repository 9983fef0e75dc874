//! How a token is reached.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::CustodyError;

/// How to reach a token.
#[derive(Clone, Debug)]
pub struct Pkcs11Settings {
    /// The module of its maker, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label of the key.
    pub key: String,
    /// The file with the user's PIN.
    pub pin_file: PathBuf,
    /// How long one call may take.
    pub timeout: Duration,
}

impl Pkcs11Settings {
    /// Which token it is, for people.
    pub(super) fn place(&self) -> String {
        format!("the token `{}` of {}", self.token, self.module.display())
    }

    /// The error of a call that took too long.
    pub(super) fn away(&self) -> CustodyError {
        let reason = format!("it takes longer than {} ms", self.timeout.as_millis());
        CustodyError::Away { place: self.place(), reason }
    }
}

//! How a token is reached.

use std::path::PathBuf;
use std::time::Duration;

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

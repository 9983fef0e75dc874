//! Custody of the key file: who holds the key that it is wrapped with.
//!
//! The secrets of the key file are encrypted with a random *file key*, and a custody wraps the file key with a key of its own. One
//! trait, [`Custody`], and three implementations, which pass one suite (`conformance`):
//!
//! - `wrapping_file`: wrapping keys in a file beside nothing else, as a secret that a platform mounts
//! - `pkcs11`: an AES key in a token, which it never leaves
//! - `transit`: a key of a service that speaks Vault's transit protocol, as OpenBao does
//!
//! The rest is made of them: `envelope` is the text of a wrapped key file, `custodies` finds the custody that wrapped one, `replacing`
//! puts a file that was wrapped anew in the place of the one of before, `secret_file` reads what opens a custody (a PIN, a token).
//!
//! Invariants: what is unwrapped is in memory that is zeroised; nothing here that holds a secret has `Debug`; no error has a secret, a PIN,
//! a token or what a service answered word for word; every call ends within a time that its settings bound. Every call blocks.
//! Not here: what the key file says (`shoal-privacy`, `keyring.rs`), settings and commands (`shoal-server`).

#[doc(hidden)]
pub mod conformance;
mod custodies;
mod custody;
mod envelope;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod key_name;
mod pkcs11;
mod replacing;
mod secret_file;
mod transit;
mod wrapping_file;

pub use custodies::{Custodies, CustodySettings};
pub use custody::Custody;
pub use envelope::{CONTEXT, Envelope};
pub use error::CustodyError;
pub use key_name::{KeyName, Kind, Wrapped};
pub use pkcs11::{Pkcs11, Pkcs11Settings};
pub use replacing::KeyFilePlace;
pub use transit::{Token, Transit, TransitSettings};
pub use wrapping_file::WrappingFile;

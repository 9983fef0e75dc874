//! Why a custody has not done what it was asked, by what an operator does about it.
//!
//! Invariants: no variant has a secret, a PIN or a token; a reason is a sentence of this crate, or the name of an error code.

use crate::key_name::{KeyName, Kind};

/// Why a custody has not done what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// It does not answer: it was asked as often as its settings allow.
    #[error(
        "{place} does not answer: {reason}. Nothing was changed and nothing is lost: see that it runs and can be reached from here, \
         and try again"
    )]
    Away {
        /// Which custody.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The transit service is sealed.
    #[error("{place} is sealed, so it unwraps nothing: unseal it, and try again")]
    Sealed {
        /// Which custody.
        place: String,
    },
    /// It refuses this client.
    #[error("{place} refuses: {reason}")]
    Denied {
        /// Which custody.
        place: String,
        /// What it refuses.
        reason: String,
    },
    /// It has no such key, or that version of it may not be used any more.
    #[error(
        "{place} has no usable key {key}: {reason}. What was wrapped with it cannot be read until the key is back; if it is \
         gone for good, put back a copy of the key file that was wrapped with another key, or is in the clear"
    )]
    NoKey {
        /// Which custody.
        place: String,
        /// The key.
        key: String,
        /// What is known of it.
        reason: String,
    },
    /// The bytes or the context are not those that were wrapped.
    #[error(
        "{place}: what was wrapped with {key} cannot be unwrapped: it is damaged, or was wrapped by another custody or for something else. \
         Put the key file back from its copy"
    )]
    NotAuthentic {
        /// Which custody.
        place: String,
        /// The key.
        key: String,
    },
    /// Its settings, files or mechanisms will not do.
    #[error("{place} cannot be used: {reason}")]
    Unusable {
        /// Which custody.
        place: String,
        /// Why not.
        reason: String,
    },
    /// A wrapped key file is no such text.
    #[error("it is no wrapped key file: {0}")]
    Form(&'static str),
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers")]
    NoRandomNumbers,
}

impl CustodyError {
    pub(crate) fn not_authentic(place: impl ToString, key: &KeyName) -> CustodyError {
        CustodyError::NotAuthentic { place: place.to_string(), key: key.to_string() }
    }

    pub(crate) fn unusable(place: impl ToString, reason: impl ToString) -> CustodyError {
        CustodyError::Unusable { place: place.to_string(), reason: reason.to_string() }
    }

    /// A kind of custody that is not set up.
    pub(crate) fn not_set(kind: Kind, setting: &str) -> CustodyError {
        CustodyError::unusable(format!("custody `{kind}`"), format!("`{setting}` is not set"))
    }
}

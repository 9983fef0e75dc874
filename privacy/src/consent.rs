//! May this event be kept? Consent is *carried* in the batch, *recorded* before, or *asserted* by the ingest key.
//!
//! - `decision`: the decision about one event, and the table of its cases
//! - `history`: since when and until when a subject takes part, as it was recorded
//! - `in_force`: what is in force now, in words
//! - `record`: what is recorded about a subject, and its bytes
//! - `withdrawal`: what is kept of a withdrawal outside of the data
//!
//! Pure: the time is in the arguments. Not here: where consents are kept (`shoal-storage`, `consents`), `POST /v1/consents`
//! (`shoal-ingest`, `consents.rs`).

mod decision;
mod history;
mod in_force;
mod record;
mod withdrawal;

use shoal_schemas::{IdentifierKind, Programme, Region};

pub use self::{
    decision::{Asserted, Basis, Carried, Claims, Withheld, decide},
    history::{FIRST_GRANT_MS, Grant, History, Interval, Moment, Standing},
    in_force::{ConsentState, InForce, in_force},
    record::{ConsentRecord, UnreadableRecord},
    withdrawal::Withdrawal,
};
use crate::{identifier::Forms, key::Secret, pseudonym::identifier_digest};

/// A subject's digest for consent, suppression and restriction: its own key purpose, never rotated. No `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsentDigest(pub(crate) [u8; 16]);

impl ConsentDigest {
    /// The bytes, for the file of consents.
    pub fn into_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From the bytes in the file of consents.
    pub fn from_bytes(bytes: [u8; 16]) -> ConsentDigest {
        ConsentDigest(bytes)
    }
}

/// The digests of both forms of an identifier. No `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConsentDigests {
    /// Of the canonical form: what is recorded is under it.
    pub canonical: ConsentDigest,
    /// Of the identifier as it was spelled, where that differs: under it is what was recorded before there was a canonical
    /// form.
    pub spelled: Option<ConsentDigest>,
}

/// Makes the digests of one region. No `Debug`.
pub struct ConsentDigester {
    key: Secret,
}

impl ConsentDigester {
    pub(crate) fn new(key: Secret) -> ConsentDigester {
        ConsentDigester { key }
    }

    /// The digest of an identifier as it is spelled, trimmed.
    pub fn digest(&self, kind: IdentifierKind, value: &str) -> ConsentDigest {
        ConsentDigest(identifier_digest(&self.key, kind, value))
    }

    /// The digests under which something may be recorded about an identifier.
    pub fn digests(&self, kind: IdentifierKind, value: &str) -> ConsentDigests {
        let forms = Forms::of(kind, value);
        let canonical = self.digest(kind, forms.canonical());
        let differs = forms.spelled() != forms.canonical();
        ConsentDigests { canonical, spelled: differs.then(|| self.digest(kind, forms.spelled())) }
    }
}

/// Recorded consents, to be looked up. Implemented by `shoal-ingest` over `shoal-storage`'s files, and by maps in tests.
pub trait ConsentIndex: Send + Sync {
    /// What is recorded, if anything.
    ///
    /// # Errors
    /// When it cannot be read: nothing may be decided then.
    fn lookup(
        &self,
        region: Region,
        programme: Programme,
        subject: &ConsentDigest,
    ) -> Result<Option<ConsentRecord>, UnreadableConsents>;
}

/// The recorded consents cannot be read just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recorded consents cannot be read")]
pub struct UnreadableConsents;

#[cfg(test)]
mod tests;

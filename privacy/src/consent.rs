//! May this event be kept? Consent is *carried* in the batch, *recorded* before, or *asserted* by the ingest key.
//!
//! Order of the checks: suppressed or restricted, recorded withdrawal, then carried, recorded, asserted. A withdrawal
//! beats any consent that was given before it, and every assertion.

use std::sync::Arc;

use shoal_schemas::{IdentifierKind, Programme, Region, Registry};

/// A subject's digest for consent, suppression and restriction: its own key purpose, never rotated. No `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsentDigest(pub(crate) [u8; 16]);

impl ConsentDigest {
    /// The bytes, for the ledger.
    pub fn into_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From the ledger's bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> ConsentDigest {
        ConsentDigest(bytes)
    }
}

/// Makes the digests of one region. No `Debug`.
pub struct ConsentDigester {}

impl ConsentDigester {
    /// The digest of an identifier.
    pub fn digest(&self, kind: IdentifierKind, value: &str) -> ConsentDigest {
        let _ = (kind, value);
        todo!()
    }
}

/// How consent reached the gate; kept with the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// In the batch.
    Carried,
    /// Through `POST /v1/consents` before.
    Recorded,
    /// By an ingest key bound to one programme and policy version.
    Asserted,
}

impl Basis {
    /// The value of the column `consent`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Basis::Carried => "carried",
            Basis::Recorded => "recorded",
            Basis::Asserted => "asserted",
        }
    }
}

/// Why an event is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// No consent of any kind.
    NoConsent,
    /// Consent was withdrawn after it was given.
    Withdrawn,
    /// Consent is under a policy version that is no longer accepted, or unknown.
    PolicyVersion,
    /// Processing is restricted.
    Restricted,
    /// The subject was erased; late events are refused.
    Erased,
    /// The subject is under the programme's age.
    Minor,
    /// Sampled out by configuration.
    SampledOut,
}

impl Withheld {
    /// The stable code in answers and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Withheld::NoConsent => "no_consent",
            Withheld::Withdrawn => "withdrawn",
            Withheld::PolicyVersion => "policy_version",
            Withheld::Restricted => "restricted",
            Withheld::Erased => "erased",
            Withheld::Minor => "minor",
            Withheld::SampledOut => "sampled_out",
        }
    }
}

/// What is recorded about a subject and a programme.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConsentRecord {
    /// Policy version of the last grant; empty when there never was one.
    pub policy_version: Arc<str>,
    /// When it was granted, ms since 1970; none when there never was a grant.
    pub granted_at_ms: Option<i64>,
    /// When it was withdrawn, ms since 1970.
    pub withdrawn_at_ms: Option<i64>,
    /// Who controls the data, as the country says.
    pub controller: Arc<str>,
    /// Processing restricted.
    pub restricted: bool,
    /// The subject was erased.
    pub erased: bool,
}

/// Recorded consents, to be looked up. Implemented by `shoal-ingest`'s index over the ledger, and by maps in tests.
pub trait ConsentIndex: Send + Sync {
    /// What is recorded, if anything.
    fn lookup(
        &self,
        region: Region,
        programme: Programme,
        subject: &ConsentDigest,
    ) -> Option<ConsentRecord>;
}

/// Consent carried with an event or its batch.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'a> {
    /// Policy version.
    pub policy_version: &'a str,
    /// When it was given, ms since 1970, if the client says.
    pub granted_at_ms: Option<i64>,
    /// The subject's age in years, if the client says.
    pub age: Option<u8>,
}

/// Consent asserted by an ingest key.
#[derive(Clone, Copy, Debug)]
pub struct Asserted<'a> {
    /// The one programme.
    pub programme: Programme,
    /// The one policy version.
    pub policy_version: &'a str,
}

/// Decides about one event.
///
/// # Errors
/// Why it is withheld.
pub fn decide(
    registry: &Registry,
    programme: Programme,
    carried: Option<Carried<'_>>,
    recorded: Option<&ConsentRecord>,
    asserted: Option<Asserted<'_>>,
) -> Result<Basis, Withheld> {
    let _ = (registry, programme, carried, recorded, asserted);
    todo!()
}

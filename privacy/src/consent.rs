//! May this event be kept? Consent is *carried* in the batch, *recorded* before, or *asserted* by the ingest key.
//!
//! Order of the checks: erased, restricted, too young; then carried, recorded, asserted, each of them against a recorded
//! withdrawal. A withdrawal beats any consent that was given before it, and every assertion.
//!
//! Pure: the time is in the arguments. `record`: what is recorded, and its bytes. Not here: where consents are kept
//! (`shoal-storage`, `consents`), `POST /v1/consents` (`shoal-ingest`, `consents.rs`).

mod record;

use shoal_schemas::{IdentifierKind, Programme, ProgrammeDef, Region, Registry};

pub use self::record::{ConsentRecord, UnreadableRecord};
use crate::{key::Secret, pseudonym::identifier_digest};

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

/// Makes the digests of one region. No `Debug`.
pub struct ConsentDigester {
    key: Secret,
}

impl ConsentDigester {
    pub(crate) fn new(key: Secret) -> ConsentDigester {
        ConsentDigester { key }
    }

    /// The digest of an identifier. The value is trimmed; letter case is kept.
    pub fn digest(&self, kind: IdentifierKind, value: &str) -> ConsentDigest {
        ConsentDigest(identifier_digest(&self.key, kind, value))
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
/// Erasure and restriction come first, then the subject's age, then the three ways of consent: the first that is valid
/// is the basis. When none is, the reason is that of the first that was there.
///
/// - Carried consent counts when it was granted after the recorded withdrawal; without a time of grant it counts only when no
///   withdrawal is in force. A carried consent with an empty policy version says nothing but the age. The caller
///   passes no `granted_at_ms` that is later than the time of receipt: a grant in the future would outlive every
///   withdrawal.
/// - Recorded consent counts when its grant is later than its withdrawal.
/// - An assertion counts only where the batch carries no consent of its own and no withdrawal is in force: what is
///   known about this very subject or event is stronger than what a key says about all of them.
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
    decide_under(registry.programme(programme), carried, recorded, asserted)
}

/// [`decide`], for a programme's definition.
///
/// # Errors
/// Why it is withheld.
pub fn decide_under(
    programme: &ProgrammeDef,
    carried: Option<Carried<'_>>,
    recorded: Option<&ConsentRecord>,
    asserted: Option<Asserted<'_>>,
) -> Result<Basis, Withheld> {
    if recorded.is_some_and(|r| r.erased) {
        return Err(Withheld::Erased);
    }
    if recorded.is_some_and(|r| r.restricted) {
        return Err(Withheld::Restricted);
    }
    if carried.and_then(|c| c.age).is_some_and(|age| age < programme.age_min) {
        return Err(Withheld::Minor);
    }
    let carried = carried.filter(|c| !c.policy_version.is_empty());
    let asserted = asserted.filter(|a| a.programme == programme.programme && carried.is_none());
    let ways = [
        carried.map(|c| (Basis::Carried, by_carried(programme, c, recorded))),
        recorded.map(|r| (Basis::Recorded, by_record(programme, r))),
        asserted.map(|a| (Basis::Asserted, by_assertion(programme, a, recorded))),
    ];
    let mut reason = None;
    for (basis, verdict) in ways.into_iter().flatten() {
        match verdict {
            Ok(()) => return Ok(basis),
            // A record without a grant is no way of consent, so it gives a reason only when nothing else does.
            Err(Withheld::NoConsent) => {}
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    Err(reason.unwrap_or(Withheld::NoConsent))
}

fn by_carried(
    programme: &ProgrammeDef,
    carried: Carried<'_>,
    recorded: Option<&ConsentRecord>,
) -> Result<(), Withheld> {
    let withdrawn = match (carried.granted_at_ms, recorded.and_then(|r| r.withdrawn_at_ms)) {
        (Some(granted), Some(withdrawn)) => granted <= withdrawn,
        _ => recorded.is_some_and(ConsentRecord::is_withdrawn),
    };
    if withdrawn {
        return Err(Withheld::Withdrawn);
    }
    accepted(programme, carried.policy_version)
}

fn by_record(programme: &ProgrammeDef, record: &ConsentRecord) -> Result<(), Withheld> {
    if record.is_withdrawn() {
        return Err(Withheld::Withdrawn);
    }
    match record.granted_at_ms {
        Some(_) => accepted(programme, &record.policy_version),
        None => Err(Withheld::NoConsent),
    }
}

fn by_assertion(
    programme: &ProgrammeDef,
    asserted: Asserted<'_>,
    recorded: Option<&ConsentRecord>,
) -> Result<(), Withheld> {
    if recorded.is_some_and(ConsentRecord::is_withdrawn) {
        return Err(Withheld::Withdrawn);
    }
    accepted(programme, asserted.policy_version)
}

fn accepted(programme: &ProgrammeDef, version: &str) -> Result<(), Withheld> {
    match programme.policy_versions.iter().any(|v| v == version) {
        true => Ok(()),
        false => Err(Withheld::PolicyVersion),
    }
}

#[cfg(test)]
mod tests;

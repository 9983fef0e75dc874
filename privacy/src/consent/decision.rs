//! The decision about one event: one function of what is claimed, what is recorded and when it happened.
//!
//! | recorded under its identifiers | carried or asserted | decision |
//! |---|---|---|
//! | an erasure, a restriction | whatever | withheld |
//! | whatever | too young, or a refusal | withheld |
//! | a withdrawal in force; or one of before, and the event in no interval | whatever | withheld: withdrawn |
//! | an interval that holds the event, under an accepted version | whatever | kept: recorded |
//! | a first grant after the event | whatever | withheld: no consent |
//! | an interval that holds the event, after a withdrawal, under no accepted version | whatever | withheld: policy version |
//! | nothing of these | carried, dated not after the event or not at all | kept: carried |
//! | nothing of these | not carried, and the key asserts | kept: asserted |
//! | nothing of these | nothing, or not under an accepted version | withheld |
//!
//! Pure: the times are in the arguments. A client's clock is never proof of a later grant: after a recorded withdrawal only what
//! is recorded counts. Not here: intervals (`history.rs`), which identifiers an event has (`shoal-ingest`, `stages/permit.rs`).

use shoal_schemas::{Programme, ProgrammeDef};

use super::{
    history::{Moment, Standing},
    record::ConsentRecord,
};

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
    /// No consent of any kind at the time of the event, or a refusal.
    NoConsent,
    /// Consent was withdrawn.
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

/// Consent carried with an event or its batch.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'a> {
    /// Policy version; empty when it says nothing but the age, or refuses.
    pub policy_version: &'a str,
    /// When it was given, by the clock that the event's claimed time is by, ms since 1970, if the client says.
    pub granted_at_ms: Option<i64>,
    /// The subject's age in years, if the client says.
    pub age: Option<u8>,
    /// Whether it says that there is no consent.
    pub is_refusal: bool,
}

/// Consent asserted by an ingest key.
#[derive(Clone, Copy, Debug)]
pub struct Asserted<'a> {
    /// The one programme.
    pub programme: Programme,
    /// The one policy version.
    pub policy_version: &'a str,
}

/// What is known of an event without looking anything up.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// When it happened.
    pub moment: Moment,
    /// Consent that came with it.
    pub carried: Option<Carried<'a>>,
    /// Consent that its key asserts.
    pub asserted: Option<Asserted<'a>>,
}

/// Decides about one event. `records` are those of all of its identifiers in all of their forms.
///
/// # Errors
/// Why it is withheld.
pub fn decide<'r>(
    programme: &ProgrammeDef,
    claims: &Claims<'_>,
    records: impl Iterator<Item = &'r ConsentRecord> + Clone,
) -> Result<Basis, Withheld> {
    if records.clone().any(|record| record.erased) {
        return Err(Withheld::Erased);
    }
    if records.clone().any(|record| record.restricted) {
        return Err(Withheld::Restricted);
    }
    if claims.carried.and_then(|carried| carried.age).is_some_and(|age| age < programme.age_min) {
        return Err(Withheld::Minor);
    }
    if claims.carried.is_some_and(|carried| carried.is_refusal) {
        return Err(Withheld::NoConsent);
    }
    let mut found = Found::default();
    for record in records {
        match record.history.standing(claims.moment) {
            Standing::Withdrawn => return Err(Withheld::Withdrawn),
            Standing::Given(versions) if versions.iter().all(|v| is_accepted(programme, v)) => {
                found.is_given = true;
            }
            Standing::Given(_) => {
                found.is_old = true;
                found.was_withdrawn |= record.history.was_withdrawn();
            }
            Standing::Before => found.is_before = true,
            Standing::Unrecorded => {}
        }
    }
    match found {
        Found { is_given: true, .. } => Ok(Basis::Recorded),
        Found { is_before: true, .. } => Err(Withheld::NoConsent),
        // After a withdrawal only what is recorded counts.
        Found { was_withdrawn: true, .. } => Err(Withheld::PolicyVersion),
        Found { is_old, .. } => match by_claims(programme, claims) {
            Err(Withheld::NoConsent) if is_old => Err(Withheld::PolicyVersion),
            decided => decided,
        },
    }
}

/// What the records of an event say together, when none of them forbids it.
#[derive(Default)]
struct Found {
    /// Consent was in force at the time, under accepted versions.
    is_given: bool,
    /// The event is from before a first grant.
    is_before: bool,
    /// Consent was in force at the time, under a version that is not accepted any more.
    is_old: bool,
    /// Such a consent was given after a withdrawal.
    was_withdrawn: bool,
}

/// Where no record says since when. What a batch carries is about this very event, so it comes before what a key says about
/// all of them.
fn by_claims(programme: &ProgrammeDef, claims: &Claims<'_>) -> Result<Basis, Withheld> {
    if let Some(carried) = claims.carried.filter(|carried| !carried.policy_version.is_empty()) {
        if !is_accepted(programme, carried.policy_version) {
            return Err(Withheld::PolicyVersion);
        }
        // Both times are by one clock, so no correction stands between them.
        return match carried.granted_at_ms.is_none_or(|granted| granted <= claims.moment.claimed_ms) {
            true => Ok(Basis::Carried),
            false => Err(Withheld::NoConsent),
        };
    }
    match claims.asserted.filter(|asserted| asserted.programme == programme.programme) {
        Some(asserted) if is_accepted(programme, asserted.policy_version) => Ok(Basis::Asserted),
        Some(_) => Err(Withheld::PolicyVersion),
        None => Err(Withheld::NoConsent),
    }
}

fn is_accepted(programme: &ProgrammeDef, version: &str) -> bool {
    programme.policy_versions.iter().any(|accepted| accepted == version)
}

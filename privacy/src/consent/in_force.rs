//! What is in force of somebody's consent now, told in words: an app shows its switch by it.
//!
//! Invariant: it is what [`decide`](super::decide) would go by for an event of this moment that brings no consent of its own, but for
//! erasures and restrictions, which are told to nobody who asks for consents. Pure. Not here: whose records they are (`shoal-ingest`).

use shoal_schemas::ProgrammeDef;

use super::{
    history::{Moment, Standing},
    record::ConsentRecord,
};

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentState {
    /// A grant is in force.
    Granted,
    /// What was granted is withdrawn.
    Withdrawn,
    /// Nothing is.
    Unrecorded,
}

/// What is in force for a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce<'r> {
    /// What is recorded.
    pub state: ConsentState,
    /// The policy version of a grant: of several the newest that is accepted.
    pub policy_version: Option<&'r str>,
    /// Whether events of now are kept by it.
    pub is_accepted: bool,
}

/// What is in force at `now_ms` (milliseconds since 1970). `records` are those of all identifiers of somebody in all of their forms.
pub fn in_force<'r>(
    programme: &ProgrammeDef,
    now_ms: i64,
    records: impl Iterator<Item = &'r ConsentRecord>,
) -> InForce<'r> {
    let moment = Moment { claimed_ms: now_ms, corrected_ms: now_ms };
    // How new an accepted version is, from 1; 0 of one that is not accepted.
    let age =
        |version: &str| programme.policy_versions.iter().position(|v| v == version).map_or(0, |at| at + 1);
    let mut newest: Option<(usize, &str)> = None;
    for record in records {
        match record.history.standing(moment) {
            Standing::Withdrawn => {
                return InForce { state: ConsentState::Withdrawn, policy_version: None, is_accepted: false };
            }
            // Both readings of the time are the same, and so are the versions.
            Standing::Given([version, _]) => newest = newest.max(Some((age(version), version))),
            Standing::Before | Standing::Unrecorded => {}
        }
    }
    match newest {
        Some((age, version)) => {
            InForce { state: ConsentState::Granted, policy_version: Some(version), is_accepted: age > 0 }
        }
        None => InForce { state: ConsentState::Unrecorded, policy_version: None, is_accepted: false },
    }
}

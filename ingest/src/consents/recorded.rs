//! The recorded consents: written by `POST /v1/consents`, asked by the gate.
//!
//! Invariant: what could not be read is never taken for nothing. Not here: the files (`shoal-storage`, `consents`).

use std::sync::Arc;

use serde::Serialize;
use shoal_privacy::consent::{ConsentDigest, ConsentIndex, ConsentRecord, UnreadableConsents};
use shoal_schemas::{Programme, Region};
use shoal_storage::{ConsentChange, Consents, Effect, StorageError};

use super::change::Change;
use crate::refusal::{Refusal, RefusalCode};

/// The recorded consents, as the gate asks for them. No `Debug`.
#[derive(Clone)]
pub(crate) struct Recorded(Arc<Consents<ConsentRecord>>);

/// What `POST /v1/consents` answers: nothing of what was recorded before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsentAnswer {
    /// Grants and withdrawals in the request; all are durable.
    pub recorded: u64,
}

impl Recorded {
    pub(crate) fn new(consents: Arc<Consents<ConsentRecord>>) -> Recorded {
        Recorded(consents)
    }

    /// Records the changes, those of one region together and in their order. Blocks until they are durable.
    ///
    /// # Errors
    /// When the file of consents failed: some may be recorded; sending all again is safe.
    pub(crate) fn record(&self, changes: &[Change]) -> Result<ConsentAnswer, Refusal> {
        for region in Region::ALL {
            let own: Vec<&Change> = changes.iter().filter(|change| change.region == *region).collect();
            if !own.is_empty() {
                self.apply(*region, &own).map_err(|error| {
                    tracing::error!(%error, "a consent could not be recorded");
                    let reason = "the consent could not be recorded; send it again";
                    Refusal { retry_after_s: Some(5), ..Refusal::new(RefusalCode::Unavailable, reason) }
                })?;
            }
        }
        Ok(ConsentAnswer { recorded: changes.len() as u64 })
    }

    fn apply(&self, region: Region, changes: &[&Change]) -> Result<(), StorageError> {
        let digests: Vec<Vec<[u8; 16]>> =
            changes.iter().map(|change| change.digests.iter().map(|d| d.into_bytes()).collect()).collect();
        let after: Vec<_> = changes.iter().map(|change| |before| change.after(before)).collect();
        let list: Vec<ConsentChange<'_, ConsentRecord>> = changes
            .iter()
            .zip(&digests)
            .zip(&after)
            .map(|((change, digests), after)| ConsentChange {
                programme: change.programme,
                digests,
                effect: if change.is_grant() { Effect::WhenDurable } else { Effect::AtOnce },
                after,
            })
            .collect();
        self.0.change(region, &list)
    }
}

impl ConsentIndex for Recorded {
    fn lookup(
        &self,
        region: Region,
        programme: Programme,
        subject: &ConsentDigest,
    ) -> Result<Option<ConsentRecord>, UnreadableConsents> {
        self.0.get(region, programme, subject.into_bytes()).map_err(|error| {
            tracing::error!(%error, "the recorded consents could not be read");
            UnreadableConsents
        })
    }
}

/// As if nothing were recorded about anybody: for whoever may not learn what is.
pub(crate) struct Nothing;

impl ConsentIndex for Nothing {
    fn lookup(
        &self,
        _: Region,
        _: Programme,
        _: &ConsentDigest,
    ) -> Result<Option<ConsentRecord>, UnreadableConsents> {
        Ok(None)
    }
}

//! Who withdraws with a key that may send nothing any more: it is recorded all the same, and nothing else of the request is.
//!
//! An SDK deletes what is refused, and the person who has withdrawn does not say it again; whose app and which regions are meant is
//! known, since the key is. Invariant: no grant is recorded here, and no event is kept. Not here: which keys these are (`shoal-server`).

use std::sync::{Arc, atomic::Ordering};

use super::{
    Ingest,
    judges::{Judged, OwnRequest},
    refusal,
};
use crate::{
    consents::{self, ConsentAnswer},
    error::LogError,
    grant::IngestGrant,
    refusal::{Refusal, RefusalCode},
    wire::protocol::Request,
};

/// What became of the withdrawals of a request to record consents.
pub struct Withdrawn {
    /// What was recorded, if anything.
    pub recorded: Option<ConsentAnswer>,
    /// Whether nothing else was asked for.
    pub is_all: bool,
}

impl Ingest {
    /// `POST /v1/consents` with a key that may send nothing any more: its withdrawals, durable when it answers.
    ///
    /// # Errors
    /// When the body cannot be read, or what it asks for cannot be recorded now.
    pub async fn record_withdrawals(
        &self,
        request: Request<'_>,
        grant: &IngestGrant,
    ) -> Result<Withdrawn, Refusal> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(refusal(LogError::Stopped));
        }
        let consents::Body { mut changes, refused, .. } = self.read_changes(&request, grant).await?;
        let asked = changes.len();
        changes.retain(|change| !change.is_grant());
        if changes.is_empty() {
            return Ok(Withdrawn { recorded: None, is_all: false });
        }
        let is_all = refused.is_none() && changes.len() == asked;
        let (recorded, _) = self.record(changes, &self.caller(&request, grant)).await?;
        Ok(Withdrawn { recorded: Some(recorded), is_all })
    }

    /// Events with a key that may send nothing any more: who withdraws in them, as a consent manager tells it.
    ///
    /// # Errors
    /// When they cannot be read or recorded now: the request may be sent again.
    pub async fn record_denials(&self, request: Request<'_>, grant: &IngestGrant) -> Result<(), Refusal> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(refusal(LogError::Stopped));
        }
        let hold = self.in_flight.reserve(request.body.len() as u64);
        let _hold = hold.map_err(|held| self.refuse(LogError::Full(held)))?;
        let (unit_keys, judge) = (self.unit_keys.open(), Arc::clone(&self.judge));
        let turn = self.turn().await?;
        let own = OwnRequest::of(&request, grant, judge.definitions()).for_decisions();
        let mut changes = match self.judges.run(turn, move || judge.run(&own, &unit_keys)).await? {
            Ok(Judged::Decided(changes) | Judged::Refused(changes, _)) => changes,
            Err(refusal) if refusal.code == RefusalCode::Unavailable => return Err(refusal),
            Ok(Judged::Piped(_)) | Err(_) => return Ok(()),
        };
        changes.retain(|change| !change.is_grant());
        match changes.is_empty() {
            true => Ok(()),
            false => self.record_decisions(changes, &self.caller(&request, grant)).await,
        }
    }
}

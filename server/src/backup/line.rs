//! What the audit says of a backup that was made, or put back.
//!
//! ```json
//! {"seq":8,"prev":"..","at_ms":1795348800000,"act":"backup_create","id":"<uuid>","key":null,"role":"operator",
//!  "outcome":"done","made_at_ms":1795348800000,"files":60,"bytes":4711,"rows":60,"hash":".."}
//! ```
//! The line of a restore over which the loss of journals of withdrawals was accepted has their regions as `accepted_lost`.
//! A backup has no line of itself in it: the line comes when it is whole. Invariant: a backup whose line cannot be written is not
//! reported as done. Not here: the audit (`shoal-audit`).

use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Entry, Origin, Role};
use shoal_schemas::Region;
use uuid::Uuid;

use crate::error::Error;

/// The fields of a line.
#[derive(Default, Serialize)]
pub(super) struct Fields {
    pub(super) made_at_ms: Option<i64>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) accepted_lost: Vec<Region>,
}

/// The line of one backup, until it is written.
pub(super) struct BackupLine(Entry<Fields>);

impl BackupLine {
    /// Begins the line of an operator.
    pub(super) fn begin(audit: &Arc<Audit>, act: Act, now_ms: i64) -> BackupLine {
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms: now_ms, act, id: Uuid::new_v4(), actor };
        BackupLine(audit.begin(origin, Fields::default()))
    }

    /// Writes it: with what was done, or that it failed.
    ///
    /// # Errors
    /// That of what was done, and when the line cannot be written.
    pub(super) async fn end<T>(
        mut self,
        done: Result<T, Error>,
        fields: impl FnOnce(&T) -> Fields,
    ) -> Result<T, Error> {
        if let Ok(done) = &done {
            *self.0.fields_mut() = fields(done);
        }
        let outcome = if done.is_ok() { ActOutcome::Done } else { ActOutcome::Failed };
        let written = self.0.end(outcome).await;
        let done = done?;
        written?;
        Ok(done)
    }
}

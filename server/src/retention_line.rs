//! What the audit says of a run of retention that a person started: whether it was dry, and how much left its tables.
//!
//! ```json
//! {"seq":8,"prev":"..","at_ms":1795348800000,"act":"retention_run","id":"<uuid>","key":"off0123456789","role":"officer",
//!  "outcome":"done","dry_run":false,"accepted_clock":false,"accepted_share":false,"files":2,"rows":60,"bytes":4711,"tables_unfinished":0,"hash":".."}
//! ```
//! The runs of the schedule are nobody's act and are in the log only. Invariant: a run whose line cannot be written is not
//! reported as done. Not here: the run (`shoal-retention`), the audit (`shoal-audit`).

use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, AuditError, Entry, Origin};
use shoal_retention::{Accepted, Report, RetentionError};
use uuid::Uuid;

use crate::retention_runs::RunError;

/// The fields that a run of retention has beside those of every act.
#[derive(Serialize)]
struct Fields {
    dry_run: bool,
    accepted_clock: bool,
    accepted_share: bool,
    files: u64,
    rows: u64,
    bytes: u64,
    tables_unfinished: usize,
}

/// What a run was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) dry_run: bool,
    pub(crate) accepted: Accepted,
}

/// The line of one run, until it is written.
pub(crate) struct RetentionLine(Entry<Fields>);

impl RetentionLine {
    /// Begins the line.
    pub(crate) fn begin(audit: &Arc<Audit>, actor: Actor, now_ms: i64, asked: Asked) -> RetentionLine {
        let origin = Origin { at_ms: now_ms, act: Act::RetentionRun, id: Uuid::new_v4(), actor };
        let Asked { dry_run, accepted } = asked;
        let (accepted_clock, accepted_share) = (accepted.clock, accepted.share);
        let (files, rows, bytes, tables_unfinished) = (0, 0, 0, 0);
        let fields =
            Fields { dry_run, accepted_clock, accepted_share, files, rows, bytes, tables_unfinished };
        RetentionLine(audit.begin(origin, fields))
    }

    /// Writes the line of a run that came to this report.
    ///
    /// # Errors
    /// The run must not be reported as done.
    pub(crate) async fn done(mut self, report: &Report) -> Result<(), AuditError> {
        let fields = self.0.fields_mut();
        (fields.files, fields.rows, fields.bytes) = report.expired_total();
        fields.tables_unfinished = report.failed.len();
        let outcome = match fields.dry_run {
            true => ActOutcome::DryRun,
            false => ActOutcome::Done,
        };
        self.0.end(outcome).await
    }

    /// Writes the line of a run that came to no report.
    ///
    /// # Errors
    /// There is no line.
    pub(crate) async fn failed(self, error: &RunError) -> Result<(), AuditError> {
        let outcome = match error {
            RunError::Retention(RetentionError::Refused(_)) => ActOutcome::Refused,
            RunError::Retention(RetentionError::Table { .. }) | RunError::Unrecorded(_) => ActOutcome::Failed,
        };
        self.0.end(outcome).await
    }
}

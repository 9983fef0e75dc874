//! What the audit says of a run of retention that a person started: whether it was dry, and how much left its tables.
//!
//! ```json
//! {"seq":8,"prev":"..","at_ms":1795348800000,"act":"retention_run","id":"<uuid>","key":"off0123456789","role":"officer",
//!  "outcome":"done","dry_run":false,"files":2,"rows":60,"bytes":4711,"tables_unfinished":0,"hash":".."}
//! ```
//! The runs of the schedule are nobody's act and are in the log only. Invariant: a run whose line cannot be written is not
//! reported as done. Not here: the run (`shoal-retention`), the audit (`shoal-audit`).

use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, AuditError, Entry, Origin};
use shoal_retention::Report;
use uuid::Uuid;

/// The fields that a run of retention has beside those of every act.
#[derive(Serialize)]
struct Fields {
    dry_run: bool,
    files: u64,
    rows: u64,
    bytes: u64,
    tables_unfinished: usize,
}

/// The line of one run, until it is written.
pub(crate) struct RetentionLine(Entry<Fields>);

impl RetentionLine {
    /// Begins the line.
    pub(crate) fn begin(audit: &Arc<Audit>, actor: Actor, now_ms: i64, dry_run: bool) -> RetentionLine {
        let origin = Origin { at_ms: now_ms, act: Act::RetentionRun, id: Uuid::new_v4(), actor };
        let fields = Fields { dry_run, files: 0, rows: 0, bytes: 0, tables_unfinished: 0 };
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
    pub(crate) async fn failed(self) -> Result<(), AuditError> {
        self.0.end(ActOutcome::Failed).await
    }
}

//! What the audit says of a reload: how it was asked for, and what it has made different about the definitions.
//!
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"reload","id":"<uuid>","key":null,"role":"operator","outcome":"done",
//!  "by":"command","events_added":["door_open"],"properties_added":["click.hand"],"files_changed":[],"names_left_out":0,"hash":".."}
//! ```
//! Invariants: the line is durable before anything is taken over, and without it nothing is; names are those of definitions, and no
//! more of them than fit. Not here: the audit (`shoal-audit`).

use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Entry, Origin, Role};
use shoal_schemas::Changes;
use uuid::Uuid;

use crate::error::Error;

/// Most names of each list.
const NAMES_MAX: usize = 100;

/// How a reload was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// SIGHUP.
    Signal,
    /// `shoal reload`.
    Command,
}

/// The fields of a line.
#[derive(Serialize)]
struct Fields {
    by: By,
    #[serde(flatten)]
    changes: Changes,
    names_left_out: usize,
}

/// The line of one reload, until it is written.
pub(super) struct ReloadLine(Entry<Fields>);

impl ReloadLine {
    pub(super) fn begin(audit: &Arc<Audit>, by: By, now_ms: i64) -> ReloadLine {
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms: now_ms, act: Act::Reload, id: Uuid::new_v4(), actor };
        ReloadLine(audit.begin(origin, Fields { by, changes: Changes::default(), names_left_out: 0 }))
    }

    /// Writes the line of a reload that is about to make these changes.
    ///
    /// # Errors
    /// There is no line: nothing may be taken over.
    pub(super) async fn done(mut self, changes: &Changes) -> Result<(), Error> {
        let fields = self.0.fields_mut();
        fields.changes = changes.clone();
        let Changes { events_added, properties_added, files_changed } = &mut fields.changes;
        for names in [events_added, properties_added, files_changed] {
            fields.names_left_out += names.len().saturating_sub(NAMES_MAX);
            names.truncate(NAMES_MAX);
        }
        Ok(self.0.end(ActOutcome::Done).await?)
    }

    /// Writes the line of a reload that has changed nothing. That it cannot be is told in the log.
    pub(super) async fn not_done(self, error: &Error) {
        let outcome = match error {
            Error::Config(_) | Error::Schemas(_) | Error::Tls(_) => ActOutcome::Refused,
            _ => ActOutcome::Failed,
        };
        if let Err(error) = self.0.end(outcome).await {
            tracing::error!(%error, "the audit has no line of a reload that was refused");
        }
    }
}

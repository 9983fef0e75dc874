//! An act that has begun and whose line is not written yet.
//!
//! Invariant: every act leaves exactly one line: [`Entry::end`] writes it, and an entry that is dropped before that writes it
//! as that of an act that was abandoned.
//! Not here: where lines go (`audit.rs`).

use std::sync::Arc;

use serde::Serialize;

use crate::audit::Audit;
use crate::error::Result;
use crate::line::{ActOutcome, Line, Origin};

/// The line of one act, until it is written. `F` are the fields that this kind of act has beside those of all.
pub struct Entry<F: Serialize> {
    audit: Arc<Audit>,
    line: Line<F>,
    is_ended: bool,
}

impl Audit {
    /// Begins the line of an act. `fields` are a JSON object when they are serialised, and hold no personal data and no
    /// secret: they are written as they are.
    pub fn begin<F: Serialize>(self: &Arc<Audit>, origin: Origin, fields: F) -> Entry<F> {
        Entry { audit: Arc::clone(self), line: Line::new(origin, fields), is_ended: false }
    }
}

impl<F: Serialize> Entry<F> {
    /// Whether the line is kept; if not, nothing has to be made for it.
    pub fn is_kept(&self) -> bool {
        self.audit.is_kept()
    }

    /// What the act has noted so far.
    pub fn fields(&self) -> &F {
        &self.line.fields
    }

    /// To note more.
    pub fn fields_mut(&mut self) -> &mut F {
        &mut self.line.fields
    }

    /// Writes the line. The act may be answered for when this is done, and only if it went well.
    ///
    /// # Errors
    /// [`AuditError`](crate::AuditError): there may be no line, so the act must not be answered for.
    pub async fn end(mut self, outcome: ActOutcome) -> Result<()> {
        self.is_ended = true;
        self.line.outcome = outcome;
        let members = self.line.members()?;
        self.audit.append(members).await
    }
}

impl<F: Serialize> Drop for Entry<F> {
    fn drop(&mut self) {
        if !self.is_ended
            && let Ok(members) = self.line.members()
        {
            self.audit.append_unwatched(members);
        }
    }
}

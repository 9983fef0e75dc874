//! Room for files on full days of tables, made before a region's rows move, while nobody is held by it.
//!
//! ```text
//! days of the rows -> none is full: the rows move
//!                  -> one is: the rows stay in the log, room is made without any lock, and they are asked for again
//!                  -> one is, for the fourth time in a row: the rows move, and the append makes room itself
//! ```
//! A merge of many files may take minutes. With the lock of its region it would hold whoever opens a day, and with the turn
//! of the flush every other region. Invariant: rows stay in the log at most [`TIMES_MAX`] times in a row for this.
//! Not here: which days are full, and how files are merged (`shoal-storage`).

use shoal_schemas::{Kind, Region};
use shoal_storage::Part;
use tokio::task::JoinHandle;

use super::sink::{Days, Sink};
use crate::error::IngestError;

/// So often in a row the rows of a region wait for room.
pub(super) const TIMES_MAX: u32 = 3;

/// Days of a table that have no room for a file more.
pub(super) struct Full {
    region: Region,
    kind: Kind,
    days: Days,
}

/// What the rows of a region wait for.
#[derive(Default)]
pub(crate) struct Wait {
    /// Room that is being made.
    making: Option<JoinHandle<()>>,
    /// How often in a row they were kept back.
    times: u32,
}

impl Wait {
    pub(super) fn is_making(&self) -> bool {
        self.making.as_ref().is_some_and(|making| !making.is_finished())
    }

    /// Whether rows of full days stay in the log once more.
    pub(super) fn once_more(&mut self) -> bool {
        self.times += 1;
        self.times <= TIMES_MAX
    }

    /// The rows have moved.
    pub(super) fn over(&mut self) {
        self.times = 0;
    }

    /// Begins to make room, while the caller goes on.
    pub(super) fn begin<S: Sink>(&mut self, sink: &S, full: Vec<Full>) {
        let sink = sink.clone();
        self.making = Some(tokio::spawn(async move { make(&sink, &full).await }));
    }

    /// What was begun.
    pub(super) fn take(&mut self) -> Option<JoinHandle<()>> {
        self.making.take()
    }
}

/// The days of these rows that are full.
pub(super) async fn full_days<S: Sink>(
    sink: &S,
    region: Region,
    kinds: &[(Kind, Vec<Part>)],
) -> Result<Vec<Full>, IngestError> {
    let mut all = Vec::new();
    for (kind, parts) in kinds {
        let rows = parts.iter().filter(|part| part.batch.num_rows() > 0);
        let days: Days = rows.map(|part| (part.day, part.programme)).collect();
        if sink.is_full(region, *kind, &days).await? {
            all.push(Full { region, kind: *kind, days });
        }
    }
    Ok(all)
}

/// Makes room. Where that fails, the operator is told, and the append tries once more.
pub(super) async fn make<S: Sink>(sink: &S, full: &[Full]) {
    for Full { region, kind, days } in full {
        if let Err(error) = sink.make_room(*region, *kind, days).await {
            tracing::warn!(%region, %kind, %error, "no room could be made on full days");
        }
    }
}

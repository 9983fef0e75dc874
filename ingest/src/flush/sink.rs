//! Where flushed rows go: the Delta tables, or memory in tests. Either keeps a version for each (region, kind).
//!
//! Invariants of every sink: an append whose version is not above the committed one changes nothing, nor does one whose rows come after
//! another version than that one; the rows of every
//! version that is committed can be counted.

use std::{collections::BTreeSet, future::Future};

use shoal_files::host;
use shoal_schemas::{Kind, Programme, Region};
use shoal_storage::{AppendReport, Part, Table};

use crate::{
    day_limit::counts::{Counts, short},
    error::IngestError,
};

/// Days since 1970, each with the programme whose rows are meant.
pub(crate) type Days = BTreeSet<(i32, Programme)>;

/// Which versions rows are of: all after the one, up to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) after: Option<i64>,
    pub(crate) version: i64,
}

/// Takes rows, exactly once. Clones are the same sink.
pub(crate) trait Sink: Clone + Send + Sync + 'static {
    /// The version up to which the log's segments are in the table.
    fn committed(
        &self,
        region: Region,
        kind: Kind,
    ) -> impl Future<Output = Result<Option<i64>, IngestError>> + Send;

    /// Whether any of these days of a table has no room for a file more, and room can be made.
    fn is_full(
        &self,
        region: Region,
        kind: Kind,
        days: &Days,
    ) -> impl Future<Output = Result<bool, IngestError>> + Send;

    /// Makes room on these days, which may take long. Rows may come in meanwhile.
    fn make_room(
        &self,
        region: Region,
        kind: Kind,
        days: &Days,
    ) -> impl Future<Output = Result<(), IngestError>> + Send;

    /// Commits all parts as one, when the committed version is still `span.after`.
    fn append(
        &self,
        region: Region,
        kind: Kind,
        parts: Vec<Part>,
        span: Span,
    ) -> impl Future<Output = Result<AppendReport, IngestError>> + Send;

    /// Adds the rows of a day to its counts.
    fn count(
        &self,
        region: Region,
        kind: Kind,
        day: i32,
        counts: Counts,
    ) -> impl Future<Output = Result<Counts, IngestError>> + Send;
}

/// The Delta tables of all regions. Clones are the same tables.
#[derive(Clone)]
pub(crate) struct Tables {
    tables: Vec<Table>,
}

impl Tables {
    pub(crate) fn new(tables: Vec<Table>) -> Tables {
        Tables { tables }
    }

    fn table(&self, region: Region, kind: Kind) -> Result<&Table, IngestError> {
        let found = self.tables.iter().find(|t| t.region() == region && t.kind() == kind);
        found.ok_or_else(|| IngestError::Config(format!("the table {kind} of {region} is not open")))
    }
}

/// The name under which a table keeps the version of a region's log.
fn app_id(region: Region) -> String {
    format!("log-{region}")
}

impl Sink for Tables {
    async fn committed(&self, region: Region, kind: Kind) -> Result<Option<i64>, IngestError> {
        // What cannot come has come to no table.
        let Ok(table) = self.table(region, kind) else { return Ok(None) };
        Ok(table.committed(&app_id(region)).await?)
    }

    async fn is_full(&self, region: Region, kind: Kind, days: &Days) -> Result<bool, IngestError> {
        Ok(self.table(region, kind)?.is_full(days).await?)
    }

    async fn make_room(&self, region: Region, kind: Kind, days: &Days) -> Result<(), IngestError> {
        Ok(self.table(region, kind)?.make_room(days).await?)
    }

    async fn append(
        &self,
        region: Region,
        kind: Kind,
        parts: Vec<Part>,
        span: Span,
    ) -> Result<AppendReport, IngestError> {
        let table = self.table(region, kind)?;
        Ok(table.append_after(parts, &app_id(region), span.version, span.after).await?)
    }

    async fn count(
        &self,
        region: Region,
        kind: Kind,
        day: i32,
        mut counts: Counts,
    ) -> Result<Counts, IngestError> {
        let snapshot = self.table(region, kind)?.snapshot().await?;
        let work = move || {
            for file in snapshot.files().iter().filter(|file| file.day == day) {
                snapshot.subjects(file, &mut |subject, rows| counts.add(short(subject), rows))?;
            }
            Ok(counts)
        };
        host::blocking(work).await.map_err(|_| IngestError::Failed(region))?
    }
}

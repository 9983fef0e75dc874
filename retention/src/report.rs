//! What a run did: numbers only, per region, programme and kind.

use serde::{Deserialize, Serialize};
use shoal_schemas::{Kind, Region};

use crate::plan::Line;

/// Bytes and log entries that left the disk in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The table's region.
    pub region: Region,
    /// The table's kind.
    pub kind: Kind,
    /// Parquet files deleted; files of an earlier run that was cut short are among them.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Entries of the Delta log deleted.
    pub log_entries: u64,
    /// Files that a query was still reading; the next run deletes them.
    pub pinned: u64,
}

/// A table whose expiry did not finish. The next run takes it up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The table's region.
    pub region: Region,
    /// The table's kind.
    pub kind: Kind,
    /// What failed; no content of any row.
    pub reason: String,
}

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it ran, ms since 1970.
    pub now_ms: i64,
    /// Nothing was changed: `expired` is what a run would remove, `purged` is empty.
    pub dry_run: bool,
    /// What left its table, counted from the commits themselves.
    pub expired: Vec<Line>,
    /// What left the disk.
    pub purged: Vec<Purged>,
    /// Tables that did not finish.
    pub failed: Vec<Failure>,
}

impl Report {
    /// (files, rows, bytes) that left their tables.
    pub fn expired_total(&self) -> (u64, u64, u64) {
        self.expired.iter().fold((0, 0, 0), |t, l| (t.0 + l.files, t.1 + l.rows, t.2 + l.bytes))
    }

    /// Files that a query was still reading, so that another run is needed.
    pub fn pinned_total(&self) -> u64 {
        self.purged.iter().map(|p| p.pinned).sum()
    }

    /// (files, bytes) that left the disk.
    pub fn purged_total(&self) -> (u64, u64) {
        self.purged.iter().fold((0, 0), |t, p| (t.0 + p.files, t.1 + p.bytes))
    }
}

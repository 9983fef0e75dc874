//! Keeps tables quick to read: small files are merged, and what the merges left behind is purged.
//!
//! Invariants: rows stay as they are, but for copies of one event; appends and queries go on; a table that fails does not
//! keep the others from being done, nor a file that cannot be read the other days of its table, and what was merged is purged all the
//! same. Not here: which files are merged and how (`shoal-storage`, `compact.rs`), expiry (`run`).

use serde::Serialize;
use shoal_schemas::{Kind, Region};
use shoal_storage::{CompactPolicy, CompactReport, FailedMerge, StorageError, Table};

use crate::metrics::TableLabel;
use crate::report::Failure;
use crate::run::Retention;

/// What was merged in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The table's region.
    pub region: Region,
    /// The table's kind.
    pub kind: Kind,
    /// Files that were merged into fewer.
    pub files: u64,
    /// Files that came in their place.
    pub files_new: u64,
    /// Rows in them.
    pub rows: u64,
    /// Copies of events that were there twice, and are once now.
    pub duplicates: u64,
    /// Files deleted from the disk.
    pub purged_files: u64,
    /// Files that a query may be reading; a later purge deletes them.
    pub pinned: u64,
}

/// The report of one round over the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaintainReport {
    /// When it ran, ms since 1970.
    pub now_ms: i64,
    /// Tables in which files were merged.
    pub compacted: Vec<Compacted>,
    /// Merges and tables that did not finish. The next round takes them up again.
    pub failed: Vec<Failure>,
}

impl Retention {
    /// Merges the small files of every table that this process has opened, and purges the tables in which any were.
    pub async fn maintain_once(&self, now_ms: i64) -> MaintainReport {
        let mut report = MaintainReport { now_ms, compacted: vec![], failed: vec![] };
        for table in self.store.tables().await {
            let (region, kind) = (table.region(), table.kind());
            let before = report.failed.len();
            if let Err(error) = self.maintain_table(&table, &mut report).await {
                tracing::error!(%region, %kind, %error, "compaction of a table did not finish");
                report.failed.push(Failure { region, kind, reason: error.to_string() });
            }
            if report.failed.len() > before {
                self.metrics.failures.get_or_create(&TableLabel::new(region, kind)).inc();
            }
        }
        if report.failed.is_empty() {
            self.metrics.last_compaction_seconds.set(now_ms / 1000);
        }
        report
    }

    /// Lets a round that runs end soon, and none begin any more: for the end of the process.
    pub fn stop_maintaining(&self) {
        self.store.stop_compacting();
    }

    /// Writes a checkpoint of every table that has at least so many commits after its last one, so that the next start reads few.
    /// A table that fails is told in the log, and is read commit by commit then.
    pub async fn checkpoint_once(&self, commits_min: u64) {
        for table in self.store.tables().await {
            if let Err(error) = table.checkpoint(commits_min).await {
                let (region, kind) = (table.region(), table.kind());
                tracing::warn!(%region, %kind, %error, "a checkpoint of a table could not be written");
            }
        }
    }

    async fn maintain_table(&self, table: &Table, report: &mut MaintainReport) -> Result<(), StorageError> {
        let (region, kind, now_ms) = (table.region(), table.kind(), report.now_ms);
        let merged = table.compact(now_ms, CompactPolicy::default()).await?;
        for FailedMerge { day, programme, reason } in &merged.failed {
            tracing::error!(%region, %kind, day, %programme, reason, "files of a day could not be merged");
            report.failed.push(Failure { region, kind, reason: reason.clone() });
        }
        if merged.groups == 0 {
            return Ok(());
        }
        let label = TableLabel::new(region, kind);
        let CompactReport { groups, files, rows, duplicates, .. } = merged;
        self.metrics.compacted_files.get_or_create(&label).inc_by(files);
        self.metrics.compacted_rows.get_or_create(&label).inc_by(rows);
        self.metrics.duplicate_rows.get_or_create(&label).inc_by(duplicates);
        let purged = table.purge(now_ms).await?;
        self.metrics.purged_files.get_or_create(&label).inc_by(purged.files);
        self.metrics.purged_bytes.get_or_create(&label).inc_by(purged.bytes);
        tracing::info!(%region, %kind, files, files_new = groups, rows, duplicates, "compacted a table");
        report.compacted.push(Compacted {
            region,
            kind,
            files,
            files_new: groups,
            rows,
            duplicates,
            purged_files: purged.files,
            pinned: purged.pinned,
        });
        Ok(())
    }
}

//! Files leave the table, whole, in one commit. From then on no reader sees them; their bytes are still there until `purge`.
//!
//! Invariants: what is removed is what the predicate chose among the files live at the time of the commit; the rows counted
//! in the log afterwards are the rows before less those removed. Not here: which files expire (`shoal-retention`).

use crate::error::{Result, StorageError};
use crate::tables::live_file::LiveFile;
use crate::tables::log;
use crate::tables::table::Table;

/// What an expiry removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// The files that are no longer in the table.
    pub removed: Vec<LiveFile>,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes, still on the disk.
    pub bytes: u64,
}

impl Table {
    /// Removes every live file for which `expired` holds, in one commit, and counts the rows that are left.
    ///
    /// # Errors
    /// [`StorageError::RowCount`] when the table holds other rows afterwards than it should. [`StorageError::Io`] when
    /// the commit failed: nothing was removed; repeat it.
    pub async fn expire(&self, expired: &(dyn Fn(&LiveFile) -> bool + Sync)) -> Result<ExpireReport> {
        let mut committer = self.inner.committer().await?;
        loop {
            let before = self.snapshot().await?;
            let removed: Vec<LiveFile> = before.files().iter().filter(|f| expired(f)).cloned().collect();
            if removed.is_empty() {
                return Ok(ExpireReport::default());
            }
            let report =
                ExpireReport { rows: rows(&removed), bytes: removed.iter().map(|f| f.bytes).sum(), removed };
            let done = self.inner.commit(&mut committer, log::removal(&report.removed)).await;
            self.inner.reload(&mut committer).await?;
            let after = self.snapshot().await?;
            // A commit that answered with an error may have landed: the log says.
            let gone = |file: &LiveFile| after.files().binary_search_by(|f| f.path.cmp(&file.path)).is_err();
            if !report.removed.iter().all(gone) {
                match done {
                    // Another process was faster. What is expired now may be more, or less.
                    Err(error) if error.is_taken() => continue,
                    done => done?,
                }
            }
            let expected = rows(before.files()) - report.rows;
            let found = rows(after.files());
            if found != expected && after.version() == before.version() + 1 {
                return Err(StorageError::RowCount { table: self.inner.name.clone(), expected, found });
            }
            return Ok(report);
        }
    }
}

fn rows(files: &[LiveFile]) -> u64 {
    files.iter().map(|f| f.rows).sum()
}

//! The rows of some subjects leave every file of a table, for those who have asked for it.
//!
//! ```text
//! live files that are new -> whose are their rows? (that one column) -> of none of the subjects: nothing to do
//!                                                                    -> some of them: a merge of the file alone, without them -> commit
//!                                                                    -> all of them: the file leaves the table
//! and again, until every live file was looked at
//! ```
//! What a flush brings or a merge makes meanwhile is looked at as well, so that no row is missed that was in the table at the start, or
//! came before the end. A file that cannot be read or written anew stays as it is, and keeps no other one from being done.
//!
//! Invariants: one commit for each file, of one that is still live; rows read = rows written + copies + rows erased before it; the other
//! rows have the values that they had. It may be cut off anywhere, and repeated. What is encrypted with a key that was destroyed is
//! no more, and left alone. Not here: whose rows (`subject_acts`), how rows are left out (`merge`), the old bytes (`purge`).

use std::collections::HashSet;
use std::sync::Arc;

use shoal_files::host;

use crate::error::{Result, StorageError};
use crate::suppressed::Subjects;
use crate::tables::compact::StopOnDrop;
use crate::tables::live_file::LiveFile;
use crate::tables::snapshot::Snapshot;
use crate::tables::table::Table;

/// What an erasure did to a table, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedRows {
    /// Files that were written anew or have left the table.
    pub files: u64,
    /// Rows that are no longer in it.
    pub rows: u64,
    /// Bytes of those files; on the disk until the next purge.
    pub bytes_in: u64,
    /// Bytes of the files in their place; 0 of what is only looked at.
    pub bytes_out: u64,
}

/// A file, and how many of its rows are of the subjects.
type Looked = (LiveFile, Result<u64>);

impl Table {
    /// Removes the rows of these subjects from every live file, also of files that come while it runs. Appends, queries and expiries go
    /// on meanwhile; a compaction takes turns with it. Ends early when the caller stops waiting, and after
    /// [`crate::Store::stop_compacting`]. `now_ms` (milliseconds since 1970) is written into the log as the time of the change.
    ///
    /// # Errors
    /// [`StorageError::Stopped`], and whatever kept rows from being erased: the first failure, once all other files are done. Nothing is
    /// lost, and what was erased stays erased: repeat it.
    pub async fn erase(&self, now_ms: i64, subjects: Arc<Subjects>) -> Result<ErasedRows> {
        let (mut report, mut looked, mut failure) = (ErasedRows::default(), HashSet::new(), None);
        while let Some(files) = self.look(&mut looked, &subjects).await? {
            for (file, rows) in files {
                let erased = match rows {
                    Ok(0) => continue,
                    Ok(rows) => self.erase_file(&file, rows, &subjects, now_ms).await,
                    Err(error) => Err(error),
                };
                match erased {
                    Ok(Some((erased, written))) => {
                        looked.extend(written);
                        report.add(erased);
                    }
                    Ok(None) => {}
                    Err(error @ (StorageError::Stopped | StorageError::Broken(_))) => return Err(error),
                    Err(error) => drop(failure.get_or_insert(error)),
                }
            }
        }
        if report.files > 0 {
            self.inner.verify().await?;
        }
        failure.map_or(Ok(report), Err)
    }

    /// What an erasure of these subjects would take now. Changes nothing.
    ///
    /// # Errors
    /// When a file cannot be read, or has a row without a pseudonym.
    pub async fn holding(&self, subjects: Arc<Subjects>) -> Result<ErasedRows> {
        let mut report = ErasedRows::default();
        let files = self.look(&mut HashSet::new(), &subjects).await?;
        for (file, rows) in files.into_iter().flatten() {
            let rows = rows?;
            if rows > 0 {
                report.add(ErasedRows { files: 1, rows, bytes_in: file.bytes, bytes_out: 0 });
            }
        }
        Ok(report)
    }

    /// Reads whose the rows of the live files are whose paths are not in the set, and puts them there; none when there are no such files.
    async fn look(
        &self,
        looked: &mut HashSet<String>,
        subjects: &Arc<Subjects>,
    ) -> Result<Option<Vec<Looked>>> {
        let snapshot = self.snapshot().await?;
        let files: Vec<LiveFile> =
            snapshot.files().iter().filter(|file| !looked.contains(&file.path)).cloned().collect();
        if files.is_empty() || subjects.is_empty() {
            return Ok(None);
        }
        looked.extend(files.iter().map(|file| file.path.clone()));
        let (stop, subjects) = (StopOnDrop::default(), Arc::clone(subjects));
        let stopped = stop.asked(&self.inner);
        let look = move |file: LiveFile| {
            if stopped() {
                return Err(StorageError::Stopped);
            }
            let rows = held(&snapshot, &file, &subjects);
            Ok((file, rows))
        };
        let work = host::blocking(move || files.into_iter().map(look).collect::<Result<Vec<_>>>());
        work.await.map_err(|_| StorageError::Stopped)?.map(Some)
    }

    /// Puts a file without the rows of these subjects, of which it has so many, in its place. Answers what that did, and what was
    /// written; none when the file had left the table.
    async fn erase_file(
        &self,
        file: &LiveFile,
        rows: u64,
        subjects: &Arc<Subjects>,
        now_ms: i64,
    ) -> Result<Option<(ErasedRows, Option<String>)>> {
        let _only = self.inner.compacting.lock().await;
        if self.inner.is_stopping() {
            return Err(StorageError::Stopped);
        }
        let snapshot = self.snapshot().await?;
        if !self.inner.is_live(&file.path) {
            return Ok(None);
        }
        let erased =
            |rows: u64, bytes_out: u64| ErasedRows { files: 1, rows, bytes_in: file.bytes, bytes_out };
        if rows == file.rows {
            let gone = self.expire(&|live| live.path == file.path).await?;
            return Ok((!gone.removed.is_empty()).then(|| (erased(rows, 0), None)));
        }
        let group = std::slice::from_ref(file);
        let merged = self.replace_group(&snapshot, group, Arc::clone(subjects), now_ms).await?;
        Ok(merged.map(|merged| {
            let written = merged.written.file;
            (erased(merged.erased, written.bytes), Some(written.path))
        }))
    }
}

impl ErasedRows {
    fn add(&mut self, more: ErasedRows) {
        self.files += more.files;
        self.rows += more.rows;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
    }
}

/// How many rows of a file are of these subjects; none of one whose key is gone.
pub(super) fn held(snapshot: &Snapshot, file: &LiveFile, subjects: &Subjects) -> Result<u64> {
    if !snapshot.has_key(file) {
        return Ok(0);
    }
    let (mut all, mut held) = (0, 0);
    snapshot.subjects(file, &mut |subject, rows| {
        all += rows;
        if subjects.contains(&u128::from_be_bytes(*subject)) {
            held += rows;
        }
    })?;
    if all != file.rows {
        return Err(StorageError::RowCount { table: file.path.clone(), expected: file.rows, found: all });
    }
    Ok(held)
}

#[cfg(test)]
mod tests;

//! Few rows make no file of their own for long: those of a flush become one file with the few of earlier flushes, in the commit that
//! brings them.
//!
//! ```text
//! files of a flush -> one has few rows? merge with live files of few rows of its programme and day -> one commit: it comes, they go
//! ```
//! A row is written anew until its file has [`FEW_ROWS`] rows, so one file of few rows a programme and day is there, and the work of a
//! flush is at most [`JOINED_MAX`] such files. Merges of larger ones are left to `tiers`.
//!
//! Invariants: nothing waits for it, and nothing depends on it: while another merge of the table runs, and where one fails, the files
//! of the flush are committed as they are. Rows in = rows out + copies (`merge`). What is joined is in flight, and what it replaces is
//! pinned, until the commit is decided. Not here: the commit (`append`), which rows are copies (`copies`).

use std::sync::Arc;

use shoal_files::host;

use crate::error::{Result, StorageError};
use crate::tables::compact_report::CompactReport;
use crate::tables::live_file::LiveFile;
use crate::tables::merge::Merge;
use crate::tables::snapshot::Snapshot;
use crate::tables::table::{InFlight, Inner, Table};
use crate::tables::write::{self, WrittenFile};

/// A file of fewer rows is joined.
pub(crate) const FEW_ROWS: u64 = 1024;
/// One of more bytes is not: it has few rows of long texts.
const FEW_BYTES: u64 = 1 << 20;
/// So many live files go into one at a time.
const JOINED_MAX: usize = 15;

/// What is committed in the place of the files of a flush, and of files that are live.
pub(crate) struct Joined<'t> {
    /// Those of the flush that were not joined, and what was made of the others.
    pub(crate) files: Vec<WrittenFile>,
    /// What leaves the table.
    pub(crate) inputs: Vec<LiveFile>,
    /// What was merged, for the next compaction, which purges after merges.
    pub(crate) report: CompactReport,
    _pin: Snapshot,
    _in_flight: InFlight,
    /// No other merge of the table takes the inputs away.
    _only: tokio::sync::MutexGuard<'t, ()>,
}

fn is_few(file: &LiveFile) -> bool {
    file.rows < FEW_ROWS && file.bytes < FEW_BYTES
}

impl Inner {
    /// The files of a flush with live ones of few rows; none where there is nothing to join, or it cannot be done.
    pub(crate) async fn joined(self: &Arc<Self>, files: &[WrittenFile]) -> Option<Joined<'_>> {
        let only = self.compacting.try_lock().ok()?;
        let table = Table { inner: Arc::clone(self) };
        if !table.is_sortable() || self.is_stopping() {
            return None;
        }
        let snapshot = table.snapshot().await.ok()?;
        let groups: Vec<Vec<LiveFile>> = files.iter().map(|new| group(&snapshot, &new.file)).collect();
        if groups.iter().all(Vec::is_empty) {
            return None;
        }
        match self.merge_groups(&snapshot, files, groups.clone()).await {
            Ok((files, report, in_flight)) => {
                let inputs = groups.into_iter().flatten().collect();
                Some(Joined { files, inputs, report, _pin: snapshot, _in_flight: in_flight, _only: only })
            }
            Err(error) => {
                tracing::warn!(table = self.name, "few rows get a file of their own: {error}");
                None
            }
        }
    }

    /// Merges each file with the live ones of its group, if there are some.
    async fn merge_groups(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        files: &[WrittenFile],
        groups: Vec<Vec<LiveFile>>,
    ) -> Result<(Vec<WrittenFile>, CompactReport, InFlight)> {
        let path = |new: &WrittenFile| write::new_path(&self.name, new.file.programme, new.file.day);
        let paths = files.iter().map(path).collect::<Result<Vec<_>>>()?;
        let in_flight = InFlight::new(self, paths.clone());
        let (files, inner, snapshot) = (files.to_vec(), Arc::clone(self), snapshot.clone());
        let work = move || {
            let mut done: Vec<WrittenFile> = Vec::with_capacity(files.len());
            let mut made: Vec<WrittenFile> = Vec::new();
            let mut report = CompactReport::default();
            for ((new, group), path) in files.into_iter().zip(groups).zip(paths) {
                if group.is_empty() {
                    done.push(new);
                    continue;
                }
                let owner = Arc::clone(&inner);
                let merge = Merge {
                    table: inner.name.clone(),
                    objects: Arc::clone(&snapshot.objects),
                    keys: snapshot.keys.clone(),
                    layout: Arc::clone(&snapshot.layout),
                    files: group.into_iter().chain([new.file]).collect(),
                    path,
                    without: Arc::default(),
                    stopped: Box::new(move || owner.is_stopping()),
                };
                match merge.run() {
                    Ok(merged) => {
                        report.count(&merge.files, &merged);
                        made.push(merged.written.clone());
                        done.push(merged.written);
                    }
                    Err(error) => {
                        write::delete(&*snapshot.objects, &made);
                        return Err(error);
                    }
                }
            }
            Ok((done, report))
        };
        let (done, report) = host::blocking(work).await.map_err(|_| StorageError::Stopped)??;
        Ok((done, report, in_flight))
    }
}

/// The live files that a new one is joined with: those of the fewest rows; none when it has many.
fn group(snapshot: &Snapshot, new: &LiveFile) -> Vec<LiveFile> {
    let is_like = |file: &&LiveFile| file.day == new.day && file.programme == new.programme && is_few(file);
    let mut found: Vec<LiveFile> = match is_few(new) {
        true => snapshot.files().iter().filter(is_like).cloned().collect(),
        false => Vec::new(),
    };
    found.sort_by_key(|file| file.rows);
    found.truncate(JOINED_MAX);
    found
}

#[cfg(test)]
mod tests;

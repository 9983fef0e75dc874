//! Rows become part of a table, exactly once.
//!
//! ```text
//! append: version <= committed? nothing : make room on full days -> write files -> fsync -> [committer: look again -> commit]
//!         -> live
//! a commit failed: read the log -> the transaction is in? done : the same files once more
//! ```
//! Invariants: a file is registered as in flight before it exists and until its commit is decided, so that a purge leaves it
//! alone; a file is deleted here only when the log, read again, does not name it, and no commit can come any more that does.
//! Not here: what a file looks like (`write`).

use std::sync::Arc;

use arrow::array::RecordBatch;
use shoal_files::host;
use shoal_schemas::Programme;

use crate::error::{Result, StorageError};
use crate::tables::log;
use crate::tables::table::{InFlight, Inner, Table};
use crate::tables::write::{self, Place, WrittenFile};

/// So often a commit is tried that fails.
const COMMIT_ATTEMPTS: usize = 4;
/// So often it is tried when others are faster: each time one of them has committed.
const TAKEN_MAX: usize = 256;

/// Rows of one programme and day: one file.
#[derive(Clone)]
pub struct Part {
    /// Whose consent the rows came under.
    pub programme: Programme,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// Columns of the table by name; `day` is not needed, nullable ones may be missing.
    pub batch: RecordBatch,
}

/// What an append did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Files committed now.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The version had been committed before, so nothing was written now.
    pub repeated: bool,
}

impl Table {
    /// Writes the parts as files and commits them together, exactly once: when `version` is not above the version that
    /// `app_id` has committed, nothing is written. Everything is on disk, synced, when it returns. Goes on in the background
    /// when the caller stops waiting. No rows: nothing is written and the version is not recorded.
    ///
    /// # Errors
    /// [`StorageError::Schema`] when a batch does not fit: nothing was committed. Any other: repeat it with the same version.
    pub async fn append(&self, parts: Vec<Part>, app_id: &str, version: i64) -> Result<AppendReport> {
        let inner = Arc::clone(&self.inner);
        let app_id = app_id.to_owned();
        tokio::spawn(async move { inner.append(parts, &app_id, version).await })
            .await
            .map_err(|_| StorageError::Stopped)?
    }
}

impl Inner {
    async fn append(self: Arc<Self>, parts: Vec<Part>, app_id: &str, version: i64) -> Result<AppendReport> {
        let repeated = AppendReport { repeated: true, ..AppendReport::default() };
        let mut committer = self.committer().await?;
        if self.has(&mut committer, app_id, version).await? {
            return Ok(repeated);
        }
        drop(committer);
        let days = parts.iter().filter(|part| part.batch.num_rows() > 0);
        let days = days.map(|part| (part.day, part.programme)).collect();
        Table { inner: Arc::clone(&self) }.make_room(&days).await?;
        let (in_flight, files) = self.write_parts(parts).await?;
        if files.is_empty() {
            return Ok(AppendReport::default());
        }
        let done = self.commit_files(&files, app_id, version).await;
        if !matches!(done, Ok(true)) {
            self.discard(&files, &done).await;
        }
        drop(in_flight);
        if !done? {
            return Ok(repeated);
        }
        Ok(AppendReport {
            files: files.len() as u64,
            rows: files.iter().map(|f| f.file.rows).sum(),
            bytes: files.iter().map(|f| f.file.bytes).sum(),
            repeated: false,
        })
    }

    /// Writes and syncs a file for each part that has rows.
    async fn write_parts(self: &Arc<Self>, parts: Vec<Part>) -> Result<(InFlight, Vec<WrittenFile>)> {
        let parts: Vec<Part> = parts.into_iter().filter(|p| p.batch.num_rows() > 0).collect();
        let paths = parts
            .iter()
            .map(|p| write::new_path(&self.name, p.programme, p.day))
            .collect::<Result<Vec<_>>>()?;
        let in_flight = InFlight::new(self, paths.clone());
        let layout = self.layout();
        let (objects, keys) = (Arc::clone(&self.objects), self.keys.clone());
        let work = move || {
            let mut files: Vec<WrittenFile> = Vec::with_capacity(parts.len());
            for (part, path) in parts.into_iter().zip(paths) {
                match write::write(Place { objects: &*objects, keys: &keys }, path, &layout, &part.batch) {
                    Ok(file) => files.push(file),
                    Err(e) => {
                        write::delete(&*objects, &files);
                        return Err(e);
                    }
                }
            }
            Ok(files)
        };
        let written = host::blocking(work).await;
        Ok((in_flight, written.map_err(|_| StorageError::Stopped)??))
    }

    /// Whether these files were committed now; not so when the version was in already, with other files.
    async fn commit_files(&self, files: &[WrittenFile], app_id: &str, version: i64) -> Result<bool> {
        let mut committer = self.committer().await?;
        if self.has(&mut committer, app_id, version).await? {
            return Ok(false);
        }
        let (mut attempt, mut taken) = (1, 0);
        loop {
            let actions = log::addition(files, app_id, version);
            match self.commit(&mut committer, actions).await {
                Ok(()) => {
                    let app_id = app_id.to_owned();
                    committer.transactions.insert(app_id, Some(version));
                    self.show(committer.version, &[], files);
                    return Ok(true);
                }
                Err(e) => {
                    if !e.is_taken() {
                        tracing::warn!(table = self.name, attempt, "commit failed, reading the log: {e}");
                    }
                    self.reload(&mut committer).await?;
                    if self.has(&mut committer, app_id, version).await? {
                        // It landed. Its sync is what may have failed.
                        self.sync_log()?;
                        return Ok(self.is_live(&files[0].file.path));
                    }
                    let tries = if e.is_taken() { &mut taken } else { &mut attempt };
                    *tries += 1;
                    if attempt > COMMIT_ATTEMPTS || taken > TAKEN_MAX {
                        return Err(e);
                    }
                }
            }
        }
    }

    /// Deletes files that are surely in no version. When that is not sure, they stay; a purge sweeps them once they are old.
    async fn discard(&self, files: &[WrittenFile], done: &Result<bool>) {
        let mut committer = self.committer.lock().await;
        let sure = done.is_ok() || (self.reload(&mut committer).await.is_ok() && committer.is_decided());
        if sure && !files.iter().any(|f| self.is_live(&f.file.path)) {
            write::delete(&*self.objects, files);
        }
    }
}

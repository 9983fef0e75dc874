//! Rows become part of a table, exactly once.
//!
//! ```text
//! append: version <= committed? nothing : make room on full days -> write files -> fsync -> few rows? join them with live files
//!         -> [committer: look again -> commit] -> live
//! a commit failed: read the log -> the transaction is in? done : the same files once more
//! another commit of the application came between: nothing is written, and whoever has the rows looks again which are missing
//! ```
//! Invariants: a file is registered as in flight before it exists and until its commit is decided, so that a purge leaves it
//! alone; a file is deleted here only when the log, read again, does not name it, and no commit can come any more that does.
//! Not here: what a file looks like (`write`), which files are joined (`join`).

use std::sync::Arc;

use arrow::array::RecordBatch;
use shoal_files::host;
use shoal_schemas::Programme;

use crate::error::{Result, StorageError};
use crate::tables::live_file::LiveFile;
use crate::tables::log;
use crate::tables::table::{Committer, InFlight, Inner, Table, hold};
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
    /// Another version had been committed since the one that the rows come after, so nothing was written now.
    pub overtaken: bool,
}

/// What is to be committed for whom.
pub(crate) struct Goal {
    pub(crate) app_id: String,
    pub(crate) version: i64,
    /// The version that the rows come after, where whoever made them knows it.
    pub(crate) after: Option<Option<i64>>,
}

/// What became of files that were to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They are in the table.
    Committed,
    /// Others are, or may be, that have their rows.
    Not(Standing),
    /// What they were to replace had left the table.
    InputGone,
}

/// How far an application has come, as far as a goal is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The rows are not in the table, and may come to it.
    Open,
    /// They are in it.
    Repeated,
    /// Some of them may be.
    Overtaken,
}

impl Table {
    /// Writes the parts as files and commits them together, exactly once: when `version` is not above the version that
    /// `app_id` has committed, nothing is written. Everything is on disk, synced, when it returns. Goes on in the background
    /// when the caller stops waiting. No rows: nothing is written and the version is not recorded.
    ///
    /// # Errors
    /// [`StorageError::Schema`] when a batch does not fit: nothing was committed. Any other: repeat it with the same version.
    pub async fn append(&self, parts: Vec<Part>, app_id: &str, version: i64) -> Result<AppendReport> {
        self.append_to(parts, Goal { app_id: app_id.to_owned(), version, after: None }).await
    }

    /// The same for rows of several versions, all those after `after`: they are committed only while that is the version that `app_id` has
    /// committed last. An earlier commit may come late, of this process or of one before it, and hold a part of them.
    ///
    /// # Errors
    /// As [`Table::append`].
    pub async fn append_after(
        &self,
        parts: Vec<Part>,
        app_id: &str,
        version: i64,
        after: Option<i64>,
    ) -> Result<AppendReport> {
        self.append_to(parts, Goal { app_id: app_id.to_owned(), version, after: Some(after) }).await
    }

    async fn append_to(&self, parts: Vec<Part>, goal: Goal) -> Result<AppendReport> {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.append(parts, &goal).await })
            .await
            .map_err(|_| StorageError::Stopped)?
    }
}

impl Inner {
    /// How far the application of a goal has come.
    async fn standing(&self, committer: &mut Committer, goal: &Goal) -> Result<Standing> {
        let committed = self.transaction(committer, &goal.app_id).await?;
        Ok(match goal.after {
            _ if committed.is_some_and(|committed| goal.version <= committed) => Standing::Repeated,
            Some(after) if after != committed => Standing::Overtaken,
            _ => Standing::Open,
        })
    }

    async fn append(self: Arc<Self>, parts: Vec<Part>, goal: &Goal) -> Result<AppendReport> {
        let unwritten = |standing: Standing| AppendReport {
            repeated: standing == Standing::Repeated,
            overtaken: standing == Standing::Overtaken,
            ..AppendReport::default()
        };
        let mut committer = self.committer().await?;
        let standing = self.standing(&mut committer, goal).await?;
        if standing != Standing::Open {
            return Ok(unwritten(standing));
        }
        drop(committer);
        let days = parts.iter().filter(|part| part.batch.num_rows() > 0);
        let days = days.map(|part| (part.day, part.programme)).collect();
        Table { inner: Arc::clone(&self) }.make_room(&days).await?;
        let (in_flight, files) = self.write_parts(parts).await?;
        if files.is_empty() {
            return Ok(AppendReport::default());
        }
        // A flush says after which version its rows come. Whoever does not gets the files that it has asked for.
        let joined = if goal.after.is_some() { self.joined(&files).await } else { None };
        let mut done = Ok(Outcome::InputGone);
        if let Some(joined) = &joined {
            done = self.commit_files(&joined.files, &joined.inputs, goal).await;
            if matches!(done, Ok(Outcome::Committed)) {
                hold(&self.made_room).add(&joined.report);
            }
        }
        if matches!(done, Ok(Outcome::InputGone)) {
            done = self.commit_files(&files, &[], goal).await;
        }
        if joined.is_some() || !matches!(done, Ok(Outcome::Committed)) {
            let made = joined.iter().flat_map(|joined| &joined.files);
            let all: Vec<WrittenFile> = files.iter().chain(made).cloned().collect();
            self.discard(all, done.is_ok()).await;
        }
        drop((in_flight, joined));
        if let Outcome::Not(standing) = done? {
            return Ok(unwritten(standing));
        }
        Ok(AppendReport {
            files: files.len() as u64,
            rows: files.iter().map(|f| f.file.rows).sum(),
            bytes: files.iter().map(|f| f.file.bytes).sum(),
            ..AppendReport::default()
        })
    }

    /// Writes and syncs a file for each part that has rows.
    pub(crate) async fn write_parts(
        self: &Arc<Self>,
        parts: Vec<Part>,
    ) -> Result<(InFlight, Vec<WrittenFile>)> {
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

    /// Commits files in the place of live ones.
    pub(crate) async fn commit_files(
        &self,
        files: &[WrittenFile],
        inputs: &[LiveFile],
        goal: &Goal,
    ) -> Result<Outcome> {
        let mut committer = self.committer().await?;
        let (mut attempt, mut taken) = (1, 0);
        loop {
            let standing = self.standing(&mut committer, goal).await?;
            if standing != Standing::Open {
                return Ok(Outcome::Not(standing));
            }
            if !inputs.iter().all(|file| self.is_live(&file.path)) {
                return Ok(Outcome::InputGone);
            }
            let actions = log::addition(files, inputs, &goal.app_id, goal.version);
            match self.commit(&mut committer, actions).await {
                Ok(()) => {
                    committer.transactions.insert(goal.app_id.clone(), Some(goal.version));
                    self.show(committer.version, inputs, files);
                    return Ok(Outcome::Committed);
                }
                Err(e) => {
                    if !e.is_taken() {
                        tracing::warn!(table = self.name, attempt, "commit failed, reading the log: {e}");
                    }
                    self.reload(&mut committer).await?;
                    if self.standing(&mut committer, goal).await? == Standing::Repeated {
                        // It landed. Its sync is what may have failed.
                        self.sync_log()?;
                        return Ok(match self.is_live(&files[0].file.path) {
                            true => Outcome::Committed,
                            false => Outcome::Not(Standing::Repeated),
                        });
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

    /// Deletes those of these files that are surely in no version. When that is not sure, they stay; a purge sweeps them once they are
    /// old.
    async fn discard(&self, mut files: Vec<WrittenFile>, is_done: bool) {
        let mut committer = self.committer.lock().await;
        if is_done || (self.reload(&mut committer).await.is_ok() && committer.is_decided()) {
            files.retain(|written| !self.is_live(&written.file.path));
            write::delete(&*self.objects, &files);
        }
    }
}

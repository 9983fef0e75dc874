//! The bytes of removed files, and every mention of them, leave the disk.
//!
//! ```text
//! read the log -> delete files -> (tip removes something? one empty commit) -> checkpoint -> delete older log entries
//! ```
//! A file is deleted when no live version has it and a commit removed it (at once), or when no commit ever named it and it
//! is older than the grace period (left behind by a crash). The order makes a crash harmless at any point: the entries that
//! name a removed file go only after the file. The checkpoint holds no tombstones (`delta.deletedFileRetentionDuration` is
//! zero), and with the older entries gone nothing on the disk holds a removed file's name or statistics.
//!
//! A file that a reader may still be reading is left for the next run; after a restart nobody reads, and its age lets it go.
//!
//! Invariants: a file that an append or a merge in flight has written is never touched; no commit happens meanwhile; the table reads
//! the same before and after. Not here: which files are removed (`expire`).

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::durable;
use crate::error::{Result, StorageError};
use crate::tables::log::{self, Loaded};
use crate::tables::table::{Committer, Inner, Table, hold};

/// How old a file must be that no commit names, before it counts as left behind, in milliseconds.
const GRACE_MS: i64 = 6 * 3_600_000;

/// What a purge deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Commits and checkpoints deleted from the log.
    pub log_entries: u64,
    /// Files that should go and are left for the next run, because a snapshot, or a query made from one, may be reading them.
    pub pinned: u64,
}

impl Table {
    /// Deletes the files that no live version references, checkpoints, and deletes the log entries before the checkpoint.
    /// `now_ms` (milliseconds since 1970) decides only whether a file that no commit names is old enough to delete. Appends
    /// wait with their commit until it is done. Files of a [`crate::Snapshot`] that lives are left for the next run, and counted.
    ///
    /// # Errors
    /// [`StorageError::RowCount`] when the table reads differently afterwards; [`StorageError::Io`] and
    /// [`StorageError::Delta`] when something could not be deleted or read: repeat it.
    pub async fn purge(&self, now_ms: i64) -> Result<PurgeReport> {
        let inner = &self.inner;
        let mut committer = inner.committer().await?;
        let loaded = inner.reload(&mut committer).await?;
        let before = self.snapshot().await?;
        let live: HashSet<String> = before.files().iter().map(|f| f.path.clone()).collect();
        let entries = entries(&inner.dir.join("_delta_log"))?;
        let (mut removed, tip_removes) = inner.removed(&entries, committer.version).await?;
        removed.extend(hold(&inner.left_behind).iter().cloned());
        let deleter = Arc::clone(inner);
        let pinned = inner.pinned();
        let deleted = move || deleter.delete_files(&Fates { live, removed, pinned }, now_ms);
        let deleted = tokio::task::spawn_blocking(deleted).await;
        let mut report = deleted.map_err(|_| StorageError::Stopped)??;
        let tip = committer.version;
        let older = entries.iter().any(|e| e.version.is_some_and(|v| v < tip));
        if older || tip_removes {
            report.log_entries = inner.shorten_log(&mut committer, loaded, tip_removes).await?;
        }
        inner.sweep_drafts(&inner.dir.join("_delta_log"), "", now_ms)?;
        inner.reload(&mut committer).await?;
        let after = self.snapshot().await?;
        if after.files() != before.files() {
            return Err(StorageError::RowCount {
                table: inner.name.clone(),
                expected: before.files().iter().map(|f| f.rows).sum(),
                found: after.files().iter().map(|f| f.rows).sum(),
            });
        }
        Ok(report)
    }
}

/// What is known about data files, by path.
struct Fates {
    live: HashSet<String>,
    removed: HashSet<String>,
    pinned: HashSet<String>,
}

/// A file in `_delta_log`, with its version when it is a commit or a checkpoint.
struct LogEntry {
    path: PathBuf,
    version: Option<u64>,
    commit: bool,
}

impl Inner {
    /// The paths that commits still in the log removed, and whether the newest commit is one of those.
    async fn removed(&self, entries: &[LogEntry], tip: u64) -> Result<(HashSet<String>, bool)> {
        let mut removed = HashSet::new();
        let mut tip_removes = false;
        for entry in entries.iter().filter(|e| e.commit) {
            let Some(version) = entry.version else { continue };
            let paths = self.log.removed(version).await?.unwrap_or_default();
            tip_removes |= version == tip && !paths.is_empty();
            removed.extend(paths);
        }
        Ok((removed, tip_removes))
    }

    fn delete_files(&self, fates: &Fates, now_ms: i64) -> Result<PurgeReport> {
        let mut report = PurgeReport::default();
        for day in list(&self.dir)? {
            let Some(name) = day.file_name().to_str().map(str::to_owned) else { continue };
            if !name.starts_with("day=") {
                continue;
            }
            let dir = day.path();
            self.sweep_drafts(&dir, &name, now_ms)?;
            for entry in list(&dir)? {
                let path = format!("{name}/{}", entry.file_name().to_string_lossy());
                if !path.ends_with(".parquet") || fates.live.contains(&path) || self.flies(&path) {
                    continue;
                }
                if !fates.removed.contains(&path) && age_ms(&entry, now_ms)? < GRACE_MS {
                    continue;
                }
                if fates.pinned.contains(&path) {
                    report.pinned += 1;
                    // The log forgets the file now, so that nothing but its age would say that it may go.
                    hold(&self.left_behind).insert(path);
                } else {
                    report.bytes += delete(&entry.path())?;
                    report.files += 1;
                    hold(&self.left_behind).remove(&path);
                }
            }
            self.close_day(&dir, &name)?;
        }
        durable::sync_dir(&self.dir).map_err(StorageError::io(&self.dir))?;
        Ok(report)
    }

    fn flies(&self, path: &str) -> bool {
        hold(&self.in_flight).contains(path)
    }

    /// Syncs a day's directory, or removes it when it is empty and no append is about to write there.
    fn close_day(&self, dir: &Path, name: &str) -> Result<()> {
        let in_flight = hold(&self.in_flight);
        let awaited = in_flight.iter().any(|path| path.starts_with(name));
        if !awaited && list(dir)?.is_empty() {
            return fs::remove_dir(dir).map_err(StorageError::io(dir));
        }
        durable::sync_dir(dir).map_err(StorageError::io(dir))
    }

    /// Checkpoints the newest version, which must not name a removed file itself, and deletes every entry before it.
    async fn shorten_log(
        &self,
        committer: &mut Committer,
        mut loaded: Loaded,
        tip_removes: bool,
    ) -> Result<u64> {
        if tip_removes {
            self.commit(committer, log::nothing()).await?;
            loaded = self.reload(committer).await?;
        }
        self.log.checkpoint(&loaded).await?;
        let dir = self.dir.join("_delta_log");
        let found = entries(&dir)?;
        let checkpoint = |e: &LogEntry| !e.commit && e.version == Some(committer.version);
        if !found.iter().any(checkpoint) {
            return Ok(0);
        }
        durable::sync_dir(&dir).map_err(StorageError::io(&dir))?;
        let mut deleted = 0;
        for entry in found {
            if entry.version.is_some_and(|v| v < committer.version) {
                delete(&entry.path)?;
                deleted += 1;
            }
        }
        durable::sync_dir(&dir).map_err(StorageError::io(&dir))?;
        Ok(deleted)
    }

    /// Deletes unfinished files that a crash left behind in a directory, `""` for the log's.
    fn sweep_drafts(&self, dir: &Path, day: &str, now_ms: i64) -> Result<()> {
        for entry in list(dir)? {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let finished = name.split('#').next().unwrap_or_default();
            if durable::is_unfinished(&name)
                && !self.flies(&format!("{day}/{finished}"))
                && age_ms(&entry, now_ms)? >= GRACE_MS
            {
                delete(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn list(dir: &Path) -> Result<Vec<DirEntry>> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    entries.map_err(StorageError::io(dir))
}

fn entries(dir: &Path) -> Result<Vec<LogEntry>> {
    let found = list(dir)?.into_iter().map(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let (version, rest) = name.split_once('.').unwrap_or((&name, ""));
        let finished = !durable::is_unfinished(&name) && version.len() == 20;
        LogEntry {
            path: entry.path(),
            version: finished.then(|| version.parse().ok()).flatten(),
            commit: rest == "json",
        }
    });
    Ok(found.collect())
}

fn delete(path: &Path) -> Result<u64> {
    let bytes = fs::metadata(path).map_err(StorageError::io(path))?.len();
    fs::remove_file(path).map_err(StorageError::io(path))?;
    Ok(bytes)
}

/// Time since the last change, by the file system's clock.
fn age_ms(entry: &DirEntry, now_ms: i64) -> Result<i64> {
    let path = entry.path();
    let changed = entry.metadata().and_then(|m| m.modified());
    let changed = changed.map_err(StorageError::io(&path))?;
    let changed_ms = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok(now_ms.saturating_sub(i64::try_from(changed_ms).unwrap_or(i64::MAX)))
}

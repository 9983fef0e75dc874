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
//! Invariants: a file that an append or a merge in flight has written is never touched; no commit happens meanwhile; the table
//! reads the same before and after. Not here: which files are removed (`expire`).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use shoal_files::{Entry, host};
use shoal_schemas::calendar::HOUR_MS;

use crate::error::{Result, StorageError};
use crate::tables::log::{self, LOG_FOLDER, Loaded};
use crate::tables::table::{Committer, Inner, Table, hold};
use crate::tables::write::parse_path;

/// How long it takes from one look at what is waited for to the next.
const WAIT_POLL: Duration = Duration::from_millis(20);
/// Looks at the most: a minute.
const WAIT_POLLS_MAX: u32 = 3_000;
/// How old a file must be that no commit names, before it counts as left behind, in milliseconds.
const GRACE_MS: i64 = 6 * HOUR_MS;

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
        let entries = inner.log_entries()?;
        let (mut removed, tip_removes) = inner.removed(&entries, committer.version).await?;
        removed.extend(hold(&inner.left_behind).iter().cloned());
        let deleter = Arc::clone(inner);
        let pinned = inner.pinned();
        let deleted = move || deleter.delete_files(&Fates { live, removed, pinned }, now_ms);
        let deleted = host::blocking(deleted).await;
        let mut report = deleted.map_err(|_| StorageError::Stopped)??;
        let tip = committer.version;
        let older = entries.iter().any(|e| e.version.is_some_and(|v| v < tip));
        if older || tip_removes {
            report.log_entries = inner.shorten_log(&mut committer, loaded, tip_removes).await?;
        }
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

impl Table {
    /// Waits until every file of a day is decided about that is on its way to the table now. False when that takes too long.
    pub async fn is_settled(&self, day: i32) -> bool {
        let in_flight = || of_day(hold(&self.inner.in_flight).iter(), day);
        let before = in_flight();
        gone(|| in_flight().is_disjoint(&before)).await
    }

    /// Waits until no reader has a file of a day in its list that is not in the table any more. False when that takes too long.
    pub async fn is_unread(&self, day: i32) -> bool {
        gone(|| of_day(self.inner.pinned().iter(), day).iter().all(|path| self.inner.is_live(path))).await
    }

    /// Destroys the keys of days that are over, of which no file is in the table or on its way there, or may be read by anybody. What
    /// was encrypted with them is unreadable from then on, in every copy. Answers how many keys there were.
    ///
    /// # Errors
    /// When a key cannot be destroyed: repeat it.
    pub async fn shred(&self, is_over: impl Fn(i32) -> bool + Send + 'static) -> Result<u64> {
        let inner = &self.inner;
        let _committer = inner.committer().await?;
        let live = self.snapshot().await?;
        let mut in_use: BTreeSet<i32> = live.files().iter().map(|file| file.day).collect();
        let in_flight: Vec<String> = hold(&inner.in_flight).iter().cloned().collect();
        let others = inner.pinned().into_iter().chain(in_flight);
        in_use.extend(others.filter_map(|path| parse_path(&path)).map(|(day, _)| day));
        let keys = inner.keys.clone();
        let shredded = host::blocking(move || keys.shred(&is_over, &in_use)).await;
        shredded.map_err(|_| StorageError::Stopped)?
    }
}

/// The paths that are of a day.
fn of_day<'p>(paths: impl Iterator<Item = &'p String>, day: i32) -> BTreeSet<String> {
    paths.filter(|path| parse_path(path).is_some_and(|(of, _)| of == day)).cloned().collect()
}

/// Whether it comes true within [`WAIT_POLLS_MAX`] looks.
async fn gone(is_gone: impl Fn() -> bool) -> bool {
    for _ in 0..WAIT_POLLS_MAX {
        if is_gone() {
            return true;
        }
        tokio::time::sleep(WAIT_POLL).await;
    }
    false
}

/// What is known about data files, by path.
struct Fates {
    live: HashSet<String>,
    removed: HashSet<String>,
    pinned: HashSet<String>,
}

/// A file in `_delta_log`, with its version when it is a commit or a checkpoint.
struct LogEntry {
    name: String,
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

    /// Data files that may go, and unfinished ones that a crash left behind.
    fn delete_files(&self, fates: &Fates, now_ms: i64) -> Result<PurgeReport> {
        let mut report = PurgeReport::default();
        let mut gone: Vec<Entry> = Vec::new();
        for entry in self.list("")? {
            let path = &entry.name;
            if !is_data(path) || fates.live.contains(path) || self.flies(path) {
                continue;
            }
            if !fates.removed.contains(path) && now_ms.saturating_sub(entry.modified_ms) < GRACE_MS {
                continue;
            }
            if fates.pinned.contains(path) {
                report.pinned += 1;
                // The log forgets the file now, so that nothing but its age would say that it may go.
                hold(&self.left_behind).insert(entry.name);
            } else {
                report.bytes += entry.bytes;
                report.files += 1;
                gone.push(entry);
            }
        }
        self.remove(gone.iter().map(|entry| entry.name.as_str()))?;
        let mut left_behind = hold(&self.left_behind);
        for entry in &gone {
            left_behind.remove(&entry.name);
        }
        drop(left_behind);
        // Also makes what an earlier run removed durable, if that run failed before it was: the log is about to forget it.
        let swept = self.objects.sweep("", now_ms.saturating_sub(GRACE_MS));
        swept.map_err(StorageError::io(self.objects.path("")))?;
        Ok(report)
    }

    fn flies(&self, path: &str) -> bool {
        hold(&self.in_flight).contains(path)
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
        let found = self.log_entries()?;
        let checkpoint = |e: &LogEntry| !e.commit && e.version == Some(committer.version);
        if !found.iter().any(checkpoint) {
            return Ok(0);
        }
        self.sync_log()?;
        let is_older = |e: &&LogEntry| e.version.is_some_and(|v| v < committer.version);
        let older: Vec<&LogEntry> = found.iter().filter(is_older).collect();
        self.remove(older.iter().map(|e| e.name.as_str()))?;
        Ok(older.len() as u64)
    }

    fn remove<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let removed = self.objects.remove(&names.collect::<Vec<_>>());
        removed.map_err(StorageError::io(self.objects.path("")))
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.objects.list(folder).map_err(StorageError::io(self.objects.path(folder)))
    }

    /// The version of the newest checkpoint; 0 when there is none.
    pub(crate) fn last_checkpoint(&self) -> Result<u64> {
        let checkpoints = self.log_entries()?.into_iter().filter(|entry| !entry.commit);
        Ok(checkpoints.filter_map(|entry| entry.version).max().unwrap_or(0))
    }

    fn log_entries(&self) -> Result<Vec<LogEntry>> {
        let found = self.list(LOG_FOLDER)?.into_iter().filter_map(|entry| {
            let file = entry.name.strip_prefix(LOG_FOLDER)?.strip_prefix('/').filter(|f| !f.contains('/'))?;
            let (version, rest) = file.split_once('.').unwrap_or((file, ""));
            let version = (version.len() == 20).then(|| version.parse().ok()).flatten();
            Some(LogEntry { version, commit: rest == "json", name: entry.name })
        });
        Ok(found.collect())
    }
}

/// Whether a file is a day's data, by its name: `day=.../....parquet`.
fn is_data(path: &str) -> bool {
    let file = path.strip_prefix("day=").and_then(|rest| rest.split_once('/'));
    file.is_some_and(|(_, file)| !file.contains('/') && file.ends_with(".parquet"))
}

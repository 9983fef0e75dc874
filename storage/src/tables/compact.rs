//! Many small files become few, so that a query opens few files and a purge reads a short log.
//!
//! ```text
//! plan (tiers) -> merge, on a blocking thread, nobody waits -> [committer: all inputs still live? -> commit] -> next group
//! ```
//! The committer is held for the commit alone: appends go on during a merge, and an expiry that takes an input away wins.
//! An append that finds a day full waits for a merge as well ([`Table::make_room`]), between two of a compaction that runs.
//!
//! Invariants: one merge of a table at a time (two that overlap would double rows in a log that does not check, so
//! every input is looked up again under the committer's lock as well); the output is in flight, and the inputs are pinned,
//! until the commit is decided; rows in = rows out + duplicates (+ what `erase` leaves out) before anything is committed. Not here:
//! which files belong together (`tiers`), their rows (`merge`), the bytes of the inputs afterwards (`purge`).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shoal_files::host;
use shoal_schemas::{Programme, columns};

use crate::error::{Result, StorageError};
use crate::suppressed::Subjects;
use crate::tables::compact_report::{CompactReport, FailedMerge};
use crate::tables::live_file::LiveFile;
use crate::tables::log;
use crate::tables::merge::{Merge, Merged};
use crate::tables::snapshot::Snapshot;
use crate::tables::table::{InFlight, Inner, Table, hold};
use crate::tables::tiers::{CompactPolicy, DAY_FILES_MAX};
use crate::tables::write;

/// Tells work on another thread that nobody waits for it any more.
#[derive(Default)]
pub(super) struct StopOnDrop(Arc<AtomicBool>);

impl StopOnDrop {
    /// Whether to give up: since nobody waits, or the store is to be left.
    pub(super) fn asked(&self, inner: &Arc<Inner>) -> impl Fn() -> bool + Send + use<> {
        let (dropped, owner) = (Arc::clone(&self.0), Arc::clone(inner));
        move || dropped.load(Ordering::Relaxed) || owner.is_stopping()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Table {
    /// Merges small files of the same programme and day, and those of a day of too many, at most `policy.groups_max` times;
    /// does nothing while another compaction of this table runs. The report has what appends had merged before, too. Appends,
    /// queries and expiries go on meanwhile. When the caller stops waiting, the merge at hand is given up, and so it is after
    /// [`crate::Store::stop_compacting`]. `now_ms` (milliseconds since 1970) is written into the log as the time of the change.
    ///
    /// A merge that fails, since a file cannot be read or does not hold the rows that it should, is in the report and does not keep
    /// the others from being done: its files are still in the table as they were.
    ///
    /// # Errors
    /// [`StorageError::RowCount`] when the log does not hold the files that it should after all of them.
    pub async fn compact(&self, now_ms: i64, policy: CompactPolicy) -> Result<CompactReport> {
        let Ok(first) = self.inner.compacting.try_lock() else { return Ok(CompactReport::default()) };
        if !self.is_sortable() {
            return Ok(CompactReport::default());
        }
        let mut report = std::mem::take(&mut *hold(&self.inner.made_room));
        let mut failed: HashSet<String> = HashSet::new();
        let mut only = Some(first);
        for _ in 0..policy.groups_max {
            let _only = match only.take() {
                Some(only) => only,
                None => self.inner.compacting.lock().await,
            };
            if self.inner.is_stopping() {
                break;
            }
            let snapshot = self.snapshot().await?;
            let files = || snapshot.files().iter().filter(|f| !failed.contains(&f.path));
            let group = policy.next_crowded(files(), DAY_FILES_MAX).or_else(|| policy.next_group(files()));
            let Some(group) = group else { break };
            match self.compact_group(&snapshot, &group, now_ms).await {
                Ok(Some(merged)) => report.count(&group, &merged),
                Ok(None) => report.aborted += 1,
                Err(StorageError::Stopped) if self.inner.is_stopping() => report.aborted += 1,
                Err(e) => {
                    report.failed.extend(group.first().map(|file| FailedMerge {
                        day: file.day,
                        programme: file.programme,
                        reason: e.to_string(),
                    }));
                    failed.extend(group.into_iter().map(|f| f.path));
                }
            }
        }
        if report.groups > 0 {
            self.inner.verify().await?;
        }
        Ok(report)
    }

    /// Whether a programme has as many files as it may on any of these days (since 1970), and some of them can be merged.
    ///
    /// # Errors
    /// None today; reading a shared store will have some.
    pub async fn is_full(&self, days: &BTreeSet<(i32, Programme)>) -> Result<bool> {
        let may_merge = self.is_sortable() && !self.inner.is_stopping();
        Ok(may_merge && self.crowded(&self.snapshot().await?, days).is_some())
    }

    /// Files to merge on the newest of these days that has no room for a file more.
    fn crowded(&self, snapshot: &Snapshot, days: &BTreeSet<(i32, Programme)>) -> Option<Vec<LiveFile>> {
        let defective = hold(&self.inner.defective);
        let files = snapshot.files().iter().filter(|f| days.contains(&(f.day, f.programme)));
        let sound = files.filter(|f| !defective.contains(&f.path));
        CompactPolicy::default().next_crowded(sound, DAY_FILES_MAX - 1)
    }

    /// Makes room for one file more on each of these days, as long as a programme has as many as it may. What cannot be merged
    /// stays as it is, which the operator is told: no row waits for it. It may take minutes; whoever appends under a lock calls
    /// it before that, since an append does it as well.
    ///
    /// # Errors
    /// None today; reading a shared store will have some.
    pub async fn make_room(&self, days: &BTreeSet<(i32, Programme)>) -> Result<()> {
        while self.is_full(days).await? {
            let _only = self.inner.compacting.lock().await;
            // Whoever held the lock may have made room.
            let snapshot = self.snapshot().await?;
            let Some(group) = self.crowded(&snapshot, days) else { break };
            match self.compact_group(&snapshot, &group, host::now_ms()).await {
                Ok(Some(merged)) => hold(&self.inner.made_room).count(&group, &merged),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        table = self.inner.name,
                        "files of a full day could not be merged: {error}"
                    );
                    if !matches!(error, StorageError::Schema { .. } | StorageError::RowCount { .. }) {
                        break;
                    }
                    hold(&self.inner.defective).extend(group.into_iter().map(|f| f.path));
                }
            }
        }
        Ok(())
    }

    /// Writes the files anew that are chosen, one by one, so that each is encrypted with the newest key of its day, or in the clear
    /// where nothing is encrypted. It can be stopped and repeated. Answers what was written; appends, queries and expiries go on.
    ///
    /// # Errors
    /// When a file cannot be read or written: those before it are done.
    pub async fn rewrite(&self, now_ms: i64, chosen: impl Fn(&LiveFile) -> bool) -> Result<CompactReport> {
        let mut report = CompactReport::default();
        let mut done: HashSet<String> = HashSet::new();
        while !self.inner.is_stopping() {
            let _only = self.inner.compacting.lock().await;
            let snapshot = self.snapshot().await?;
            let next = snapshot.files().iter().find(|file| chosen(file) && !done.contains(&file.path));
            let Some(file) = next.cloned() else { break };
            // One that is merged by somebody else meanwhile is another file then.
            done.insert(file.path.clone());
            match self.compact_group(&snapshot, std::slice::from_ref(&file), now_ms).await? {
                Some(merged) => {
                    done.insert(merged.written.file.path.clone());
                    report.count(&[file], &merged);
                }
                None => report.aborted += 1,
            }
        }
        if report.groups > 0 {
            self.inner.verify().await?;
        }
        Ok(report)
    }

    /// Whether rows have what files are sorted by.
    pub(crate) fn is_sortable(&self) -> bool {
        let (layout, order) = (self.inner.layout(), [columns::SUBJECT, columns::TIME, columns::EVENT_ID]);
        order.iter().all(|name| layout.column(name).is_some())
    }

    /// None when an input had left the table by the time of the commit.
    async fn compact_group(
        &self,
        snapshot: &Snapshot,
        group: &[LiveFile],
        now_ms: i64,
    ) -> Result<Option<Merged>> {
        self.replace_group(snapshot, group, Arc::default(), now_ms).await
    }

    /// The same without the rows of some subjects. Whoever calls it holds the `compacting` lock.
    pub(super) async fn replace_group(
        &self,
        snapshot: &Snapshot,
        group: &[LiveFile],
        without: Arc<Subjects>,
        now_ms: i64,
    ) -> Result<Option<Merged>> {
        let inner = &self.inner;
        let Some(first) = group.first() else { return Ok(None) };
        let path = write::new_path(&inner.name, first.programme, first.day)?;
        let in_flight = InFlight::new(inner, vec![path.clone()]);
        let stop = StopOnDrop::default();
        let stopped = Box::new(stop.asked(inner));
        let merge = Merge {
            table: inner.name.clone(),
            objects: Arc::clone(&snapshot.objects),
            keys: snapshot.keys.clone(),
            layout: Arc::clone(&snapshot.layout),
            files: group.to_vec(),
            path,
            without,
            stopped,
        };
        let pin = snapshot.clone();
        let work = move || {
            let merged = merge.run();
            drop(pin);
            merged.map(|merged| (in_flight, merged))
        };
        let done = host::blocking(work).await;
        let (in_flight, merged) = done.map_err(|_| StorageError::Stopped)??;
        // A commit that has begun is never left in the middle.
        let (inner, group) = (Arc::clone(inner), group.to_vec());
        let commit = async move {
            let done = inner.commit_merged(&group, &merged, now_ms).await;
            drop(in_flight);
            done.map(|committed| committed.then_some(merged))
        };
        tokio::spawn(commit).await.map_err(|_| StorageError::Stopped)?
    }
}

impl CompactReport {
    /// Adds what another one says.
    pub(crate) fn add(&mut self, other: &CompactReport) {
        self.groups += other.groups;
        self.files += other.files;
        self.rows += other.rows;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.duplicates += other.duplicates;
    }

    pub(crate) fn count(&mut self, group: &[LiveFile], merged: &Merged) {
        self.groups += 1;
        self.files += group.len() as u64;
        self.rows += merged.written.file.rows;
        self.bytes_in += group.iter().map(|f| f.bytes).sum::<u64>();
        self.bytes_out += merged.written.file.bytes;
        self.duplicates += merged.duplicates;
    }
}

impl Inner {
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock.stop_compacting.load(Ordering::Relaxed)
    }

    /// Whether the merged file is in the place of its inputs now; not so when one of them had left the table.
    async fn commit_merged(&self, inputs: &[LiveFile], merged: &Merged, now_ms: i64) -> Result<bool> {
        let output = std::slice::from_ref(&merged.written);
        let mut committer = match self.committer().await {
            Ok(committer) => committer,
            Err(e) => {
                write::delete(&*self.objects, output);
                return Err(e);
            }
        };
        loop {
            if !inputs.iter().all(|f| self.is_live(&f.path)) {
                write::delete(&*self.objects, output);
                return Ok(false);
            }
            let is_changed = merged.duplicates + merged.erased > 0;
            let actions = log::replacement(inputs, &merged.written, is_changed, now_ms);
            let Err(e) = self.commit(&mut committer, actions).await else {
                self.show(committer.version, inputs, output);
                return Ok(true);
            };
            // The answer may be what failed, not the commit. When the log cannot be read either, or the commit may come yet, the file
            // stays: it is old enough for a purge one day, or in the table.
            self.reload(&mut committer).await?;
            if self.is_live(&merged.written.file.path) {
                self.sync_log()?;
                return Ok(true);
            }
            // Whoever was faster may have taken an input away.
            if e.is_taken() {
                continue;
            }
            if committer.is_decided() {
                write::delete(&*self.objects, output);
            }
            return Err(e);
        }
    }

    /// Reads the log and compares it with what readers were shown, unless another process has committed since.
    pub(super) async fn verify(self: &Arc<Self>) -> Result<()> {
        let table = Table { inner: Arc::clone(self) };
        let mut committer = self.committer().await?;
        let shown = table.snapshot().await?;
        self.reload(&mut committer).await?;
        let logged = table.snapshot().await?;
        if shown.files() == logged.files() || shown.version() != logged.version() {
            return Ok(());
        }
        let rows = |snapshot: &Snapshot| snapshot.files().iter().map(|f| f.rows).sum();
        Err(StorageError::RowCount { table: self.name.clone(), expected: rows(&shown), found: rows(&logged) })
    }
}

#[cfg(test)]
mod tests;

//! The runs of one region: one for each flushed segment, merged as they become many, dropped when the window is over.
//!
//! Invariants: the runs' segments never overlap and are in order; a list is published whole, so a reader sees an id
//! in the old run or in the merged one, never in neither; a file is removed only after what replaces it is durable.
//! After a crash in a merge both are there: the smaller is dropped at open.
//! New runs are encrypted, or are not; what is there is read either way.
//! Called by the flush, one call at a time; `contains` by the writer thread, at any time.

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use shoal_files::{Encrypted, Objects, Sealing};
use shoal_storage::Heads;

use super::{
    Fingerprints,
    run::{Cursor, PAGE_BYTES, Run, Span, Writer},
};
use crate::error::IngestError;

/// This many runs of similar size are merged into one.
const MERGE_MIN: usize = 4;

/// How long and how much to remember.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunLimits {
    /// A resend within this time of service is recognised, ms.
    pub(crate) window_ms: i64,
    /// Memory of all filters of the region, bytes. Above it the largest runs go without: slower, as right.
    pub(crate) filter_bytes_max: u64,
    /// Runs are not merged into one of more ids than this: bounds the time that one merge takes.
    pub(crate) merge_keys_max: u64,
}

/// All runs of a region.
pub(crate) struct Runs {
    files: Box<dyn Objects>,
    limits: RunLimits,
    list: ArcSwap<Vec<Arc<Run>>>,
}

/// What the runs take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunsSize {
    pub(crate) runs: u64,
    pub(crate) keys: u64,
    pub(crate) filter_bytes: u64,
}

impl Runs {
    /// Loads what is there; left-overs of a crash are removed.
    ///
    /// # Errors
    /// When a run cannot be read or is damaged.
    pub(crate) fn open(
        files: impl Objects + 'static,
        sealing: Option<Sealing>,
        limits: RunLimits,
    ) -> Result<Runs, IngestError> {
        let files = Encrypted::new(files, sealing).with_chunk_bytes(PAGE_BYTES).reading_plain();
        files.sweep("", i64::MAX).map_err(IngestError::io(files.path("")))?;
        // A run that is seen lets go of the segment that it was made of, so it must be durable: a process that was killed while it
        // made one may have left it otherwise.
        match files.sync("") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced.map_err(IngestError::io(files.path("")))?,
        }
        let mut runs: Vec<Arc<Run>> = Vec::new();
        for entry in files.list("").map_err(IngestError::io(files.path("")))? {
            let name = entry.name;
            // Earlier versions wrote runs under such names.
            if name.ends_with(".tmp") {
                files.remove(&[&name]).map_err(IngestError::io(files.path(&name)))?;
            } else if name.ends_with(".run") {
                runs.push(Arc::new(Run::open(&files, &name)?));
            }
        }
        runs.sort_by_key(|run| (run.span.first, u64::MAX - run.span.last));
        let mut list: Vec<Arc<Run>> = Vec::new();
        for run in runs {
            if list.last().is_some_and(|wider| run.span.last <= wider.span.last) {
                let name = run.span.file_name();
                files.remove(&[&name]).map_err(IngestError::io(files.path(&name)))?;
            } else {
                list.push(run);
            }
        }
        let runs = Runs { files: Box::new(files), limits, list: ArcSwap::from_pointee(list) };
        runs.bound_filters().map_err(IngestError::io(runs.files.path("")))?;
        Ok(runs)
    }

    /// Whether the id is in any run, the newest first.
    pub(crate) fn contains(&self, fingerprint: u64) -> io::Result<bool> {
        let mut buffer = [0; PAGE_BYTES];
        for run in self.list.load().iter().rev() {
            if run.contains(fingerprint, &mut buffer)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the segment's ids are in a run.
    pub(crate) fn covers(&self, sequence: u64) -> bool {
        let covers = |run: &Arc<Run>| (run.span.first..=run.span.last).contains(&sequence);
        self.list.load().iter().any(covers)
    }

    /// The last segment that has a run.
    pub(crate) fn last(&self) -> Option<u64> {
        self.list.load().last().map(|run| run.span.last)
    }

    /// Makes the run of a sealed segment. Durable and published when it returns.
    pub(crate) fn add(&self, sequence: u64, set: &Fingerprints, sealed_ms: i64) -> io::Result<()> {
        let mut keys: Vec<u64> = set.iter().copied().collect();
        keys.sort_unstable();
        let span = Span { first: sequence, last: sequence, sealed_ms };
        let mut writer = Writer::new(&*self.files, span)?;
        for key in keys {
            writer.push(key)?;
        }
        let run = Arc::new(writer.finish()?);
        let mut list = Vec::clone(&self.list.load());
        let at = list.partition_point(|other| other.span.first < sequence);
        list.insert(at, run);
        self.list.store(Arc::new(list));
        self.bound_filters()
    }

    /// Drops runs whose window is over, and merges while there is something to merge. Answers how many merges.
    pub(crate) fn maintain(&self, served_ms: i64) -> io::Result<u64> {
        let oldest = served_ms.saturating_sub(self.limits.window_ms);
        let (gone, kept): (Vec<_>, Vec<_>) =
            Vec::clone(&self.list.load()).into_iter().partition(|run| run.span.sealed_ms < oldest);
        if !gone.is_empty() {
            self.list.store(Arc::new(kept));
            self.remove(&gone)?;
        }
        let mut merges = 0;
        while let Some(from) = self.candidate() {
            let mut list = Vec::clone(&self.list.load());
            let merged = list.split_off(from);
            list.push(Arc::new(self.merge(&merged)?));
            self.list.store(Arc::new(list));
            self.remove(&merged)?;
            merges += 1;
        }
        self.bound_filters()?;
        Ok(merges)
    }

    /// What the runs take.
    pub(crate) fn size(&self) -> RunsSize {
        let list = self.list.load();
        RunsSize {
            runs: list.len() as u64,
            keys: list.iter().map(|run| run.keys).sum(),
            filter_bytes: list.iter().map(|run| run.filter_bytes()).sum(),
        }
    }

    /// The newest runs that are worth merging: each next older one is no larger than all newer ones together, so every
    /// merge at least halves what an id still has to go through, and the number of runs stays logarithmic.
    fn candidate(&self) -> Option<usize> {
        let list = self.list.load();
        let newest = list.last()?;
        let (mut from, mut keys) = (list.len() - 1, newest.keys.max(1));
        while from > 0 {
            let older = &list[from - 1];
            let span_ms = newest.span.sealed_ms.saturating_sub(older.span.sealed_ms);
            let fits = keys + older.keys <= self.limits.merge_keys_max;
            // An id may outlive the window by what its run spans: a quarter at the most.
            if older.keys > keys || !fits || span_ms > self.limits.window_ms / 4 {
                break;
            }
            keys += older.keys;
            from -= 1;
        }
        (list.len() - from >= MERGE_MIN).then_some(from)
    }

    fn merge(&self, runs: &[Arc<Run>]) -> io::Result<Run> {
        let (first, last) = (&runs[0], &runs[runs.len() - 1]);
        let span = Span { first: first.span.first, last: last.span.last, sealed_ms: last.span.sealed_ms };
        let mut writer = Writer::new(&*self.files, span)?;
        let mut cursors: Vec<Cursor<'_>> = runs.iter().map(|run| run.cursor()).collect();
        let mut heads = Heads::with_capacity(cursors.len());
        for (at, cursor) in cursors.iter_mut().enumerate() {
            if let Some(key) = cursor.next()? {
                heads.push(key, at);
            }
        }
        let mut written = None;
        while let Some((key, at)) = heads.first() {
            if written != Some(key) {
                writer.push(key)?;
                written = Some(key);
            }
            heads.advance(cursors[at].next()?);
        }
        writer.finish()
    }

    fn remove(&self, runs: &[Arc<Run>]) -> io::Result<()> {
        let names: Vec<String> = runs.iter().map(|run| run.span.file_name()).collect();
        self.files.remove(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The largest runs lose their filters until the rest fits.
    fn bound_filters(&self) -> io::Result<()> {
        while self.size().filter_bytes > self.limits.filter_bytes_max {
            let mut list = Vec::clone(&self.list.load());
            let Some(largest) = list.iter_mut().max_by_key(|run| run.filter_bytes()) else {
                break;
            };
            *largest = Arc::new(largest.without_filters(&*self.files)?);
            self.list.store(Arc::new(list));
        }
        Ok(())
    }
}

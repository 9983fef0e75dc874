//! Where rows come from: a table, and the files of one at one version.
//!
//! Invariants: a file's programme and day decide whether it is opened at all; which of its rows may be seen is decided once
//! more by the template's barrier. A span is read in file order first. A file may know no order of rows of one subject and
//! time: those of a batch get it here. When a file turns out not to be sorted, the span is read anew with every file checked
//! before: rows of one subject and time come in one batch, and files that are not sorted are sorted in memory. What that takes
//! is counted, as are the pages of open files, in the queries' memory pool. Not here: rows (`rows`), merging (`merge`).

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::MemoryReservation;
use shoal_storage::{FileRows, LiveFile, Snapshot};

use super::graph::Memo;
use super::merge::{Role, Stream};
use super::rows::Template;
use super::runs::{Loaded, sorted};
use crate::failure::Failure;

/// Rows of a batch of a file, fewer when many files are open.
const BATCH_ROWS: usize = 16_384;
/// Files of one released part that are open at the same time; what is beyond is read into memory.
const OPEN_MAX: usize = 256;
/// A file in which more rows follow each other that have one subject and one time is sorted in memory when it is checked.
const TIED_MAX: usize = 8 * BATCH_ROWS;

/// The events of one table of one region, as they are now.
pub(crate) trait Table: Send + Sync {
    /// The schema in which these columns are read.
    fn schema(&self, wanted: &[&str]) -> Result<SchemaRef, Failure>;

    /// Opens all streams for these days, which ascend.
    fn open(&self, days: &[i32], reading: Reading<'_>) -> Result<Vec<Rows>, Failure>;
}

impl Table for Snapshot {
    fn schema(&self, wanted: &[&str]) -> Result<SchemaRef, Failure> {
        Ok(self.rows_schema(wanted)?)
    }

    fn open(&self, days: &[i32], mut reading: Reading<'_>) -> Result<Vec<Rows>, Failure> {
        let is_asked = |file: &&LiveFile| {
            days.binary_search(&file.day).is_ok() && reading.template.is_readable(file.programme, file.day)
        };
        let mut files: Vec<&LiveFile> = self.files().iter().filter(is_asked).collect();
        files.sort_by_key(|file| file.day);
        // The largest files stay open, the others are read into memory.
        let mut sizes: Vec<u64> = files.iter().map(|file| file.bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let kept_bytes_min = sizes.get(OPEN_MAX).map_or(0, |bytes| bytes + 1);
        let batch_rows = (8 * BATCH_ROWS / files.len().max(1)).clamp(512, BATCH_ROWS);
        let mut streams = Vec::with_capacity(files.len());
        for file in files {
            let stream = reading.file(self, file, batch_rows)?;
            let is_small = file.bytes < kept_bytes_min;
            streams.push(if is_small { reading.sorted(stream)? } else { stream });
        }
        Ok(streams)
    }
}

/// How the rows of a span are read.
pub(crate) struct Reading<'a> {
    pub(super) template: &'a Arc<Template>,
    /// What open files take is added to it.
    pub(super) memory: &'a mut MemoryReservation,
    /// Whether files are looked through before, since one was not sorted.
    pub(super) checked: bool,
    /// The membership that the rows are for.
    pub(super) membership: Option<usize>,
}

impl Reading<'_> {
    fn role(&self, day: i32) -> Role {
        match self.membership {
            Some(membership) => Role::Member { membership, day },
            None => Role::Events { day },
        }
    }

    fn file(&mut self, snapshot: &Snapshot, file: &LiveFile, batch_rows: usize) -> Result<Rows, Failure> {
        let open = || snapshot.rows(file, &self.template.names(), batch_rows).map_err(Failure::from);
        let rows =
            |read: FileRows| self.rows(file.day, Box::new(read.map(|batch| batch.map_err(Failure::from))));
        if self.checked {
            let mut stream = rows(open()?);
            let is_sorted = is_sorted(&mut stream)?;
            if !is_sorted {
                let stream = rows(open()?);
                return self.sorted(stream);
            }
        }
        let file_rows = open()?;
        self.memory.try_grow(file_rows.bytes_max())?;
        Ok(Rows { joins: self.checked, ..rows(file_rows) })
    }

    /// A stream of these batches, which have the template's columns.
    pub(super) fn rows(&self, day: i32, batches: Batches) -> Rows {
        let (role, template) = (self.role(day), Arc::clone(self.template));
        Rows { role, template, memo: Memo::default(), feed: Feed::Batches(batches), joins: false, held: None }
    }

    /// All rows of a stream, sorted, in memory.
    pub(super) fn sorted(&mut self, mut stream: Rows) -> Result<Rows, Failure> {
        let mut all = Vec::new();
        while let Some(loaded) = stream.next()? {
            if !loaded.runs.is_empty() {
                self.memory.try_grow(2 * loaded.bytes())?;
                all.push(loaded);
            }
        }
        Ok(Rows { feed: Feed::Sorted(Some(sorted(&all)?)), memo: Memo::default(), ..stream })
    }
}

/// Whether a stream is sorted by subject and time, with no more ties than can be put in order batch by batch; it is read
/// to its end.
fn is_sorted(stream: &mut Rows) -> Result<bool, Failure> {
    let mut last: Option<(u128, i64)> = None;
    let mut tied = 0;
    while let Some(batch) = stream.next()? {
        for next in batch.subjects().zip(batch.times_us.iter().copied()) {
            tied = if last == Some(next) { tied + 1 } else { 0 };
            if last.is_some_and(|last| last > next) || tied > TIED_MAX {
                return Ok(false);
            }
            last = Some(next);
        }
    }
    Ok(true)
}

/// The rows of one file, or of a day in memory.
pub(crate) struct Rows {
    role: Role,
    template: Arc<Template>,
    memo: Memo,
    feed: Feed,
    /// Whether the first rows of a batch go with the batch before, when they have the subject and time of its last row.
    joins: bool,
    /// The next batch, when it has been looked at.
    held: Option<Loaded>,
}

/// Batches of a file, or of rows in memory.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>> + Send>;

enum Feed {
    Batches(Batches),
    Sorted(Option<Loaded>),
}

impl Rows {
    /// The next batch, its ties in order.
    fn read(&mut self) -> Result<Option<Loaded>, Failure> {
        let batch = match &mut self.feed {
            Feed::Batches(batches) => batches.next().transpose()?,
            Feed::Sorted(loaded) => return Ok(loaded.take()),
        };
        let Some(batch) = batch else { return Ok(None) };
        let loaded = self.template.load(&batch, &mut self.memo)?;
        match loaded.has_loose_ties() {
            true => sorted(&[loaded]).map(Some),
            false => Ok(Some(loaded)),
        }
    }
}

impl Stream for Rows {
    fn role(&self) -> Role {
        self.role
    }

    fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        let batch = match self.held.take() {
            Some(held) => Some(held),
            None => self.read()?,
        };
        let Some(mut batch) = batch else { return Ok(None) };
        while self.joins
            && let Some(next) = self.read()?
        {
            let tied = batch.tied_with(&next);
            let is_whole = tied == next.rows();
            let (head, rest) = next.split(tied)?;
            if tied > 0 {
                batch = sorted(&[batch, head])?;
            }
            if !is_whole {
                self.held = Some(rest);
                break;
            }
        }
        Ok(Some(batch))
    }
}

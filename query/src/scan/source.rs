//! Where rows come from: a table, and the files of one at one version.
//!
//! Invariants: a file's programme and day decide whether it is opened at all; which of its rows may be seen is decided once
//! more by the template's barrier. A span is read in file order first. When a file turns out not to be sorted, the span is
//! read anew with every file checked before, and those that are not sorted are sorted in memory. What that takes is
//! counted, as are the pages of open files, in the queries' memory pool. Not here: rows (`rows`), merging (`merge`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::memory_pool::MemoryReservation;
use shoal_storage::{FileRows, LiveFile, Snapshot};

use super::graph::Memo;
use super::merge::{Role, Stream};
use super::rows::Template;
use super::runs::{Loaded, runs};
use crate::failure::Failure;

/// Rows of a batch of a file, fewer when many files are open.
const BATCH_ROWS: usize = 16_384;
/// Files of one released part that are open at the same time; what is beyond is read into memory.
const OPEN_MAX: usize = 256;

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
        self.membership.map_or(Role::Events { day }, Role::Member)
    }

    fn file(&mut self, snapshot: &Snapshot, file: &LiveFile, batch_rows: usize) -> Result<Rows, Failure> {
        let open = || snapshot.rows(file, &self.template.names(), batch_rows).map_err(Failure::from);
        let rows =
            |read: FileRows| self.rows(file.day, Box::new(read.map(|batch| batch.map_err(Failure::from))));
        if self.checked {
            let mut stream = rows(open()?);
            let sorted = is_sorted(&mut stream)?;
            if !sorted {
                let stream = rows(open()?);
                return self.sorted(stream);
            }
        }
        let file_rows = open()?;
        self.memory.try_grow(file_rows.bytes_max())?;
        Ok(rows(file_rows))
    }

    /// A stream of these batches, which have the template's columns.
    pub(super) fn rows(&self, day: i32, batches: Batches) -> Rows {
        let (role, template) = (self.role(day), Arc::clone(self.template));
        Rows { role, template, memo: Memo::default(), feed: Feed::Batches(batches) }
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
        let role = stream.role;
        Ok(Rows { role, template: stream.template, memo: Memo::default(), feed: Feed::Sorted(sort(all)?) })
    }
}

fn sort(batches: Vec<Loaded>) -> Result<Option<Loaded>, Failure> {
    let Some(width) = batches.first().map(|batch| batch.columns.len()) else { return Ok(None) };
    let subjects: Vec<u128> = batches.iter().flat_map(Loaded::subjects).collect();
    let times_us: Vec<i64> = batches.iter().flat_map(|batch| batch.times_us.iter().copied()).collect();
    let mut order: Vec<u32> = (0..u32::try_from(subjects.len()).map_err(|_| Failure::Internal)?).collect();
    let time = |row: u32| times_us.get(row as usize).copied().unwrap_or(0);
    order.sort_by_key(|row| (subjects[*row as usize], time(*row)));
    let runs = runs(order.iter().map(|row| subjects[*row as usize]));
    let times_us = match times_us.is_empty() {
        true => times_us,
        false => order.iter().map(|row| times_us[*row as usize]).collect(),
    };
    let order = UInt32Array::from(order);
    let column = |at: usize| -> Result<ArrayRef, Failure> {
        let parts: Vec<&dyn Array> =
            batches.iter().filter_map(|b| b.columns.get(at)).map(|c| c.as_ref()).collect();
        if parts.iter().all(|part| part.data_type() == &DataType::Null) {
            return Ok(new_null_array(&DataType::Null, order.len()));
        }
        Ok(take(&concat(&parts)?, &order, None)?)
    };
    let columns = (0..width).map(column).collect::<Result<_, _>>()?;
    Ok(Some(Loaded { runs, times_us, columns }))
}

/// Whether a stream is sorted; it is read to its end.
fn is_sorted(stream: &mut Rows) -> Result<bool, Failure> {
    let mut last: Option<(u128, i64)> = None;
    while let Some(batch) = stream.next()? {
        for (row, subject) in batch.subjects().enumerate() {
            let next = (subject, batch.times_us.get(row).copied().unwrap_or(0));
            if last.is_some_and(|last| last > next) {
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
}

/// Batches of a file, or of rows in memory.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>> + Send>;

enum Feed {
    Batches(Batches),
    Sorted(Option<Loaded>),
}

impl Stream for Rows {
    fn role(&self) -> Role {
        self.role
    }

    fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        let batch = match &mut self.feed {
            Feed::Batches(batches) => batches.next().transpose()?,
            Feed::Sorted(loaded) => return Ok(loaded.take()),
        };
        batch.map(|batch| self.template.load(&batch, &mut self.memo)).transpose()
    }
}

//! The rows of many files of one programme and day, in order and each once, become one file.
//!
//! ```text
//! file 1: batch -> |                                 |
//! file 2: batch -> | heap of (subject, time, event id) | -> left out, or a copy? drop : take -> interleave -> draft -> publish
//! file n: batch -> |                                 |
//! ```
//! What is dropped are copies (`copies`). A copy with the very key of the row that stays, but other values, stays too: there
//! is no first of the two, so dropping one would choose by the order of files. Readers choose by what they read.
//!
//! Invariants: memory is one batch and one page of each column for a file, one row group of the output, and a few rows
//! of one key; nothing damaged is written anew (`digest`); every row that the log counts in the inputs is read, and is written,
//! or counted as a duplicate or as erased. Synchronous.
//! Not here: which rows are copies (`copies`), which files (`tiers`), who is left out (`erase`), the commit (`compact`).

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::interleave_record_batch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use shoal_files::Objects;

use crate::error::{Result, StorageError};
use crate::suppressed::Subjects;
use crate::tables::ahead;
use crate::tables::copies::{Met, Seen};
use crate::tables::encryption::TableKeys;
use crate::tables::heads::Heads;
use crate::tables::live_file::LiveFile;
use crate::tables::object::ParquetObject;
use crate::tables::table_layout::TableLayout;
use crate::tables::write::{Draft, Key, Keys, Place, WrittenFile};

const BATCH_ROWS_MAX: u64 = 1024;
const BATCH_BYTES: u64 = 512 * 1024;
const OUT_ROWS: usize = 4096;
const DIGEST_BYTES: usize = 16;
/// Different rows of one key that are compared with; more of them stay uncompared.
const ALIKE_MAX: usize = 64;

/// What is merged, and as what.
pub(crate) struct Merge {
    pub(crate) table: String,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) keys: TableKeys,
    pub(crate) layout: Arc<TableLayout>,
    pub(crate) files: Vec<LiveFile>,
    /// The path of the output, relative to the table.
    pub(crate) path: String,
    /// Whose rows are left out.
    pub(crate) without: Arc<Subjects>,
    /// Whether to give up; asked between two batches.
    pub(crate) stopped: Box<dyn Fn() -> bool + Send>,
}

/// A file that no table knows yet, with the rows of its inputs.
pub(crate) struct Merged {
    pub(crate) written: WrittenFile,
    /// Rows of the inputs that are not in it, because another row has their event id.
    pub(crate) duplicates: u64,
    /// Rows of the inputs that are not in it, because their subjects are left out.
    pub(crate) erased: u64,
}

/// What became of the rows that were read.
#[derive(Clone, Copy, Default)]
struct Counts {
    read: u64,
    duplicates: u64,
    erased: u64,
}

impl Merge {
    /// # Errors
    /// [`StorageError::RowCount`] when the inputs do not hold the rows that the log counts, [`StorageError::Schema`] when
    /// one is not sorted, [`StorageError::Stopped`]; nothing is left under the output's name then.
    pub(crate) fn run(&self) -> Result<Merged> {
        let expected = self.files.iter().map(|f| f.rows).sum();
        let place = Place { objects: &*self.objects, keys: &self.keys };
        let draft = Draft::create(place, self.path.clone(), self.layout.file_schema(), expected)?;
        let mut out = Out { draft, picks: Vec::with_capacity(OUT_ROWS) };
        let Counts { read, duplicates, erased } = self.drain(&mut out)?;
        if read != expected {
            return Err(StorageError::RowCount { table: self.table.clone(), expected, found: read });
        }
        let written = out.draft.publish(place)?;
        let found = written.file.rows + duplicates + erased;
        if found != read {
            // Not reached: each row read was picked or counted. A file that lost rows must never be committed.
            return Err(StorageError::RowCount { table: self.table.clone(), expected: read, found });
        }
        Ok(Merged { written, duplicates, erased })
    }

    /// Reads all rows, and picks those that stay.
    fn drain(&self, out: &mut Out) -> Result<Counts> {
        let mut cursors = self.files.iter().map(|f| Cursor::open(self, f)).collect::<Result<Vec<_>>>()?;
        let mut heads: Heads<Key> = Heads::with_capacity(cursors.len());
        for (at, cursor) in cursors.iter_mut().enumerate() {
            if cursor.next_batch(self)? {
                heads.push(cursor.key(), at);
            }
        }
        let mut counts = Counts::default();
        let (mut seen, mut alike) = (Seen::default(), Alike::default());
        let day = self.files.first().map_or(0, |file| file.day);
        while let Some((key, at)) = heads.first() {
            counts.read += 1;
            let cursor = &cursors[at];
            if self.without.contains(&key.0) {
                counts.erased += 1;
            } else {
                let met = match cursor.has_event_id() {
                    true => seen.meet((key.0, day), key.2),
                    false => Met::New,
                };
                let is_last_of_key =
                    heads.second().is_none_or(|(other, _)| other != key) && cursor.is_before_another();
                match alike.stays(key, met, cursor, is_last_of_key) {
                    true => out.picks.push((at, cursor.row)),
                    false => counts.duplicates += 1,
                }
            }
            // A cursor's batch must stay until its rows are written.
            if out.picks.len() >= OUT_ROWS || cursors[at].is_last() {
                out.write(&cursors)?;
            }
            if !cursors[at].advance(self)? {
                heads.advance(None);
                continue;
            }
            let next = cursors[at].key();
            if next < key {
                let reason = format!("the file {} is not sorted", self.files[at].path);
                return Err(StorageError::Schema { table: self.table.clone(), reason });
            }
            heads.advance(Some(next));
        }
        out.write(&cursors)?;
        Ok(counts)
    }
}

/// A file being read: its current batch, and the row in it that comes next.
struct Cursor {
    reader: ParquetRecordBatchReader,
    path: PathBuf,
    batch: RecordBatch,
    keys: Option<Keys>,
    row: usize,
}

impl Cursor {
    fn open(merge: &Merge, file: &LiveFile) -> Result<Cursor> {
        let path = merge.objects.path(&file.path);
        Cursor::begin(merge, file, path.clone()).map_err(StorageError::of(path))
    }

    fn begin(merge: &Merge, file: &LiveFile, path: PathBuf) -> Result<Cursor> {
        let mut opened = ParquetObject::of(&*merge.objects, file, &merge.keys)?;
        let metadata = ArrowReaderMetadata::load(&opened, opened.options())?;
        opened.will_read(ahead::ranges(metadata.metadata(), &ProjectionMask::all()));
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata);
        let groups = builder.metadata().row_groups().iter();
        let bytes: u64 = groups.map(|g| u64::try_from(g.total_byte_size()).unwrap_or(0)).sum();
        let row_bytes = (bytes / file.rows.max(1)).max(1);
        let rows = (BATCH_BYTES / row_bytes).clamp(16, BATCH_ROWS_MAX);
        let reader = builder.with_batch_size(usize::try_from(rows).unwrap_or(1)).build()?;
        let batch = RecordBatch::new_empty(merge.layout.file_schema());
        Ok(Cursor { reader, path, batch, keys: None, row: 0 })
    }

    /// The next batch that has rows; none is left: false, and the batch at hand is let go.
    fn next_batch(&mut self, merge: &Merge) -> Result<bool> {
        if (merge.stopped)() {
            return Err(StorageError::Stopped);
        }
        (self.row, self.keys) = (0, None);
        self.batch = RecordBatch::new_empty(merge.layout.file_schema());
        for batch in self.reader.by_ref() {
            let batch = batch.map_err(|error| StorageError::of(&self.path)(error.into()))?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.batch = merge.layout.conform(&batch)?;
            self.keys = Keys::of(&self.batch);
            return Ok(self.keys.is_some());
        }
        Ok(false)
    }

    fn advance(&mut self, merge: &Merge) -> Result<bool> {
        if self.is_last() {
            return self.next_batch(merge);
        }
        self.row += 1;
        Ok(true)
    }

    fn is_last(&self) -> bool {
        self.row + 1 >= self.batch.num_rows()
    }

    /// Whether the next row of its batch has another key; not known of the last one.
    fn is_before_another(&self) -> bool {
        !self.is_last() && self.keys.as_ref().is_some_and(|keys| keys.at(self.row) != keys.at(self.row + 1))
    }

    fn key(&self) -> Key {
        self.keys.as_ref().map_or((u128::MAX, i64::MAX, u128::MAX), |keys| keys.at(self.row))
    }

    /// Whether the row has an event id that identifies it: 16 bytes, as every digest has.
    fn has_event_id(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| {
            keys.event_id.is_valid(self.row) && keys.event_id.value(self.row).len() == DIGEST_BYTES
        })
    }
}

/// The output, and which rows of the cursors' batches come next in it.
struct Out {
    draft: Draft,
    picks: Vec<(usize, usize)>,
}

impl Out {
    fn write(&mut self, cursors: &[Cursor]) -> Result<()> {
        if self.picks.is_empty() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = cursors.iter().map(|c| &c.batch).collect();
        let rows = interleave_record_batch(&batches, &self.picks)?;
        self.picks.clear();
        self.draft.write(&rows)
    }
}

/// The rows of the key at hand that stay, as long as more rows of that key may come.
#[derive(Default)]
struct Alike {
    key: Option<Key>,
    rows: Vec<RecordBatch>,
}

impl Alike {
    /// Whether the row that the cursor is at stays: unless it is a copy, or when the rows of its very key are all different.
    fn stays(&mut self, key: Key, met: Met, cursor: &Cursor, is_last_of_key: bool) -> bool {
        if self.key != Some(key) {
            self.rows.clear();
            self.key = Some(key);
        }
        if met == Met::Copy && self.rows.is_empty() {
            return false;
        }
        if is_last_of_key && self.rows.is_empty() {
            return true;
        }
        let row = cursor.batch.slice(cursor.row, 1);
        if met == Met::Copy && self.rows.contains(&row) {
            return false;
        }
        if self.rows.len() < ALIKE_MAX {
            self.rows.push(row);
        }
        true
    }
}

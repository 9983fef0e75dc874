//! A batch becomes one Parquet file, complete and durable under its final name, but in no table yet.
//!
//! ```text
//! <table>/day=YYYY-MM-DD/<ux|dx>-<uuid v7>.parquet      ux: user-experience, dx: device-experience
//! ```
//! zstd level 1; rows sorted by (subject, time, event id), so that one subject's rows lie together and compress; a Bloom filter
//! on the event id; no statistics on the digests, in the file or in the log; encrypted, where there are keys.
//!
//! Invariants: a file holds one programme and one day, and its name says which. Synchronous: callers run it on a blocking
//! thread. Not here: making the file part of the table (`append`), many files becoming one (`merge`).

use std::io::{self, BufWriter};

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{max, min, take_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use shoal_files::{NewObject, Objects, host};
use shoal_schemas::{Programme, columns};

use crate::days::{day_text, parse_day};
use crate::error::{Result, StorageError};
use crate::tables::digest::{self, Digesting};
use crate::tables::encryption::{FileKey, TableKeys};
use crate::tables::live_file::LiveFile;
use crate::tables::object::ParquetObject;
use crate::tables::table_layout::TableLayout;

const ROW_GROUP_ROWS_MAX: usize = 512 * 1024;
/// A row group of rows with long texts ends here: its pages stay in memory until then.
const ROW_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
const BLOOM_FALSE_POSITIVE: f64 = 0.01;

/// A file that no table knows yet.
#[derive(Clone, Debug)]
pub(crate) struct WrittenFile {
    pub(crate) file: LiveFile,
    /// Earliest and latest time in it, microseconds since 1970; none when the table has no times.
    pub(crate) time_us: Option<(i64, i64)>,
}

/// A new path for a file of this programme and day, relative to the table.
///
/// # Errors
/// [`StorageError::Schema`] when the day is outside the years 1970 to 9999.
pub(crate) fn new_path(table: &str, programme: Programme, day: i32) -> Result<String> {
    let date = day_text(day).ok_or_else(|| StorageError::Schema {
        table: table.to_owned(),
        reason: format!("day {day} is outside the years 1970 to 9999"),
    })?;
    let prefix = prefix(programme);
    Ok(format!("day={date}/{prefix}-{}.parquet", host::ordered_id()))
}

/// The day and programme that a path made by [`new_path`] names.
pub(crate) fn parse_path(path: &str) -> Option<(i32, Programme)> {
    let (day, name) = path.strip_prefix("day=")?.split_once('/')?;
    let (head, _) = name.strip_suffix(".parquet")?.split_once('-')?;
    let programme = Programme::ALL.iter().find(|p| prefix(**p) == head)?;
    Some((parse_day(day)?, *programme))
}

fn prefix(programme: Programme) -> &'static str {
    match programme {
        Programme::UserExperience => "ux",
        Programme::DeviceExperience => "dx",
    }
}

/// Where files of a table are written, and whose keys they have.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) objects: &'p dyn Objects,
    pub(crate) keys: &'p TableKeys,
}

/// Writes the rows as the object `path`, durably.
///
/// # Errors
/// Whatever the store or Parquet refuse; nothing is left under the name then.
pub(crate) fn write(
    place: Place<'_>,
    path: String,
    layout: &TableLayout,
    batch: &RecordBatch,
) -> Result<WrittenFile> {
    let rows = sorted(&layout.conform(batch)?)?;
    let mut draft = Draft::create(place, path, layout.file_schema(), rows.num_rows() as u64)?;
    draft.write(&rows)?;
    draft.publish(place)
}

/// Deletes files that no table knows.
pub(crate) fn delete(objects: &dyn Objects, files: &[WrittenFile]) {
    let paths: Vec<&str> = files.iter().map(|written| written.file.path.as_str()).collect();
    // One that cannot be deleted now is an orphan, which a purge deletes.
    let _ = objects.remove(&paths);
}

/// A file being written, which is gone when it is dropped before it has its name.
pub(crate) struct Draft {
    file: LiveFile,
    time_us: Option<(i64, i64)>,
    writer: ArrowWriter<Digesting<BufWriter<Box<dyn NewObject>>>>,
}

impl Draft {
    /// Starts the file. `rows_max` sizes the Bloom filter.
    pub(crate) fn create(place: Place<'_>, path: String, schema: SchemaRef, rows_max: u64) -> Result<Draft> {
        let (day, programme) = parse_path(&path).ok_or_else(|| StorageError::Location {
            location: path.clone(),
            reason: "not a path of a data file".to_owned(),
        })?;
        let Place { objects, keys } = place;
        let key = keys.writing(day, &path)?;
        let out = objects.write(&path).map_err(StorageError::io(objects.path(&path)))?;
        let out = Digesting::new(BufWriter::with_capacity(256 * 1024, out));
        let writer = ArrowWriter::try_new(out, schema, Some(properties(rows_max, key.as_ref())?))?;
        let file = LiveFile {
            path,
            day,
            programme,
            rows: 0,
            bytes: 0,
            digest: None,
            key: key.map(|key| key.key.id()),
        };
        Ok(Draft { file, time_us: None, writer })
    }

    /// Adds rows, which follow those before in the order of the file.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows)?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES_MAX {
            self.writer.flush()?;
        }
        self.digest()?;
        self.file.rows += rows.num_rows() as u64;
        self.time_us = match (self.time_us, time_range_us(rows)) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (known, new) => known.or(new),
        };
        Ok(())
    }

    /// Takes the digests of the row groups that are written.
    fn digest(&mut self) -> Result<()> {
        let noted = self.writer.inner().groups();
        let groups: Vec<Vec<(u64, u64)>> = self
            .writer
            .flushed_row_groups()
            .iter()
            .skip(noted)
            .map(|g| digest::ranges(g).collect())
            .collect();
        if !groups.is_empty() {
            self.writer.sync().map_err(ParquetError::from)?;
        }
        groups.iter().try_for_each(|group| self.writer.inner_mut().note(group))?;
        Ok(())
    }

    /// Ends the file, which gets its name, and reads its footer back; a file whose footer is wrong is removed.
    pub(crate) fn publish(mut self, place: Place<'_>) -> Result<WrittenFile> {
        let objects = place.objects;
        self.writer.flush()?;
        self.digest()?;
        let Draft { mut file, time_us, mut writer } = self;
        let path = objects.path(&file.path);
        let chunks = writer.inner().chunks();
        writer.append_key_value_metadata(KeyValue::new(digest::CHUNKS.to_owned(), chunks));
        let (out, footer) = writer.into_inner()?.into_parts()?;
        file.digest = Some(footer);
        let out = out.into_inner().map_err(io::IntoInnerError::into_error);
        file.bytes = out.and_then(NewObject::finish).map_err(StorageError::io(&path))?;
        let found = rows_in(place, &file);
        if found.as_ref().is_ok_and(|found| *found == file.rows) {
            return Ok(WrittenFile { file, time_us });
        }
        // No table names it. One that cannot be removed now is an orphan, which a purge removes.
        let _ = objects.remove(&[&file.path]);
        Err(StorageError::RowCount { table: file.path, expected: file.rows, found: found? })
    }
}

/// The rows that the footer of a file counts, which must be the one that was written.
fn rows_in(place: Place<'_>, file: &LiveFile) -> Result<u64> {
    let footer = ParquetObject::of(place.objects, file, place.keys)?.metadata()?;
    Ok(u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default())
}

fn properties(rows_max: u64, key: Option<&FileKey>) -> Result<WriterProperties> {
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let keys_max = rows_max.clamp(1, ROW_GROUP_ROWS_MAX as u64);
    let mut builder = WriterProperties::builder()
        .set_created_by("shoal".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_bloom_filter_enabled(column(columns::EVENT_ID), true)
        .set_column_bloom_filter_fpp(column(columns::EVENT_ID), BLOOM_FALSE_POSITIVE)
        .set_column_bloom_filter_max_ndv(column(columns::EVENT_ID), keys_max)
        .set_column_dictionary_enabled(column(columns::EVENT_ID), false)
        .set_column_dictionary_enabled(column(columns::TIME), false);
    for digest in [columns::EVENT_ID, columns::SUBJECT, columns::SESSION] {
        builder = builder.set_column_statistics_enabled(column(digest), EnabledStatistics::None);
    }
    if let Some(key) = key {
        builder = builder.with_file_encryption_properties(key.encryption()?);
    }
    Ok(builder.build())
}

/// What the rows of every file are sorted by: subject, time in microseconds, event id. A digest has 16 bytes.
pub(crate) type Key = (u128, i64, u128);

/// The columns that rows are sorted by.
pub(crate) struct Keys {
    pub(crate) subject: BinaryArray,
    pub(crate) time: TimestampMicrosecondArray,
    pub(crate) event_id: BinaryArray,
}

impl Keys {
    /// None when the table lacks one of the columns.
    pub(crate) fn of(rows: &RecordBatch) -> Option<Keys> {
        let subject = rows.column_by_name(columns::SUBJECT)?.as_binary_opt::<i32>()?.clone();
        let time = rows.column_by_name(columns::TIME)?;
        let time = time.as_primitive_opt::<TimestampMicrosecondType>()?.clone();
        let event_id = rows.column_by_name(columns::EVENT_ID)?.as_binary_opt::<i32>()?.clone();
        Some(Keys { subject, time, event_id })
    }

    pub(crate) fn at(&self, row: usize) -> Key {
        (number(&self.subject, row), self.time.value(row), number(&self.event_id, row))
    }
}

/// A digest as a number that sorts as its bytes do; null sorts first.
fn number(digests: &BinaryArray, row: usize) -> u128 {
    let value = if digests.is_null(row) { &[] } else { digests.value(row) };
    let mut key = [0u8; 16];
    let size = value.len().min(key.len());
    key[..size].copy_from_slice(&value[..size]);
    u128::from_be_bytes(key)
}

fn sorted(rows: &RecordBatch) -> Result<RecordBatch> {
    let Some(keys) = Keys::of(rows) else {
        return Ok(rows.clone());
    };
    let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_by_cached_key(|&row| keys.at(row as usize));
    Ok(take_record_batch(rows, &UInt32Array::from(order))?)
}

fn time_range_us(rows: &RecordBatch) -> Option<(i64, i64)> {
    let time = rows.column_by_name(columns::TIME)?;
    let time = time.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some((min(time)?, max(time)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_path_says_its_day_and_programme(day in 0i32..2_932_896, which in 0usize..2) {
            let programme = Programme::ALL[which];
            let path = new_path("US/usage", programme, day).unwrap();
            prop_assert_eq!(parse_path(&path), Some((day, programme)));
        }
    }

    #[test]
    fn days_that_have_no_name_are_refused() {
        for day in [-1, i32::MIN, i32::MAX, 2_932_897] {
            assert!(new_path("US/usage", Programme::UserExperience, day).is_err(), "{day}");
        }
        assert_eq!(day_text(2_932_896).unwrap(), "9999-12-31");
        for foreign in ["part-0.parquet", "day=2026-01-01/part-0.parquet", "day=x/ux-1.parquet"] {
            assert_eq!(parse_path(foreign), None, "{foreign}");
        }
    }
}

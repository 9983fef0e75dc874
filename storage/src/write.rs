//! A batch becomes one Parquet file, complete and durable under its final name, but in no table yet.
//!
//! ```text
//! <table>/day=YYYY-MM-DD/<ux|dx>-<uuid v7>.parquet      ux: user-experience, dx: device-experience
//! ```
//! zstd level 1; rows sorted by (subject, time), so that one subject's rows lie together and compress; a Bloom filter on the
//! event id; no statistics on the digests, in the file or in the log.
//!
//! Invariants: a file holds one programme and one day, and its name says which. Synchronous: callers run it on a blocking
//! thread. Not here: making the file part of the table (`table`).

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{max, min, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, NaiveDate};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use shoal_schemas::{Programme, columns};
use uuid::Uuid;

use crate::durable;
use crate::error::{Result, StorageError};
use crate::layout::Layout;
use crate::snapshot::LiveFile;

const ROW_GROUP_ROWS_MAX: usize = 512 * 1024;
const BLOOM_FALSE_POSITIVE: f64 = 0.01;
const MS_PER_DAY: i64 = 86_400_000;

/// A file that no table knows yet.
#[derive(Debug)]
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
    Ok(format!("day={date}/{prefix}-{}.parquet", Uuid::now_v7()))
}

/// The day and programme that a path made by [`new_path`] names.
pub(crate) fn parse_path(path: &str) -> Option<(i32, Programme)> {
    let (day, name) = path.strip_prefix("day=")?.split_once('/')?;
    let (head, _) = name.strip_suffix(".parquet")?.split_once('-')?;
    let programme = Programme::ALL.iter().find(|p| prefix(**p) == head)?;
    Some((parse_day(day)?, *programme))
}

/// A day as the partition value spells it.
pub(crate) fn day_text(day: i32) -> Option<String> {
    let date = DateTime::from_timestamp_millis(i64::from(day) * MS_PER_DAY)?.date_naive();
    (day >= 0 && date <= NaiveDate::from_ymd_opt(9999, 12, 31)?).then(|| date.format("%Y-%m-%d").to_string())
}

fn parse_day(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let ms = date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis();
    i32::try_from(ms / MS_PER_DAY).ok()
}

fn prefix(programme: Programme) -> &'static str {
    match programme {
        Programme::UserExperience => "ux",
        Programme::DeviceExperience => "dx",
    }
}

/// Writes the rows as `path` below `dir`. When it returns, the bytes and every directory entry on the way are synced.
///
/// # Errors
/// Whatever the file system or Parquet refuse; nothing is left under the final name then.
pub(crate) fn write(dir: &Path, path: String, layout: &Layout, batch: &RecordBatch) -> Result<WrittenFile> {
    let (day, programme) = parse_path(&path).ok_or_else(|| StorageError::Location {
        location: path.clone(),
        reason: "not a path of a data file".to_owned(),
    })?;
    let rows = sorted(&layout.conform(batch)?)?;
    let target = dir.join(&path);
    let draft = durable::unfinished(&target);
    if let Some(parent) = target.parent() {
        durable::create_dir(parent).map_err(StorageError::io(parent))?;
    }
    let bytes = write_draft(&draft, &rows).inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })?;
    durable::publish(&draft, &target, true).map_err(StorageError::io(&target))?;
    Ok(WrittenFile {
        time_us: time_range_us(&rows),
        file: LiveFile { path, day, programme, rows: rows.num_rows() as u64, bytes },
    })
}

fn write_draft(draft: &Path, rows: &RecordBatch) -> Result<u64> {
    let file = File::create_new(draft).map_err(StorageError::io(draft))?;
    let properties = properties(rows.num_rows())?;
    let out = BufWriter::with_capacity(256 * 1024, file);
    let mut writer = ArrowWriter::try_new(out, rows.schema(), Some(properties))?;
    writer.write(rows)?;
    let out = writer.into_inner()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error).map_err(StorageError::io(draft))?;
    file.sync_all().map_err(StorageError::io(draft))?;
    Ok(file.metadata().map_err(StorageError::io(draft))?.len())
}

fn properties(rows: usize) -> Result<WriterProperties> {
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let keys_max = rows.clamp(1, ROW_GROUP_ROWS_MAX) as u64;
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
    Ok(builder.build())
}

/// The rows in the order of (subject, time).
fn sorted(rows: &RecordBatch) -> Result<RecordBatch> {
    let (Some(subject), Some(time)) =
        (rows.column_by_name(columns::SUBJECT), rows.column_by_name(columns::TIME))
    else {
        return Ok(rows.clone());
    };
    let subject = subject.as_binary::<i32>();
    let time = time.as_primitive::<TimestampMicrosecondType>();
    let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_by_cached_key(|&row| {
        let row = row as usize;
        let mut key = [0u8; 16];
        let value = if subject.is_null(row) { &[] } else { subject.value(row) };
        let size = value.len().min(key.len());
        key[..size].copy_from_slice(&value[..size]);
        (u128::from_be_bytes(key), time.value(row))
    });
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

//! Tables on a disk, written, merged and rewritten as a test wants it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BinaryArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Schema, TimestampMicrosecondType};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::SessionContext;
use shoal_schemas::{Kind, Programme, Region, columns};
use shoal_storage::{CompactPolicy, Part, Snapshot, Store};

use super::source::Table;
use crate::tests::{Row, provider, registry};

/// Merges whatever there is two of.
const EAGER: CompactPolicy = CompactPolicy {
    files_min: 2,
    files_max: 64,
    bytes_small: 32 * 1024 * 1024,
    bytes_max: 256 * 1024 * 1024,
    groups_max: 64,
};

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    provider(registry().table(Kind::Usage), rows).0[0].clone()
}

/// Events of usage in Germany, in a directory.
pub(super) struct Disk {
    root: tempfile::TempDir,
    table: shoal_storage::Table,
    flushes: i64,
    pub(super) snapshot: Snapshot,
}

impl Disk {
    pub(super) async fn empty() -> Disk {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&url::Url::from_directory_path(root.path()).unwrap()).await.unwrap();
        let table = store.table(Region::De, registry().table(Kind::Usage)).await.unwrap();
        let snapshot = table.snapshot().await.unwrap();
        Disk { root, table, flushes: 0, snapshot }
    }

    /// The rows in so many files for each day.
    pub(super) async fn of(rows: &[Row], flushes: usize) -> Disk {
        let mut disk = Disk::empty().await;
        for flush in 0..flushes {
            let own: Vec<Row> = rows.iter().skip(flush).step_by(flushes).cloned().collect();
            disk.flush(&own).await;
        }
        disk
    }

    /// One file more for each day that they are of.
    pub(super) async fn flush(&mut self, rows: &[Row]) {
        let mut days: Vec<i32> = rows.iter().map(|row| row.day).collect();
        days.sort_unstable();
        days.dedup();
        let part = |day: i32| {
            let own: Vec<Row> = rows.iter().filter(|row| row.day == day).cloned().collect();
            let batch = batch(&own);
            let last = batch.num_columns() - 1;
            let batch = batch.project(&(0..last).collect::<Vec<_>>()).unwrap();
            Part { programme: Programme::UserExperience, day, batch }
        };
        self.flushes += 1;
        self.table.append(days.into_iter().map(part).collect(), "test", self.flushes).await.unwrap();
        self.snapshot = self.table.snapshot().await.unwrap();
    }

    /// All files of a day become one.
    pub(super) async fn compact(&mut self) {
        assert!(self.table.compact(0, EAGER).await.unwrap().failed.is_empty());
        self.snapshot = self.table.snapshot().await.unwrap();
    }

    pub(super) fn events(&self) -> Arc<dyn Table> {
        Arc::new(self.snapshot.clone())
    }

    /// Replaces a file by one with the same rows in another order, as another program writes it: without digests.
    pub(super) async fn rewrite(&mut self, which: usize, order: &dyn Fn(&RecordBatch) -> UInt32Array) {
        self.snapshot = self.snapshot.without_digests();
        let file = &self.snapshot.files()[which % self.snapshot.files().len()];
        let path = self.root.path().join("de/tables/usage").join(&file.path);
        let context = SessionContext::new();
        let frame = context.read_parquet(path.to_str().unwrap(), Default::default()).await.unwrap();
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.unwrap();
        let all = concat_batches(&batches[0].schema(), &batches).unwrap();
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| match field.data_type() {
                DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
                DataType::BinaryView => Arc::new(field.as_ref().clone().with_data_type(DataType::Binary)),
                _ => Arc::clone(field),
            })
            .collect();
        let arrays = all.columns().iter().zip(&fields).map(|(a, f)| cast(a, f.data_type()).unwrap());
        let all = RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), arrays.collect()).unwrap();
        let all = take_record_batch(&all, &order(&all)).unwrap();
        std::fs::remove_file(&path).unwrap();
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        context.read_batch(all).unwrap().write_parquet(path.to_str().unwrap(), options, None).await.unwrap();
    }
}

/// The other way round.
pub(super) fn reversed(rows: &RecordBatch) -> UInt32Array {
    (0..u32::try_from(rows.num_rows()).unwrap()).rev().collect()
}

/// By subject and time, those of one time the other way round: as of a writer that knows no order of event ids.
pub(super) fn without_ids(rows: &RecordBatch) -> UInt32Array {
    let digest =
        |name: &str| -> BinaryArray { rows.column_by_name(name).unwrap().as_binary::<i32>().clone() };
    let (subjects, ids) = (digest(columns::SUBJECT), digest(columns::EVENT_ID));
    let times = rows.column_by_name(columns::TIME).unwrap().as_primitive::<TimestampMicrosecondType>();
    let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap()).collect();
    order.sort_by_key(|row| {
        let row = *row as usize;
        (subjects.value(row), times.value(row), std::cmp::Reverse(ids.value(row)))
    });
    order.into()
}

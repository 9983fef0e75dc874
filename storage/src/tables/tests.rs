//! Fault injection beneath the Delta log, and growth of a table: what needs the crate's inside. Whole cycles through the
//! public interface are in `tests/cycles.rs`.
#![allow(clippy::unwrap_used)]

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use proptest::prelude::*;
use shoal_schemas::{ColumnType, Kind, Programme, Region};
use url::Url;

use crate::tables::durable::SyncedFiles;
use crate::tables::table_layout::{Column, TableLayout};
use crate::tables::watched::Health;
use crate::{Part, StorageError, Store, Table};

/// What happens to the commits to come, in this order; then all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// All is well.
    None,
    /// The commit is refused and nothing is written.
    Refused,
    /// The commit is written, its answer is lost.
    AnswerLost,
    /// Neither is known any more: the commit is refused, and every read after it fails.
    Dead,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: SyncedFiles,
    faults: Vec<Fault>,
    next: AtomicUsize,
    dead: std::sync::atomic::AtomicBool,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

fn broken() -> Error {
    Error::Generic { store: "Faulty", source: "injected".into() }
}

impl Faulty {
    pub(crate) fn new(faults: &[Fault]) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner: SyncedFiles::new(&Health::new()),
            faults: faults.to_vec(),
            next: AtomicUsize::new(0),
            dead: false.into(),
        })
    }

    fn alive(&self) -> StoreResult<()> {
        match self.dead.load(Ordering::SeqCst) {
            true => Err(broken()),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        at: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.alive()?;
        // The first commit creates the table.
        if at.as_ref().ends_with("00000000000000000000.json") {
            return self.inner.put_opts(at, payload, options).await;
        }
        let fault = self.faults.get(self.next.fetch_add(1, Ordering::SeqCst));
        match fault.copied().unwrap_or(Fault::None) {
            Fault::None => self.inner.put_opts(at, payload, options).await,
            Fault::Refused => Err(broken()),
            Fault::AnswerLost => {
                self.inner.put_opts(at, payload, options).await?;
                Err(broken())
            }
            Fault::Dead => {
                self.dead.store(true, Ordering::SeqCst);
                Err(broken())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &ObjectPath,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &ObjectPath, options: GetOptions) -> StoreResult<GetResult> {
        self.alive()?;
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &ObjectPath, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.alive()?;
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, StoreResult<ObjectPath>>,
    ) -> BoxStream<'static, StoreResult<ObjectPath>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        match self.alive() {
            Ok(()) => self.inner.list(prefix),
            Err(e) => Box::pin(futures::stream::once(async { Err(e) })),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> StoreResult<ListResult> {
        self.alive()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn column(name: &str, ty: ColumnType, nullable: bool) -> Column {
    Column { name: name.to_owned(), ty, nullable }
}

pub(crate) fn columns() -> Vec<Column> {
    vec![
        column("event_id", ColumnType::Digest, false),
        column("subject", ColumnType::Digest, false),
        column("time", ColumnType::Time, false),
        column("n", ColumnType::Integer, true),
    ]
}

pub(crate) fn layout(columns: Vec<Column>) -> TableLayout {
    TableLayout::new("US/usage", columns)
}

pub(crate) fn part(day: i32, rows: i64) -> Part {
    let digest = |n: i64| u128::try_from(n).unwrap().to_be_bytes().to_vec();
    let ids: Vec<Vec<u8>> = (0..rows).map(digest).collect();
    let subjects: Vec<Vec<u8>> = (0..rows).map(|n| digest((n * 7) % 5)).collect();
    let times = (0..rows).map(|n| shoal_schemas::calendar::start_of(day) + rows - n);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(BinaryArray::from_iter_values(&ids))),
        ("subject", Arc::new(BinaryArray::from_iter_values(&subjects))),
        ("time", Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
    ];
    Part { programme: Programme::UserExperience, day, batch: RecordBatch::try_from_iter(columns).unwrap() }
}

pub(crate) async fn open(root: &Path, files: Arc<dyn ObjectStore>) -> Table {
    let root = Url::from_directory_path(root).unwrap();
    let store = Store::open_with(&root, files).await.unwrap();
    let layout = layout(columns());
    store.table_with(Region::Us, Kind::Usage, layout).await.unwrap()
}

pub(crate) async fn rows(table: &Table) -> u64 {
    table.snapshot().await.unwrap().files().iter().map(|f| f.rows).sum()
}

pub(crate) fn data_files(root: &Path) -> usize {
    let table = root.join("us/tables/usage");
    let days = std::fs::read_dir(table).unwrap().map(|d| d.unwrap().path());
    days.filter(|d| d.to_string_lossy().contains("day=")).map(|d| std::fs::read_dir(d).unwrap().count()).sum()
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work)
}

/// Appends versions 1 to 4, each until it is answered with success and at most three times, reopening after a dead store.
async fn append_through(root: &Path, faults: &[Fault]) {
    let mut left = faults;
    let mut files = Faulty::new(left);
    let mut table = open(root, files.clone()).await;
    for version in 1..=4 {
        let mut done = false;
        for _ in 0..12 {
            let parts = vec![part(20_000, 5 + version), part(20_001, 3)];
            done = table.append(parts, "log-US", version).await.is_ok();
            if done {
                break;
            }
            if files.dead.load(Ordering::SeqCst) {
                left = &left[files.next.load(Ordering::SeqCst).min(left.len())..];
                drop(table);
                files = Faulty::new(left);
                table = open(root, files.clone()).await;
            }
        }
        assert!(done, "version {version} never succeeded");
    }
    let expected: u64 = (1..=4).map(|v| 5 + v + 3).sum();
    assert_eq!(rows(&table).await, expected, "{faults:?}");
    drop(table);
    let table = open(root, Arc::new(SyncedFiles::new(&Health::new()))).await;
    assert_eq!(rows(&table).await, expected, "after a reopen, {faults:?}");
    assert_eq!(table.committed("log-US").await.unwrap(), Some(4));
    let again = table.append(vec![part(20_000, 9)], "log-US", 4).await.unwrap();
    assert!(again.repeated);
    assert_eq!(rows(&table).await, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn every_append_is_in_once_whatever_happens_to_its_commits(
        faults in prop::collection::vec(
            prop::sample::select(vec![Fault::None, Fault::Refused, Fault::AnswerLost, Fault::Dead]),
            0..10,
        )
    ) {
        let dir = tempfile::tempdir().unwrap();
        block_on(append_through(dir.path(), &faults));
    }
}

#[test]
fn a_lost_answer_is_no_second_copy_and_a_refusal_no_loss() {
    use Fault::{AnswerLost, Dead, None, Refused};
    for faults in [
        &[AnswerLost][..],
        &[Refused, AnswerLost],
        &[Refused, Refused, Refused, Refused, AnswerLost],
        &[Dead, None, AnswerLost, Dead],
    ] {
        let dir = tempfile::tempdir().unwrap();
        block_on(append_through(dir.path(), faults));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_commit_that_surely_failed_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(&[Fault::Refused; 4])).await;
    assert!(table.append(vec![part(20_000, 4)], "log-US", 1).await.is_err());
    assert_eq!(data_files(dir.path()), 0);
    assert_eq!(rows(&table).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_written_before_a_crash_are_left_until_they_are_old() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(&[Fault::Dead])).await;
    assert!(table.append(vec![part(20_000, 4)], "log-US", 1).await.is_err());
    assert_eq!(data_files(dir.path()), 1, "nobody knows whether the commit landed");
    drop(table);
    let table = open(dir.path(), Arc::new(SyncedFiles::new(&Health::new()))).await;
    let now_ms = chrono::Utc::now().timestamp_millis();
    assert_eq!(table.purge(now_ms).await.unwrap().files, 0);
    table.append(vec![part(20_000, 6)], "log-US", 1).await.unwrap();
    let in_flight = "day=2024-10-04/ux-0.parquet";
    let written = dir.path().join("us/tables/usage").join(in_flight);
    std::fs::write(&written, "an append in flight").unwrap();
    table.inner.in_flight.lock().unwrap().insert(in_flight.to_owned());
    let purged = table.purge(now_ms + 7 * shoal_schemas::calendar::HOUR_MS).await.unwrap();
    assert_eq!(purged.files, 1, "the orphan, and only it");
    assert!(written.exists());
    assert_eq!(rows(&table).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_whose_answer_is_lost_has_happened() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(&[Fault::None, Fault::AnswerLost])).await;
    let parts = vec![part(20_000, 4), part(20_001, 5)];
    table.append(parts, "log-US", 1).await.unwrap();
    let report = table.expire(&|f| f.day == 20_000).await.unwrap();
    assert_eq!((report.removed.len(), report.rows), (1, 4));
    assert_eq!(rows(&table).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_expiry_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(&[Fault::None, Fault::Refused])).await;
    table.append(vec![part(20_000, 4)], "log-US", 1).await.unwrap();
    assert!(table.expire(&|_| true).await.is_err());
    assert_eq!(rows(&table).await, 4);
    assert_eq!(table.expire(&|_| true).await.unwrap().rows, 4);
}

#[test]
fn a_layout_grows_by_nullable_columns_only() {
    let stored = layout(columns());
    assert_eq!(stored.grown(&stored).unwrap(), None);
    let mut more = columns();
    more.insert(1, column("screen", ColumnType::Text, true));
    more.retain(|c| c.name != "n");
    let grown = stored.grown(&layout(more.clone())).unwrap().unwrap();
    assert!(grown.column("screen").unwrap().nullable);
    assert!(grown.column("n").unwrap().nullable, "columns stay");
    assert_eq!(TableLayout::from_delta("US/usage", &grown.to_delta().unwrap()).unwrap(), grown);
    more[1].nullable = false;
    let refused = stored.grown(&layout(more.clone()));
    assert!(matches!(refused, Err(StorageError::Schema { .. })));
    more[1] = column("n", ColumnType::Text, true);
    more.push(column("late", ColumnType::Text, false));
    let refused = stored.grown(&layout(more)).unwrap_err().to_string();
    assert!(refused.contains("column n is stored as") && refused.contains("column late must"), "{refused}");
}

#[test]
fn a_batch_must_fit() {
    let stored = layout(columns());
    let good = part(20_000, 3).batch;
    assert_eq!(stored.conform(&good).unwrap().schema(), stored.file_schema());
    let lacking = good.project(&[0, 1]).unwrap();
    assert!(matches!(stored.conform(&lacking), Err(StorageError::Schema { .. })));
    let fewer = good.project(&[2, 1, 0]).unwrap();
    assert_eq!(stored.conform(&fewer).unwrap().column(3).null_count(), 3);
    let unknown = layout(columns()[..3].to_vec());
    assert!(matches!(unknown.conform(&good), Err(StorageError::Schema { .. })));
}

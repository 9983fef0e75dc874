//! Fault injection beneath the Delta log, and growth of a table: what needs the crate's inside. Whole cycles through the
//! public interface are in `tests/cycles.rs`.
#![allow(clippy::unwrap_used)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use proptest::prelude::*;
use shoal_files::{Disk, Entry, NewObject, Objects, Source};
use shoal_schemas::{ColumnType, Kind, Programme, Region};
use url::Url;

use crate::tables::table_layout::{Column, TableLayout};
use crate::{CompactPolicy, Part, StorageError, Store, Table};

/// What happens to the commits to come, in this order; then all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// All is well.
    None,
    /// The commit is refused and nothing is written, for want of room.
    Refused,
    /// The commit is written, its answer is lost.
    AnswerLost,
    /// The answer is lost, and the commit is tried when somebody calls [`Faulty::deliver`].
    Late,
    /// Neither is known any more: the commit is refused, and every read after it fails.
    Dead,
}

/// A disk that treats commits as it is told.
pub(crate) struct Faulty {
    inner: Disk,
    faults: Vec<Fault>,
    next: AtomicUsize,
    dead: AtomicBool,
    late: std::sync::Mutex<Vec<(String, Vec<u8>)>>,
    /// What is done before the next file is begun.
    pub(crate) before_write: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

fn broken() -> io::Error {
    io::Error::other("injected")
}

impl Faulty {
    pub(crate) fn new(root: &Path, faults: &[Fault]) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner: Disk::new(root),
            faults: faults.to_vec(),
            next: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            late: Default::default(),
            before_write: Default::default(),
        })
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) { Err(broken()) } else { Ok(()) }
    }

    /// How many commits there were.
    pub(crate) fn taken(&self) -> usize {
        self.next.load(Ordering::SeqCst)
    }

    /// Lets what is late arrive. Answers how much of it was carried out.
    pub(crate) fn deliver(&self) -> usize {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        late.iter().filter(|(name, bytes)| self.inner.put_if_absent(name, bytes).is_ok()).count()
    }
}

impl Objects for Faulty {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.alive()?;
        self.inner.put(name, bytes)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.alive()?;
        // The first commit creates the table.
        if name.ends_with("00000000000000000000.json") {
            return self.inner.put_if_absent(name, bytes);
        }
        let fault = self.faults.get(self.next.fetch_add(1, Ordering::SeqCst));
        match fault.copied().unwrap_or(Fault::None) {
            Fault::None => self.inner.put_if_absent(name, bytes),
            Fault::Refused => Err(io::ErrorKind::StorageFull.into()),
            Fault::AnswerLost => self.inner.put_if_absent(name, bytes).and(Err(broken())),
            Fault::Late => {
                self.late.lock().unwrap().push((name.to_owned(), bytes.to_vec()));
                Err(broken())
            }
            Fault::Dead => {
                self.dead.store(true, Ordering::SeqCst);
                Err(broken())
            }
        }
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        let before = self.before_write.lock().unwrap().take();
        before.into_iter().for_each(|before| before());
        self.inner.write(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.alive()?;
        self.inner.open(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.alive()?;
        self.inner.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        self.inner.remove(names)
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        self.inner.sync(folder)
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        self.inner.sweep(folder, unchanged_since_ms)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
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

pub(crate) async fn open(root: &Path, files: Arc<Faulty>) -> Table {
    let root = Url::from_directory_path(root).unwrap();
    let store = Store::open_apart(&root, files, None).await.unwrap();
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
    let mut files = Faulty::new(root, left);
    let mut table = open(root, files.clone()).await;
    for version in 1..=4 {
        let mut done = false;
        for _ in 0..12 {
            let parts = vec![part(20_000, 5 + version), part(20_001, 3)];
            done = table.append(parts, "log-US", version).await.is_ok();
            files.deliver();
            if done {
                break;
            }
            if files.dead.load(Ordering::SeqCst) {
                left = &left[files.next.load(Ordering::SeqCst).min(left.len())..];
                drop(table);
                files = Faulty::new(root, left);
                table = open(root, files.clone()).await;
            }
        }
        assert!(done, "version {version} never succeeded");
    }
    let expected: u64 = (1..=4).map(|v| 5 + v + 3).sum();
    assert_eq!(rows(&table).await, expected, "{faults:?}");
    drop(table);
    let table = open(root, Faulty::new(root, &[])).await;
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
            prop::sample::select(vec![
                Fault::None,
                Fault::Refused,
                Fault::AnswerLost,
                Fault::Late,
                Fault::Dead,
            ]),
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
    let table = open(dir.path(), Faulty::new(dir.path(), &[Fault::Refused; 4])).await;
    assert!(table.append(vec![part(20_000, 4)], "log-US", 1).await.is_err());
    assert_eq!(data_files(dir.path()), 0);
    assert_eq!(rows(&table).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_commit_that_may_still_come_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let files = Faulty::new(dir.path(), &[Fault::Late; 4]);
    let table = open(dir.path(), files.clone()).await;
    assert!(table.append(vec![part(20_000, 4)], "log-US", 1).await.is_err());
    assert_eq!((files.deliver(), data_files(dir.path())), (1, 1), "the first of the four has the version");
    let again = table.append(vec![part(20_000, 4)], "log-US", 1).await.unwrap();
    assert!(again.repeated && data_files(dir.path()) == 1);
    let snapshot = table.snapshot().await.unwrap();
    let rows = snapshot.rows(&snapshot.files()[0], &["n"], 16).unwrap();
    assert_eq!(rows.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_commit_may_still_come_leaves_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let files = Faulty::new(dir.path(), &[Fault::None, Fault::None, Fault::Late]);
    let table = open(dir.path(), files.clone()).await;
    for version in 1..=2 {
        table.append(vec![part(20_000, 3 + version)], "log-US", version).await.unwrap();
    }
    let policy = CompactPolicy { files_min: 2, ..CompactPolicy::default() };
    assert_eq!(table.compact(0, policy).await.unwrap().failed.len(), 1);
    assert_eq!(files.deliver(), 1);
    // Whoever has the version next sees that it is taken, and reads what took it.
    table.append(vec![part(20_001, 6)], "log-US", 3).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    assert_eq!(snapshot.files().len(), 2);
    for file in snapshot.files() {
        let rows = snapshot.rows(file, &["n"], 16).unwrap();
        assert_eq!(rows.map(|batch| batch.unwrap().num_rows() as u64).sum::<u64>(), file.rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_written_before_a_crash_are_left_until_they_are_old() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[Fault::Dead])).await;
    assert!(table.append(vec![part(20_000, 4)], "log-US", 1).await.is_err());
    assert_eq!(data_files(dir.path()), 1, "nobody knows whether the commit landed");
    drop(table);
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
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
    let table = open(dir.path(), Faulty::new(dir.path(), &[Fault::None, Fault::AnswerLost])).await;
    let parts = vec![part(20_000, 4), part(20_001, 5)];
    table.append(parts, "log-US", 1).await.unwrap();
    let report = table.expire(&|f| f.day == 20_000).await.unwrap();
    assert_eq!((report.removed.len(), report.rows), (1, 4));
    assert_eq!(rows(&table).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_expiry_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[Fault::None, Fault::Refused])).await;
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

/// A commit of an earlier try, which had some of the rows, has come between.
#[tokio::test]
async fn rows_that_come_after_another_version_than_the_committed_one_are_not_written() {
    let root = tempfile::tempdir().unwrap();
    let table = open(root.path(), Faulty::new(root.path(), &[])).await;
    table.append_after(vec![part(7, 10)], "test", 1, None).await.unwrap();
    let late = table.append_after(vec![part(7, 15)], "test", 2, None).await.unwrap();
    assert!(late.overtaken && late.rows == 0 && rows(&table).await == 10);
    let next = table.append_after(vec![part(8, 5)], "test", 2, Some(1)).await.unwrap();
    assert!(!next.overtaken && rows(&table).await == 15);
    assert!(table.append_after(vec![part(7, 15)], "test", 2, None).await.unwrap().repeated);
}

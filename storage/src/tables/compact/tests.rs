//! Compaction among everything else that happens to a table: no row is lost or doubled, whatever fails and whoever reads.
#![allow(clippy::unwrap_used)]

mod full_days;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use shoal_schemas::Programme;
use shoal_schemas::calendar::{HOUR_MS, start_of};

use super::*;
use crate::tables::tests::{Fault, Faulty, block_on, data_files, open, rows};
use crate::{Part, StorageError};

const UX: Programme = Programme::UserExperience;

/// Merge whatever there is two of: with so few rows all of a day become one file.
const EAGER: CompactPolicy = CompactPolicy {
    files_min: 2,
    files_max: 64,
    bytes_small: 32 * 1024 * 1024,
    bytes_max: 256 * 1024 * 1024,
    groups_max: 64,
};

/// An event's id decides its subject and, but for what a resend changes, its time.
fn part(programme: Programme, day: i32, ids: &[i64], shift_ms: i64) -> Part {
    let digest = |n: i64| (u128::try_from(n).unwrap() << 96 | 7).to_be_bytes().to_vec();
    let times = ids.iter().map(|n| start_of(day) + (n * 7919) % 80_000_000 + shift_ms);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(BinaryArray::from_iter_values(ids.iter().map(|n| digest(n * 31 % 1009))))),
        ("subject", Arc::new(BinaryArray::from_iter_values(ids.iter().map(|n| digest(n % 5))))),
        ("time", Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("n", Arc::new(Int64Array::from_iter_values(ids.iter().copied()))),
    ];
    Part { programme, day, batch: RecordBatch::try_from_iter(columns).unwrap() }
}

fn ids_of(dir: &Path, file: &LiveFile) -> Vec<i64> {
    let opened = File::open(dir.join(&file.path)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(opened).unwrap().build().unwrap();
    let mut ids = Vec::new();
    let mut keys: Vec<(Vec<u8>, i64, Vec<u8>)> = Vec::new();
    for batch in batches.map(|b| b.unwrap()) {
        ids.extend(batch.column(3).as_primitive::<Int64Type>().values());
        let (event, subject) = (batch.column(0).as_binary::<i32>(), batch.column(1).as_binary::<i32>());
        let time = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        let key = |r: usize| (subject.value(r).to_vec(), time.value(r), event.value(r).to_vec());
        keys.extend((0..batch.num_rows()).map(key));
    }
    assert!(keys.is_sorted(), "{}", file.path);
    assert_eq!(ids.len() as u64, file.rows);
    ids
}

type Days = BTreeMap<(i32, Programme), Vec<i64>>;

/// Every id that readers see, as often as they see it.
async fn seen(table: &Table) -> Days {
    let snapshot = table.snapshot().await.unwrap();
    let mut days = Days::new();
    for file in snapshot.files() {
        days.entry((file.day, file.programme))
            .or_default()
            .extend(ids_of(&table.inner.objects.path(""), file));
    }
    days.values_mut().for_each(|ids| ids.sort_unstable());
    days
}

#[derive(Clone, Debug)]
enum Step {
    Append { day: i32, programme: Programme, first: i64, count: i64, shift_ms: i64 },
    Compact { faults: Vec<Fault> },
    Expire { day: i32 },
    Purge,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let programme = prop::sample::select(Programme::ALL.to_vec());
    let append = (0i32..3, programme, 0i64..60, 1i64..12, 0i64..3).prop_map(
        |(day, programme, first, count, shift)| {
            // The ids of a range of one day overlap with those of another append: resends, some with a corrected time.
            Step::Append { day, programme, first, count, shift_ms: (shift - 1).max(0) * 1234 }
        },
    );
    let fault = prop::sample::select(vec![Fault::None, Fault::Refused, Fault::AnswerLost, Fault::Dead]);
    prop_oneof![
        6 => append,
        3 => prop::collection::vec(fault, 0..3).prop_map(|faults| Step::Compact { faults }),
        1 => (0i32..3).prop_map(|day| Step::Expire { day }),
        1 => Just(Step::Purge),
        1 => Just(Step::Reopen),
    ]
}

/// Drives a table, and keeps what must be in it.
struct World {
    root: tempfile::TempDir,
    table: Option<Table>,
    /// How often each id was sent.
    sent: Days,
    version: i64,
}

impl World {
    async fn new() -> World {
        let root = tempfile::tempdir().unwrap();
        let table = open(root.path(), Faulty::new(root.path(), &[])).await;
        World { root, table: Some(table), sent: Days::new(), version: 0 }
    }

    async fn reopen(&mut self, faults: &[Fault]) -> Table {
        self.table = None;
        let table = open(self.root.path(), Faulty::new(self.root.path(), faults)).await;
        self.table = Some(table.clone());
        table
    }

    async fn take(&mut self, step: &Step) {
        let table = self.table.clone().unwrap();
        match step {
            Step::Append { day, programme, first, count, shift_ms } => {
                let ids: Vec<i64> = (*first..first + count).collect();
                self.version += 1;
                let parts = vec![part(*programme, *day, &ids, *shift_ms)];
                table.append(parts, "log-US", self.version).await.unwrap();
                self.sent.entry((*day, *programme)).or_default().extend(ids);
            }
            Step::Compact { faults } => {
                drop(table);
                let table = self.reopen(faults).await;
                let _ = table.compact(0, EAGER).await;
                drop(table);
                self.reopen(&[]).await;
            }
            Step::Expire { day } => {
                table.expire(&|f| f.day == *day).await.unwrap();
                self.sent.retain(|(d, _), _| d != day);
            }
            Step::Purge => {
                table.purge(chrono::Utc::now().timestamp_millis() + 7 * HOUR_MS).await.unwrap();
            }
            Step::Reopen => {
                drop(table);
                self.reopen(&[]).await;
            }
        }
    }

    /// Nothing is lost, nothing is there that was not sent, nothing is there more often than it was sent.
    async fn check(&self) {
        let seen = seen(self.table.as_ref().unwrap()).await;
        assert_eq!(seen.keys().collect::<Vec<_>>(), self.sent.keys().collect::<Vec<_>>());
        for (day, sent) in &self.sent {
            let times = |ids: &[i64], id: i64| ids.iter().filter(|i| **i == id).count();
            for id in sent.iter().collect::<BTreeSet<_>>() {
                let found = times(&seen[day], *id);
                assert!(found >= 1 && found <= times(sent, *id), "{id} of {day:?}: {found} times");
            }
            assert!(seen[day].iter().all(|id| sent.contains(id)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn no_row_is_lost_or_doubled_whatever_happens(steps in prop::collection::vec(step(), 1..30)) {
        block_on(async {
            let mut world = World::new().await;
            for step in &steps {
                world.take(step).await;
                world.check().await;
            }
            let table = world.table.clone().unwrap();
            prop_assert!(table.compact(0, EAGER).await.unwrap().failed.is_empty());
            let merged = seen(&table).await;
            let mut once = world.sent.clone();
            for ids in once.values_mut() {
                ids.sort_unstable();
                ids.dedup();
            }
            // A day of one file that was never merged with another has no duplicates: an append has none.
            prop_assert_eq!(merged, once);
            table.purge(chrono::Utc::now().timestamp_millis() + 7 * HOUR_MS).await.unwrap();
            prop_assert_eq!(data_files(world.root.path()), table.snapshot().await.unwrap().files().len());
            Ok(())
        })?;
    }
}

/// Nine files of a day, ten rows each, all different.
async fn nine(table: &Table) {
    for version in 1..=9 {
        let ids: Vec<i64> = (version * 10..version * 10 + 10).collect();
        table.append(vec![part(UX, 20_000, &ids, 0)], "log-US", version).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_merge_and_commit_leaves_the_table_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut faults = vec![Fault::None; 9];
    faults.push(Fault::Dead);
    let table = open(dir.path(), Faulty::new(dir.path(), &faults)).await;
    nine(&table).await;
    let before = seen(&table).await;
    let died = table.compact(0, CompactPolicy::default()).await.unwrap();
    assert_eq!((died.groups, died.failed.len()), (0, 1));
    assert_eq!(data_files(dir.path()), 10, "nobody knows whether the commit landed");
    drop(table);
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    assert_eq!(seen(&table).await, before);
    let report = table.compact(0, CompactPolicy::default()).await.unwrap();
    assert_eq!((report.groups, report.files, report.rows, report.duplicates), (1, 9, 90, 0));
    assert_eq!(seen(&table).await, before);
    let purged = table.purge(chrono::Utc::now().timestamp_millis() + 7 * HOUR_MS).await.unwrap();
    assert_eq!((purged.files, purged.pinned), (10, 0), "nine inputs and what the crash left");
    assert_eq!(data_files(dir.path()), 1);
    assert_eq!(table.committed("log-US").await.unwrap(), Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_commit_leaves_no_file_and_a_lost_answer_is_a_success() {
    let dir = tempfile::tempdir().unwrap();
    let mut faults = vec![Fault::None; 9];
    faults.extend([Fault::Refused, Fault::AnswerLost]);
    let table = open(dir.path(), Faulty::new(dir.path(), &faults)).await;
    nine(&table).await;
    let before = seen(&table).await;
    let refused = table.compact(0, CompactPolicy::default()).await.unwrap();
    assert_eq!((refused.groups, refused.failed.len()), (0, 1));
    assert!(refused.failed[0].reason.contains("_delta_log/00000000000000000010.json"), "{refused:?}");
    assert_eq!((data_files(dir.path()), rows(&table).await), (9, 90));
    let report = table.compact(0, CompactPolicy::default()).await.unwrap();
    assert_eq!((report.groups, report.files), (1, 9));
    assert_eq!(seen(&table).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_during_a_merge_wins() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    nine(&table).await;
    let snapshot = table.snapshot().await.unwrap();
    let merge = Merge {
        table: "US/usage".to_owned(),
        objects: Arc::clone(&snapshot.objects),
        keys: snapshot.keys.clone(),
        layout: Arc::clone(&snapshot.layout),
        files: snapshot.files().to_vec(),
        path: write::new_path("US/usage", UX, 20_000).unwrap(),
        without: Arc::default(),
        stopped: Box::new(|| false),
    };
    let merged = merge.run().unwrap();
    assert_eq!((merged.written.file.rows, data_files(dir.path())), (90, 10));
    let gone = snapshot.files()[4].path.clone();
    table.expire(&|f| f.path == gone).await.unwrap();
    assert!(!table.inner.commit_merged(snapshot.files(), &merged, 0).await.unwrap());
    assert_eq!((rows(&table).await, data_files(dir.path())), (80, 9), "the merged file is gone");
    let stopped = Merge { stopped: Box::new(|| true), ..merge };
    assert!(matches!(stopped.run(), Err(StorageError::Stopped)));
    assert_eq!(data_files(dir.path()), 9, "nothing is left of a merge that nobody waits for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_notices_inputs_that_are_not_what_the_log_says() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    nine(&table).await;
    let snapshot = table.snapshot().await.unwrap();
    let mut files = snapshot.files().to_vec();
    files[3].rows += 1;
    let merge = Merge {
        table: "US/usage".to_owned(),
        objects: Arc::clone(&snapshot.objects),
        keys: snapshot.keys.clone(),
        layout: Arc::clone(&snapshot.layout),
        files,
        path: write::new_path("US/usage", UX, 20_000).unwrap(),
        without: Arc::default(),
        stopped: Box::new(|| false),
    };
    let found = merge.run();
    assert!(matches!(found, Err(StorageError::RowCount { expected: 91, found: 90, .. })));
    assert_eq!(data_files(dir.path()), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_keeps_no_other_day_from_being_merged() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    for (version, day) in (1..=27).zip([20_002, 20_001, 20_000].into_iter().cycle()) {
        let ids: Vec<i64> = (version * 10..version * 10 + 10).collect();
        table.append(vec![part(UX, day, &ids, 0)], "log-US", version).await.unwrap();
    }
    let files = table.snapshot().await.unwrap().files().to_vec();
    // The newest day comes first.
    let broken = files.iter().find(|file| file.day == 20_002).unwrap();
    let path = table.inner.objects.path(&broken.path);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let report = table.compact(0, CompactPolicy::default()).await.unwrap();
    assert_eq!((report.groups, report.files, report.rows), (2, 18, 180));
    let failed: Vec<_> = report.failed.iter().map(|failed| (failed.day, failed.programme)).collect();
    assert_eq!(failed, [(20_002, UX)]);
    assert_eq!(table.snapshot().await.unwrap().files().len(), 9 + 2);
    std::fs::write(&path, whole).unwrap();
    let report = table.compact(0, CompactPolicy::default()).await.unwrap();
    assert_eq!((report.groups, report.files, report.failed.len()), (1, 9, 0), "and it is taken up again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_to_be_left_compacts_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    nine(&table).await;
    table.inner.lock.stop_compacting.store(true, Ordering::Relaxed);
    assert_eq!(table.compact(0, EAGER).await.unwrap(), CompactReport::default());
    drop(table);
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    assert_eq!(table.compact(0, EAGER).await.unwrap().files, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_holds_stays_until_it_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    nine(&table).await;
    let held = table.snapshot().await.unwrap();
    table.compact(0, CompactPolicy::default()).await.unwrap();
    let now_ms = chrono::Utc::now().timestamp_millis();
    for _ in 0..2 {
        let purged = table.purge(now_ms).await.unwrap();
        assert_eq!((purged.files, purged.pinned), (0, 9));
    }
    for file in held.files() {
        assert_eq!(ids_of(&table.inner.objects.path(""), file).len(), 10);
    }
    drop(held);
    let purged = table.purge(now_ms).await.unwrap();
    assert_eq!((purged.files, purged.pinned), (9, 0), "known though the log has forgotten them");
    assert_eq!((data_files(dir.path()), rows(&table).await), (1, 90));
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_compactions_expiries_and_purges_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let appends: Vec<_> = (0..4i64)
        .map(|app| {
            let table = table.clone();
            tokio::spawn(async move {
                for version in 1..=12 {
                    let first = app * 1000 + version * 5;
                    let ids: Vec<i64> = (first..first + 5).collect();
                    let parts = vec![
                        part(UX, 20_000, &ids, 0),
                        part(UX, 20_001 + i32::try_from(version).unwrap(), &ids, 0),
                    ];
                    table.append(parts, &format!("app-{app}"), version).await.unwrap();
                }
            })
        })
        .collect();
    let now_ms = chrono::Utc::now().timestamp_millis() + 7 * HOUR_MS;
    let mut merged = 0;
    while !appends.iter().all(tokio::task::JoinHandle::is_finished) {
        let (compacted, expired) = tokio::join!(table.compact(0, EAGER), table.expire(&|f| f.day > 20_000));
        expired.unwrap();
        let again = table.compact(0, EAGER).await.unwrap();
        let compacted = compacted.unwrap();
        assert!(compacted.failed.is_empty() && again.failed.is_empty());
        merged += compacted.groups + again.groups;
        table.purge(now_ms).await.unwrap();
    }
    assert!(table.compact(0, EAGER).await.unwrap().failed.is_empty());
    table.expire(&|f| f.day > 20_000).await.unwrap();
    table.purge(now_ms).await.unwrap();
    let expected: Vec<i64> = (0..4).flat_map(|app| (5..65).map(move |n| app * 1000 + n)).collect();
    assert_eq!(seen(&table).await, Days::from([((20_000, UX), expected)]));
    assert!(merged > 0);
    assert_eq!(data_files(dir.path()), table.snapshot().await.unwrap().files().len());
}

//! Erasures of subjects' rows: what leaves, what stays as it was, and what is refused.
#![allow(clippy::unwrap_used)]

mod beside;
mod held;
mod size;

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use shoal_files::{Memory, SealingKey};
use shoal_schemas::calendar::{DAY_MS, start_of};
use shoal_schemas::{Kind, Programme, Region};
use url::Url;

use super::*;
use crate::tables::append::{Goal, Outcome};
use crate::tables::table::InFlight;
use crate::tables::tests::{Fault, Faulty, block_on, columns, data_files, layout, open};
use crate::tables::write::{self, Draft, Place};
use crate::{DataKeys, KeyPlace, KeyScope, Part, Store, Suppressed, TableCopies};

const LOG: &str = "log-US";
const UX: Programme = Programme::UserExperience;
const DX: Programme = Programme::DeviceExperience;
const DAY: i32 = 20_000;

/// A row: its subject's number, its event's, and when it was, in milliseconds of the day.
type Row = (u64, u64, i64);
/// A row as it is read: day, programme, pseudonym, microseconds, event id, value.
type Read = (i32, Programme, Vec<u8>, i64, Vec<u8>, i64);

/// As a digest is: no two have anything in common.
fn digest(of: &str, number: u64) -> [u8; 16] {
    *blake3::hash(format!("{of} {number}").as_bytes()).as_bytes().first_chunk().unwrap()
}

fn pseudonym(number: u64) -> [u8; 16] {
    digest("subject", number)
}

fn subjects(numbers: impl IntoIterator<Item = u64>) -> Arc<Subjects> {
    Arc::new(numbers.into_iter().map(|number| u128::from_be_bytes(pseudonym(number))).collect())
}

fn batch(day: i32, rows: &[Row]) -> RecordBatch {
    let times = rows.iter().map(|row| (start_of(day) + row.2 % DAY_MS) * 1000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| digest("event", row.1))))),
        ("subject", Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| pseudonym(row.0))))),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("n", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1 as i64 * 3)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn part(programme: Programme, day: i32, rows: &[Row]) -> Part {
    Part { programme, day, batch: batch(day, rows) }
}

/// Rows of as many subjects, one after the other, whose events have the numbers from `first` on.
fn some(first: u64, rows: u64, subjects: u64) -> Vec<Row> {
    (first..first + rows).map(|n| (n % subjects, n, (n as i64 * 7_919) % DAY_MS)).collect()
}

/// Every row that readers see, in order.
async fn all(table: &Table) -> Vec<Read> {
    let snapshot = table.snapshot().await.unwrap();
    let mut all = Vec::new();
    for file in snapshot.files() {
        let before = all.len();
        for batch in snapshot.rows(file, &["subject", "time", "event_id", "n"], 100).unwrap() {
            let batch = batch.unwrap();
            let subject = cast(batch.column(0), &DataType::Binary).unwrap();
            let (subject, event) = (subject.as_binary::<i32>(), batch.column(2).as_binary::<i32>());
            let time = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            let n = batch.column(3).as_primitive::<Int64Type>();
            all.extend((0..batch.num_rows()).map(|row| {
                let (subject, event) = (subject.value(row).to_vec(), event.value(row).to_vec());
                (file.day, file.programme, subject, time.value(row), event, n.value(row))
            }));
        }
        assert_eq!((all.len() - before) as u64, file.rows);
        assert!(all[before..].is_sorted(), "{}", file.path);
    }
    all.sort();
    all
}

fn is_of(row: &Read, subjects: &Subjects) -> bool {
    subjects.contains(&u128::from_be_bytes(*row.2.first_chunk().unwrap()))
}

fn without(rows: &[Read], subjects: &Subjects) -> Vec<Read> {
    rows.iter().filter(|row| !is_of(row, subjects)).cloned().collect()
}

async fn files(table: &Table) -> Vec<LiveFile> {
    table.snapshot().await.unwrap().files().to_vec()
}

fn is_on_disk(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_on_disk(&path, bytes),
            false => std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn rows_of_the_subjects_leave_and_all_others_stay_as_they_were(
        appended in prop::collection::vec((0..3_i32, any::<bool>(), 1..60_u64, 1..9_u64), 1..8),
        gone in prop::collection::btree_set(0..10_u64, 0..6),
    ) {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
            for (at, (day, is_ux, rows, of)) in appended.into_iter().enumerate() {
                let rows = some(at as u64 * 1_000, rows, of);
                let part = part(if is_ux { UX } else { DX }, DAY + day, &rows);
                table.append(vec![part], LOG, at as i64 + 1).await.unwrap();
            }
            let (before, listed) = (all(&table).await, table.snapshot().await.unwrap());
            let gone = subjects(gone);
            let told = table.holding(Arc::clone(&gone)).await.unwrap();
            prop_assert_eq!(all(&table).await, before.clone(), "it has only looked");
            let erased = table.erase(0, Arc::clone(&gone)).await.unwrap();
            prop_assert_eq!(ErasedRows { bytes_out: 0, ..erased }, told);
            let rest = without(&before, &gone);
            prop_assert_eq!(all(&table).await, rest.clone());
            prop_assert_eq!(erased.rows, (before.len() - rest.len()) as u64);
            let after = table.snapshot().await.unwrap();
            let stayed = listed.files().iter().filter(|file| after.files().contains(file)).count() as u64;
            prop_assert_eq!(stayed + erased.files, listed.files().len() as u64, "what has none is not touched");
            prop_assert_eq!(after.version(), listed.version() + erased.files as i64);
            drop((listed, after));
            prop_assert_eq!(table.erase(0, Arc::clone(&gone)).await.unwrap(), ErasedRows::default());
            table.purge(i64::MAX).await.unwrap();
            prop_assert_eq!(data_files(dir.path()), files(&table).await.len());
            drop(table);
            let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
            prop_assert_eq!(all(&table).await, rest);
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_nobody_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    assert_eq!(table.erase(0, subjects([1])).await.unwrap(), ErasedRows::default(), "there is no file");
    table.append(vec![part(UX, DAY, &some(0, 90, 9))], LOG, 1).await.unwrap();
    let before = table.snapshot().await.unwrap();
    for nobody in [subjects([]), subjects(9..2_000)] {
        assert_eq!(table.erase(0, nobody).await.unwrap(), ErasedRows::default());
        let after = table.snapshot().await.unwrap();
        assert_eq!((after.version(), after.files()), (before.version(), before.files()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_subjects_is_on_the_disk_after_the_next_purge() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let one: Vec<Row> = (0..50).map(|n| (3, 500 + n, 5)).collect();
    let parts =
        vec![part(UX, DAY, &some(0, 60, 5)), part(DX, DAY, &some(100, 60, 5)), part(UX, DAY + 1, &one)];
    table.append(parts, LOG, 1).await.unwrap();
    let is_there = |number| is_on_disk(dir.path(), &pseudonym(number));
    assert!((0..5).all(is_there), "or else this proves nothing");
    let erased = table.erase(0, subjects([3, 4])).await.unwrap();
    assert_eq!((erased.files, erased.rows), (3, 4 * 12 + 50));
    assert!(is_there(3) && is_there(4), "the files are still there");
    assert!(!is_on_disk(dir.path(), br#""dataChange":false"#), "rows have changed, as every reader is told");
    let purged = table.purge(0).await.unwrap();
    assert_eq!((purged.files, purged.bytes, purged.pinned), (3, erased.bytes_in, 0));
    assert!(!is_there(3) && !is_there(4) && (0..3).all(is_there));
    let left: u64 = files(&table).await.iter().map(|file| file.bytes).sum();
    assert_eq!((files(&table).await.len(), left), (2, erased.bytes_out));
}

/// An append may bring an event twice.
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_counted_beside_what_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let rows = [some(0, 40, 4), some(0, 20, 4)].concat();
    table.append(vec![part(UX, DAY, &rows)], LOG, 1).await.unwrap();
    let once = without(&all(&table).await, &subjects([1]));
    let snapshot = table.snapshot().await.unwrap();
    let gone = subjects([1]);
    let merged = {
        let _only = table.inner.compacting.lock().await;
        table.replace_group(&snapshot, snapshot.files(), gone, 0).await.unwrap().unwrap()
    };
    assert_eq!((merged.written.file.rows, merged.duplicates, merged.erased), (30, 15, 15));
    let mut once = once;
    once.dedup();
    assert_eq!(all(&table).await, once);
}

/// Makes these rows a live file as they are, of which the log says that it has so many more.
async fn put_raw(table: &Table, day: i32, rows: &RecordBatch, more: u64) {
    let inner = &table.inner;
    let path = write::new_path(&inner.name, UX, day).unwrap();
    let _in_flight = InFlight::new(inner, vec![path.clone()]);
    let place = Place { objects: &*inner.objects, keys: &inner.keys };
    let rows = inner.layout().conform(rows).unwrap();
    let mut draft = Draft::create(place, path, inner.layout().file_schema(), 10).unwrap();
    draft.write(&rows).unwrap();
    let mut written = draft.publish(place).unwrap();
    written.file.rows += more;
    let goal = Goal { app_id: format!("raw {day}"), version: 1, after: None };
    assert_eq!(inner.commit_files(&[written], &[], &goal).await.unwrap(), Outcome::Committed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_as_it_should_be_is_an_error_and_stays_while_the_others_are_done() {
    let short = {
        let good = batch(DAY, &some(0, 3, 3));
        let mut columns = good.columns().to_vec();
        columns[1] = Arc::new(BinaryArray::from_iter_values([&pseudonym(0)[..], &[1; 15], &[1; 16]]));
        RecordBatch::try_new(good.schema(), columns).unwrap()
    };
    let unsorted = batch(DAY, &[some(0, 20, 4), some(20, 20, 4)].concat());
    let cases =
        [(unsorted.clone(), 0, "is not sorted"), (short, 0, "no pseudonym"), (unsorted, 1, "40 rows")];
    for (rows, more, reason) in cases {
        let dir = tempfile::tempdir().unwrap();
        let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
        put_raw(&table, DAY, &rows, more).await;
        let before = table.snapshot().await.unwrap();
        let refused = table.erase(0, subjects([0])).await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
        let after = table.snapshot().await.unwrap();
        assert_eq!((after.version(), after.files()), (before.version(), before.files()));
        assert_eq!(data_files(dir.path()), 1, "nothing is left of what was tried");
        table.append(vec![part(UX, DAY + 1, &some(50, 20, 4))], LOG, 1).await.unwrap();
        let refused = table.erase(0, subjects([0])).await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
        let rows: BTreeMap<i32, u64> = files(&table).await.iter().map(|file| (file.day, file.rows)).collect();
        assert_eq!(rows, BTreeMap::from([(DAY, before.files()[0].rows), (DAY + 1, 15)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sealed_anew_and_a_day_whose_key_is_gone_is_left_alone() {
    let (dir, place, wrapping) =
        (tempfile::tempdir().unwrap(), Memory::new(), SealingKey::generate().unwrap());
    let keys = || {
        let place = KeyPlace::new(Arc::new(place.clone()), Vec::new());
        Arc::new(DataKeys::open(place, |_| wrapping.clone()).unwrap())
    };
    let root = Url::from_directory_path(dir.path()).unwrap();
    let opened = async |keys: Option<Arc<DataKeys>>| {
        let store = Store::open_with_keys(&root, keys).await.unwrap();
        store.table_with(Region::Us, Kind::Usage, layout(columns())).await.unwrap()
    };
    let table = opened(None).await;
    let parts = vec![part(UX, DAY, &some(0, 20, 4)), part(UX, DAY + 1, &some(20, 20, 2))];
    table.append(parts, LOG, 1).await.unwrap();
    drop(table);
    let keys = keys();
    let table = opened(Some(Arc::clone(&keys))).await;
    table.append(vec![part(UX, DAY + 2, &some(40, 20, 4))], LOG, 2).await.unwrap();
    let before = all(&table).await;
    let gone = subjects([2, 3]);
    let erased = table.erase(0, Arc::clone(&gone)).await.unwrap();
    assert_eq!((erased.files, erased.rows), (2, 20));
    assert_eq!(all(&table).await, without(&before, &gone));
    let sealed: Vec<bool> = files(&table).await.iter().map(|file| file.key.is_some()).collect();
    assert_eq!(sealed, [true, false, true], "one of them was not touched");
    keys.shred(KeyScope { region: Region::Us, kind: Kind::Usage, day: DAY + 2 }).unwrap();
    assert_eq!(table.holding(subjects([0])).await.unwrap().rows, 15);
    assert_eq!(table.erase(0, subjects([0])).await.unwrap().rows, 15, "of the two other days");
    assert_eq!(files(&table).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_to_be_left_erases_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    table.append(vec![part(UX, DAY, &some(0, 20, 4))], LOG, 1).await.unwrap();
    table.inner.lock.stop_compacting.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(table.erase(0, subjects([1])).await, Err(StorageError::Stopped)));
    assert_eq!(all(&table).await.len(), 20);
}

/// A copy is not a release, and nobody who is in no release is in it either.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_the_clear_has_nobody_who_is_suppressed_and_everybody_else() {
    let (root, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let table = open(root.path(), Faulty::new(root.path(), &[])).await;
    // Of one file every row is of somebody who is suppressed.
    table
        .append(vec![part(UX, DAY, &some(0, 60, 6)), part(DX, DAY, &some(100, 5, 1))], LOG, 1)
        .await
        .unwrap();
    let (gone, rest) = (subjects([0, 4]), without(&all(&table).await, &subjects([0, 4])));
    let suppressed = Suppressed::default();
    suppressed.set(Region::Us, Subjects::clone(&gone));
    let from: Arc<dyn shoal_files::Objects> = Arc::new(shoal_files::Disk::new(root.path()));
    let copies = TableCopies::new(from, None, to.path()).without(suppressed);
    let copied = copies.copy(Region::Us, Kind::Usage, &|_| false).await.unwrap();
    assert_eq!((copied.files, copied.rows), (1, 40));
    let table = open(to.path(), Faulty::new(to.path(), &[])).await;
    assert_eq!((all(&table).await, data_files(to.path())), (rest, 1));
    assert!(!is_on_disk(to.path(), &pseudonym(4)) && is_on_disk(root.path(), &pseudonym(4)));
}

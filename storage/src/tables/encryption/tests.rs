//! Encrypted tables through the public interface: what lies on the disk, and what is read of it.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::Int64Type;
use shoal_files::{Memory, SealingKey};
use shoal_schemas::{Kind, Region};
use url::Url;

use crate::tables::tests::{columns, layout, part};
use crate::{CompactPolicy, DataKeys, KeyPlace, KeyScope, LiveFile, StorageError, Store, Table};

const DAY: i32 = 20_000;
const SCOPE: KeyScope = KeyScope { region: Region::Us, kind: Kind::Usage, day: DAY };

/// A root, and the keys that are not in it.
struct World {
    dir: tempfile::TempDir,
    store: Memory,
    wrapping: SealingKey,
}

impl World {
    fn new() -> World {
        World {
            dir: tempfile::tempdir().unwrap(),
            store: Memory::new(),
            wrapping: SealingKey::generate().unwrap(),
        }
    }

    fn keys(&self) -> Arc<DataKeys> {
        Arc::new(
            DataKeys::open(KeyPlace::new(Arc::new(self.store.clone()), Vec::new()), |_| {
                self.wrapping.clone()
            })
            .unwrap(),
        )
    }

    async fn open(&self, keys: Option<Arc<DataKeys>>) -> Result<Table, StorageError> {
        let root = Url::from_directory_path(self.dir.path()).unwrap();
        let store = Store::open_with_keys(&root, keys).await?;
        store.table_with(Region::Us, Kind::Usage, layout(columns())).await
    }

    fn path(&self, file: &LiveFile) -> PathBuf {
        self.dir.path().join("us/tables/usage").join(&file.path)
    }
}

async fn append(table: &Table, rows: i64, version: i64) {
    table.append(vec![part(DAY, rows)], "test", version).await.unwrap();
}

/// The numbers of all rows, sorted.
async fn numbers(table: &Table) -> Result<Vec<i64>, StorageError> {
    let snapshot = table.snapshot().await.unwrap();
    let mut numbers = Vec::new();
    for file in snapshot.files() {
        for batch in snapshot.rows(file, &["n", "subject"], 7)? {
            let batch: RecordBatch = batch?;
            numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

async fn files(table: &Table) -> Vec<LiveFile> {
    table.snapshot().await.unwrap().files().to_vec()
}

fn all_bytes(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(all_bytes(&path)),
            false => bytes.extend(std::fs::read(path).unwrap()),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_row_lies_on_the_disk_and_all_of_it_is_read() {
    let (world, plain) = (World::new(), World::new());
    let id = |n: i64| blake3::hash(&n.to_le_bytes()).as_bytes()[..16].to_vec();
    let ids = BinaryArray::from_iter_values((0..200).map(id));
    let mut rows = part(DAY, 200);
    let mut columns = rows.batch.columns().to_vec();
    columns[rows.batch.schema().index_of("event_id").unwrap()] = Arc::new(ids);
    rows.batch = RecordBatch::try_new(rows.batch.schema(), columns).unwrap();
    for (world, keys) in [(&world, Some(world.keys())), (&plain, None)] {
        let table = world.open(keys).await.unwrap();
        table.append(vec![rows.clone()], "test", 1).await.unwrap();
        assert_eq!(numbers(&table).await.unwrap(), (0..200).collect::<Vec<_>>());
    }
    let holds = |world: &World, part: &[u8]| {
        all_bytes(world.dir.path()).windows(part.len()).any(|window| window == part)
    };
    let held = |world: &World| (0..200).filter(|n| holds(world, &id(*n))).count();
    assert_eq!(held(&world), 0, "event ids on the disk");
    // Some are cut where three of their bytes are those of another one, too.
    assert!(held(&plain) > 150, "or else this proves nothing");
    assert!(!holds(&world, b"shoal.chunks") && holds(&plain, b"shoal.chunks"), "the footer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_before_is_read_and_each_merge_encrypts_it() {
    let world = World::new();
    let table = world.open(None).await.unwrap();
    for version in 1..=4 {
        append(&table, 10 * version, version).await;
    }
    let before = numbers(&table).await.unwrap();
    drop(table);
    let keys = world.keys();
    let table = world.open(Some(Arc::clone(&keys))).await.unwrap();
    append(&table, 50, 5).await;
    assert_eq!(files(&table).await.iter().filter(|file| file.key.is_some()).count(), 1);
    let mut expected = before;
    expected.extend(0..50);
    expected.sort_unstable();
    assert_eq!(numbers(&table).await.unwrap(), expected);
    let policy = CompactPolicy { files_min: 2, ..CompactPolicy::default() };
    let report = table.compact(0, policy).await.unwrap();
    assert_eq!((report.groups, report.failed.len()), (1, 0), "{report:?}");
    let merged = files(&table).await;
    assert!(merged.iter().all(|file| file.key.is_some()), "{merged:?}");
    expected.dedup();
    let mut found = numbers(&table).await.unwrap();
    found.dedup();
    assert_eq!(found, expected);
    drop(table);
    let again = world.open(Some(world.keys())).await.unwrap();
    assert_eq!(files(&again).await, merged, "what the log says of keys survives");
    drop(again);
    let without = world.open(None).await.unwrap();
    assert_eq!(files(&without).await, merged, "the log is read without keys");
    assert!(matches!(numbers(&without).await, Err(StorageError::Schema { .. })));
    drop(without);
    let keys =
        DataKeys::open(KeyPlace::new(Arc::new(world.store.clone()), Vec::new()), |_| world.wrapping.clone())
            .unwrap()
            .reading_only();
    let off = world.open(Some(Arc::new(keys))).await.unwrap();
    append(&off, 3, 6).await;
    assert_eq!(files(&off).await.iter().filter(|file| file.key.is_none()).count(), 1);
    assert_eq!(numbers(&off).await.unwrap().len(), expected.len() + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_anothers_place_or_in_the_clear_is_not_read() {
    let world = World::new();
    let table = world.open(Some(world.keys())).await.unwrap();
    append(&table, 20, 1).await;
    append(&table, 20, 2).await;
    let live = files(&table).await;
    let (first, second) = (world.path(&live[0]), world.path(&live[1]));
    let bytes = [std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap()];
    std::fs::write(&first, &bytes[1]).unwrap();
    assert!(numbers(&table).await.is_err(), "the same day and key, another file");
    let plain = World::new();
    let other = plain.open(None).await.unwrap();
    append(&other, 20, 1).await;
    let clear = std::fs::read(plain.path(&files(&other).await[0])).unwrap();
    std::fs::write(&first, &clear).unwrap();
    let told = numbers(&table).await.unwrap_err().to_string();
    assert!(told.contains("is not encrypted"), "{told}");
    std::fs::write(&first, &bytes[0]).unwrap();
    assert_eq!(numbers(&table).await.unwrap().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_digests_of_ours_the_tags_of_the_cipher_find_every_flip() {
    let world = World::new();
    let table = world.open(Some(world.keys())).await.unwrap();
    append(&table, 30, 1).await;
    let snapshot = table.snapshot().await.unwrap().without_digests();
    let file = &snapshot.files()[0];
    let read = || -> Result<Vec<RecordBatch>, StorageError> {
        snapshot.rows(file, &["n", "subject", "event_id", "time"], 100)?.collect()
    };
    let (path, whole) = (world.path(file), read().unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        match read() {
            Err(_) => found += 1,
            Ok(rows) => assert_eq!(rows, whole, "the byte {at} of {}", bytes.len()),
        }
    }
    assert!(found > bytes.len() / 2, "{found} of {}", bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_key_was_destroyed_is_unreadable_in_an_older_copy_too() {
    let world = World::new();
    let keys = world.keys();
    let table = world.open(Some(Arc::clone(&keys))).await.unwrap();
    append(&table, 20, 1).await;
    table.append(vec![part(DAY + 1, 30)], "test", 2).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_all(world.dir.path(), copy.path());
    table.expire(&|file| file.day == DAY).await.unwrap();
    assert_eq!(keys.shred(SCOPE).unwrap(), 1);
    assert_eq!(numbers(&table).await.unwrap().len(), 30, "other days are as they were");
    append(&table, 5, 3).await;
    assert_eq!(numbers(&table).await.unwrap().len(), 35, "what comes later has a key of its own");
    drop(table);
    let today = world.keys();
    let root = Url::from_directory_path(copy.path()).unwrap();
    let store = Store::open_with_keys(&root, Some(today)).await.unwrap();
    let older = store.table_with(Region::Us, Kind::Usage, layout(columns())).await.unwrap();
    let told = numbers(&older).await.unwrap_err().to_string();
    assert!(told.contains("us/usage/2024-10-04.") && told.contains("destroyed"), "{told}");
    drop((older, store));
    // A key store that is lost is not taken for one that has lost a key.
    let empty =
        DataKeys::open(KeyPlace::new(Arc::new(Memory::new()), Vec::new()), |_| world.wrapping.clone())
            .unwrap();
    let root = Url::from_directory_path(copy.path()).unwrap();
    let store = Store::open_with_keys(&root, Some(Arc::new(empty))).await.unwrap();
    let opened = store.table_with(Region::Us, Kind::Usage, layout(columns())).await;
    assert!(matches!(opened, Err(StorageError::KeyGone(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_days_that_are_over_go_when_nobody_has_a_file_of_theirs() {
    let world = World::new();
    let keys = world.keys();
    let table = world.open(Some(Arc::clone(&keys))).await.unwrap();
    for (version, day) in [(1, DAY), (2, DAY + 1), (3, DAY + 9)] {
        table.append(vec![part(day, 10)], "test", version).await.unwrap();
    }
    let days = || keys.list().iter().map(|(scope, _)| scope.day).collect::<Vec<_>>();
    assert_eq!(table.shred(|day| day < DAY + 5).await.unwrap(), 0, "they have files");
    let read = table.snapshot().await.unwrap();
    table.expire(&|file| file.day == DAY).await.unwrap();
    assert_eq!(table.shred(|day| day < DAY + 5).await.unwrap(), 0, "somebody may read them");
    drop(read);
    assert_eq!(table.shred(|day| day < DAY + 5).await.unwrap(), 1);
    assert_eq!(days(), [DAY + 1, DAY + 9]);
    table.expire(&|_| true).await.unwrap();
    assert_eq!(table.shred(|day| day < DAY + 5).await.unwrap(), 1);
    assert_eq!(days(), [DAY + 9], "a day that is not over keeps its key");
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        match path.is_dir() {
            true => copy_all(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

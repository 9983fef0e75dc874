//! Copies in the clear through the public interface: what is in them, whatever becomes of the table meanwhile.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use shoal_files::{Memory, Objects as _, SealingKey};
use url::Url;

use super::*;
use crate::tables::tests::{columns, data_files, layout, part};
use crate::{CompactPolicy, KeyPlace, KeyScope, Store, Table};

const DAY: i32 = 20_000;

/// A table that is open, as a service has it, and where a copy of it goes.
struct World {
    root: tempfile::TempDir,
    to: tempfile::TempDir,
    keys: Memory,
    wrapping: SealingKey,
    table: Table,
}

impl World {
    async fn new() -> World {
        let (root, keys) = (tempfile::tempdir().unwrap(), Memory::new());
        let wrapping = SealingKey::generate().unwrap();
        let own =
            DataKeys::open(KeyPlace::new(Arc::new(keys.clone()), Vec::new()), |_| wrapping.clone()).unwrap();
        let table = open(root.path(), Some(Arc::new(own))).await;
        World { root, to: tempfile::tempdir().unwrap(), keys, wrapping, table }
    }

    async fn append(&self, day: i32, rows: i64, version: i64) {
        self.table.append(vec![part(day, rows)], "test", version).await.unwrap();
    }

    /// The keys as another process finds them.
    fn keys(&self) -> Arc<DataKeys> {
        Arc::new(
            DataKeys::open(KeyPlace::new(Arc::new(self.keys.clone()), Vec::new()), |_| self.wrapping.clone())
                .unwrap(),
        )
    }

    async fn copy(&self, is_expired: &dyn Fn(&LiveFile) -> bool) -> Result<TableCopied> {
        let copies =
            TableCopies::new(Arc::new(Disk::new(self.root.path())), Some(self.keys()), self.to.path());
        assert!(
            copies.has(Region::Us, Kind::Usage).unwrap() && !copies.has(Region::De, Kind::Usage).unwrap()
        );
        copies.copy(Region::Us, Kind::Usage, is_expired).await
    }

    fn copied(&self) -> PathBuf {
        self.to.path().join("us/tables/usage")
    }

    fn has_log(&self) -> bool {
        self.copied().join(LOG_FOLDER).exists()
    }

    /// All files that are merged become one, and what was merged leaves the disk.
    async fn merge(&self) {
        let policy = CompactPolicy { files_min: 2, ..CompactPolicy::default() };
        assert_eq!(self.table.compact(0, policy).await.unwrap().groups, 1);
        assert!(self.table.purge(0).await.unwrap().files > 0);
    }
}

async fn open(root: &Path, keys: Option<Arc<DataKeys>>) -> Table {
    let store = Store::open_with_keys(&Url::from_directory_path(root).unwrap(), keys).await.unwrap();
    store.table_with(Region::Us, Kind::Usage, layout(columns())).await.unwrap()
}

/// Day and number of every row, sorted.
async fn rows(table: &Table) -> Vec<(i32, i64)> {
    let snapshot = table.snapshot().await.unwrap();
    let mut all = Vec::new();
    for file in snapshot.files() {
        for batch in snapshot.rows(file, &["n"], 7).unwrap() {
            let batch = batch.unwrap();
            all.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().map(|n| (file.day, *n)));
        }
    }
    all.sort_unstable();
    all
}

/// Runs something in the middle of what is not asynchronous.
fn meanwhile(work: impl Future<Output = ()>) {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_the_rows_of_sealed_and_of_plain_files_and_needs_no_key() {
    let mut world = World::new().await;
    world.append(DAY, 200, 1).await;
    world.append(DAY + 1, 30, 2).await;
    let placeholder = open(world.to.path().join("other").as_path(), None).await;
    drop(std::mem::replace(&mut world.table, placeholder));
    let off =
        DataKeys::open(KeyPlace::new(Arc::new(world.keys.clone()), Vec::new()), |_| world.wrapping.clone())
            .unwrap();
    world.table = open(world.root.path(), Some(Arc::new(off.reading_only()))).await;
    world.append(DAY, 5, 3).await;
    let sealed: Vec<bool> =
        world.table.snapshot().await.unwrap().files().iter().map(|f| f.key.is_some()).collect();
    assert_eq!(sealed.iter().filter(|is_sealed| **is_sealed).count(), 2, "{sealed:?}");
    let before = world.keys.list("").unwrap().len();
    // The root is locked by the table that is open.
    let copied = world.copy(&|_| false).await.unwrap();
    assert_eq!((copied.files, copied.rows, copied.unreadable_files, copied.expired_files), (3, 235, 0, 0));
    assert_eq!(world.keys.list("").unwrap().len(), before, "no key is made for a copy");
    let copy = open(world.to.path(), None).await;
    assert_eq!(rows(&copy).await, rows(&world.table).await);
    for file in copy.snapshot().await.unwrap().files() {
        let path = world.copied().join(&file.path);
        assert!(std::fs::read(&path).unwrap().starts_with(b"PAR1") && file.key.is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o077, 0);
    }
    for path in [world.copied(), world.copied().join(LOG_FOLDER), world.to.path().join("us")] {
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o077, 0, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_and_an_expiry_in_the_middle_of_a_copy_leave_no_row_out_and_none_twice() {
    let world = World::new().await;
    for version in 1..=6 {
        world.append(DAY, 10 * version, version).await;
    }
    world.append(DAY + 1, 7, 7).await;
    world.append(DAY + 2, 9, 8).await;
    let asked = Cell::new(0);
    let is_expired = |_: &LiveFile| {
        asked.set(asked.get() + 1);
        // Some files are copied by now.
        if asked.get() == 4 {
            meanwhile(async {
                world.merge().await;
                world.append(DAY + 3, 4, 9).await;
                world.table.expire(&|file| file.day == DAY + 1).await.unwrap();
                world.table.purge(0).await.unwrap();
            });
        }
        false
    };
    let copied = world.copy(&is_expired).await.unwrap();
    let expected = rows(&world.table).await;
    assert!(expected.len() > 60 && copied.rows == expected.len() as u64, "{copied:?}");
    assert_eq!(data_files(world.to.path()), copied.files as usize, "what was copied before is gone");
    assert_eq!(rows(&open(world.to.path(), None).await).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_before_or_while_it_is_copied_is_not_in_the_copy() {
    let world = World::new().await;
    for day in 0..3 {
        world.append(DAY + day, 10, i64::from(day) + 1).await;
    }
    let asked = Cell::new(0);
    // The first day is expired; the second one is from when all files were looked at.
    let is_expired = |file: &LiveFile| {
        asked.set(asked.get() + 1);
        file.day == DAY || (file.day == DAY + 1 && asked.get() > 3)
    };
    let copied = world.copy(&is_expired).await.unwrap();
    assert_eq!((copied.files, copied.rows, copied.expired_files), (1, 10, 2));
    assert_eq!(data_files(world.to.path()), 1, "its bytes are gone");
    let copy = open(world.to.path(), None).await;
    assert!(rows(&copy).await.iter().all(|(day, _)| *day == DAY + 2));
    let log = std::fs::read_to_string(world.copied().join("_delta_log/00000000000000000000.json")).unwrap();
    assert!(log.contains("day=2024-10-06/") && !log.contains("day=2024-10-05/"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_key_is_gone_is_told_and_the_others_are_copied() {
    let world = World::new().await;
    for day in 0..3 {
        world.append(DAY + day, 10, i64::from(day) + 1).await;
    }
    world.keys().shred(KeyScope { region: Region::Us, kind: Kind::Usage, day: DAY + 1 }).unwrap();
    let copied = world.copy(&|_| false).await.unwrap();
    assert_eq!((copied.files, copied.rows, copied.unreadable_files, copied.unreadable_rows), (2, 20, 1, 10));
    assert_eq!(copied.unreadable_days.into_iter().collect::<Vec<_>>(), [DAY + 1]);
    assert_eq!(rows(&open(world.to.path(), None).await).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_a_run_of_retention_takes_with_its_key_meanwhile_is_missed_by_nobody() {
    let world = World::new().await;
    for day in 0..3 {
        world.append(DAY + day, 10, i64::from(day) + 1).await;
    }
    let asked = Cell::new(false);
    let is_expired = |_: &LiveFile| {
        if !asked.replace(true) {
            meanwhile(async {
                world.table.expire(&|file| file.day == DAY + 2).await.unwrap();
            });
            world.keys().shred(KeyScope { region: Region::Us, kind: Kind::Usage, day: DAY + 2 }).unwrap();
        }
        false
    };
    let copied = world.copy(&is_expired).await.unwrap();
    assert_eq!((copied.rows, copied.unreadable_files), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_is_damaged_or_without_its_keys_is_no_table() {
    let world = World::new().await;
    world.append(DAY, 300, 1).await;
    let copies = TableCopies::new(Arc::new(Disk::new(world.root.path())), None, world.to.path());
    let told = copies.copy(Region::Us, Kind::Usage, &|_| false).await.unwrap_err().to_string();
    assert!(told.contains("no data keys") && !world.has_log(), "{told}");
    let file = world.table.snapshot().await.unwrap().files()[0].clone();
    let path = world.root.path().join("us/tables/usage").join(&file.path);
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    assert!(world.copy(&|_| false).await.is_err() && !world.has_log());
    assert_eq!(data_files_or_none(&world), 0, "nothing half-written stays");
    std::fs::write(&path, whole).unwrap();
    std::os::unix::fs::symlink("/nowhere", world.root.path().join("us/tables/usage/day=2024-10-09")).unwrap();
    assert!(world.copy(&|_| false).await.is_err() && !world.has_log(), "a link");
}

fn data_files_or_none(world: &World) -> usize {
    if world.copied().exists() { data_files(world.to.path()) } else { 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_every_day_was_destroyed_opens_empty_and_a_lost_key_store_is_told_from_that() {
    let mut world = World::new().await;
    world.append(DAY, 10, 1).await;
    let destroyed = KeyScope { region: Region::Us, kind: Kind::Usage, day: DAY };
    world.keys().shred(destroyed).unwrap();
    let root = Url::from_directory_path(world.root.path()).unwrap();
    world.table = open(world.to.path().join("other").as_path(), None).await;
    let reopened = |keys: Arc<DataKeys>| {
        let root = root.clone();
        async move {
            let store = Store::open_with_keys(&root, Some(keys)).await.unwrap();
            store.table_with(Region::Us, Kind::Usage, layout(columns())).await
        }
    };
    let nothing =
        DataKeys::open(KeyPlace::new(Arc::new(Memory::new()), Vec::new()), |_| world.wrapping.clone());
    let lost = reopened(Arc::new(nothing.unwrap())).await;
    assert!(matches!(lost, Err(StorageError::KeyGone(_))), "there is nothing at all");
    // There is no key in the store either, and it tells that one was destroyed.
    assert!(world.keys().list().is_empty());
    let table = reopened(world.keys()).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    assert!(snapshot.files().iter().all(|file| !snapshot.has_key(file)));
    assert_eq!(snapshot.bounded_rows(DAY, 100).unwrap(), 0);
    table.append(vec![part(DAY, 4)], "test", 2).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    assert_eq!(snapshot.bounded_rows(DAY, 100).unwrap(), 4, "what comes later has a key of its own");
    let copied = world.copy(&|_| false).await.unwrap();
    assert_eq!((copied.rows, copied.unreadable_rows), (4, 10));
}

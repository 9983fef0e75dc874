//! Which chunks a source is told of, by hand and by whoever reads a table.
#![allow(clippy::unwrap_used)]

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shoal_files::{Entry, Memory, NewObject, Objects};
use shoal_schemas::{Kind, Region};

use super::*;
use crate::tables::tests::{columns, layout, part};
use crate::{CompactPolicy, Store, Table};

/// What is read of a source, and what it is told.
#[derive(Default)]
pub(crate) struct Notes {
    reads: Mutex<Vec<Range<u64>>>,
    told: Mutex<Vec<Vec<Range<u64>>>>,
}

impl Notes {
    /// What was read since this was asked last, each range with a read of its own.
    pub(crate) fn reads(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *self.reads.lock().unwrap())
    }

    /// What was told since this was asked last.
    pub(crate) fn told(&self) -> Vec<Vec<Range<u64>>> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// A source that notes.
pub(crate) struct Noting {
    inner: Box<dyn Source>,
    pub(crate) notes: Arc<Notes>,
}

impl Noting {
    pub(crate) fn of(bytes: Vec<u8>) -> Noting {
        let memory = Memory::new();
        memory.put("bytes", &bytes).unwrap();
        Noting { inner: memory.open("bytes").unwrap(), notes: Arc::default() }
    }
}

impl Source for Noting {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.notes.reads.lock().unwrap().push(offset..offset + buffer.len() as u64);
        self.inner.read_at(offset, buffer)
    }

    fn will_read(&self, ranges: &[Range<u64>]) {
        self.notes.told.lock().unwrap().push(ranges.to_vec());
    }
}

/// A place whose files of tables note.
#[derive(Clone, Default)]
struct Place {
    inner: Memory,
    notes: Arc<Notes>,
}

impl Objects for Place {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put(name, bytes)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put_if_absent(name, bytes)
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        self.inner.write(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        let inner = self.inner.open(name)?;
        let is_noting = name.contains("/day=");
        Ok(if is_noting { Box::new(Noting { inner, notes: Arc::clone(&self.notes) }) } else { inner })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
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

async fn table(place: &Place) -> Table {
    let store = Store::open_unlocked(place.clone(), None);
    store.table_with(Region::Us, Kind::Usage, layout(columns())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_columns_of_a_file_tells_their_chunks_before_and_reads_nothing_else() {
    let place = Place::default();
    let table = table(&place).await;
    table.append(vec![part(20_000, 40_000)], "log-US", 1).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    let mut told_bytes = Vec::new();
    for wanted in [&["n"][..], &["n", "time"], &["event_id", "subject", "time", "n"]] {
        drop((place.notes.reads(), place.notes.told()));
        let rows = snapshot.rows(&snapshot.files()[0], wanted, 1_000).unwrap();
        let told = place.notes.told();
        assert_eq!((told.len(), told[0].len()), (1, wanted.len()), "one row group");
        assert_eq!(rows.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 40_000);
        let is_told = |read: &Range<u64>| {
            told[0].iter().any(|chunk| chunk.start <= read.start && read.end <= chunk.end)
        };
        let reads = place.notes.reads();
        let (footer, chunks) = reads.split_first().unwrap();
        assert_eq!(footer.end, snapshot.files()[0].bytes, "one read of the end");
        assert!(!chunks.is_empty() && chunks.iter().all(is_told), "{chunks:?} of {told:?}");
        told_bytes.push(told[0].iter().map(|chunk| chunk.end - chunk.start).sum::<u64>());
    }
    assert!(told_bytes.is_sorted() && told_bytes[0] < told_bytes[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_tells_all_chunks_of_its_files() {
    let place = Place::default();
    let table = table(&place).await;
    for version in 1..=3 {
        table.append(vec![part(20_000, 500 + version)], "log-US", version).await.unwrap();
    }
    drop((place.notes.reads(), place.notes.told()));
    let policy = CompactPolicy { files_min: 2, ..CompactPolicy::default() };
    table.compact(0, policy).await.unwrap();
    assert_eq!(table.snapshot().await.unwrap().files().len(), 1);
    let told = place.notes.told();
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4]);
}

#[test]
fn row_groups_are_told_once_each_and_not_too_far_before_their_reader() {
    const M: u64 = 1024 * 1024;
    let groups: Vec<Vec<Range<u64>>> =
        (0..10).map(|at| vec![20 * at * M..20 * at * M + 5, (20 * at + 1) * M..(20 * at + 16) * M]).collect();
    let (ahead, source) = (Ahead::new(groups.clone()), Noting::of(Vec::new()));
    ahead.begin(&source);
    assert_eq!(source.notes.told(), groups[..3], "the first, and 30 MiB of those behind it");
    for position in [0, 5, 10 * M, 19 * M] {
        ahead.reach(position, &source);
    }
    assert!(source.notes.told().is_empty());
    ahead.reach(20 * M, &source);
    assert_eq!(source.notes.told(), groups[3..4]);
    // A reader that leaves groups out.
    ahead.reach(165 * M, &source);
    assert_eq!(source.notes.told(), groups[8..]);
    ahead.reach(0, &source);
    ahead.reach(u64::MAX, &source);
    assert!(source.notes.told().is_empty());
}

#[test]
fn a_row_group_that_is_larger_is_told_all_the_same_and_one_without_chunks_is_none() {
    let large = |at: u64| vec![at..at + 10 * AHEAD_BYTES];
    let (ahead, source) =
        (Ahead::new(vec![large(0), Vec::new(), large(1 << 40), large(2 << 40)]), Noting::of(Vec::new()));
    ahead.begin(&source);
    assert_eq!(source.notes.told(), [large(0), large(1 << 40)]);
    ahead.reach(1 << 40, &source);
    assert_eq!(source.notes.told(), [large(2 << 40)]);
    Ahead::new(Vec::new()).begin(&source);
    assert!(source.notes.told().is_empty());
}

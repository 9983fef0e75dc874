//! Going through a file of a table in a bucket: how many requests it takes without a cache, with one that is empty, with hints, and with one
//! that has it all.
//!
//! The time is printed, and nothing is asserted of it. For a file and a network of another kind:
//! `SHOAL_SCAN_MIB=50 SHOAL_LATE_MS=20 cargo test -p shoal-files --test s3 -- --nocapture a_scan`

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shoal_files::{Cached, Entry, NewObject, Objects, S3, Source};

use crate::servers::Server;

/// The file, when SHOAL_SCAN_MIB says no other size.
const MIB: u64 = 8;
/// What a reader of Parquet compares at one time.
const READ_BYTES: usize = 256 << 10;

/// A bucket whose requests of reading are counted, and take longer where SHOAL_LATE_MS says so.
struct Late {
    inner: S3,
    requests: Arc<AtomicU64>,
    late: Duration,
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

impl Late {
    fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !self.late.is_zero() {
            std::thread::sleep(self.late);
        }
    }
}

impl Objects for Late {
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
        self.request();
        let late = Late { inner: self.inner.clone(), requests: Arc::clone(&self.requests), late: self.late };
        Ok(Box::new(LateSource { inner: self.inner.open(name)?, late }))
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

struct LateSource {
    inner: Box<dyn Source>,
    late: Late,
}

impl Source for LateSource {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.late.request();
        self.inner.read_at(offset, buffer)
    }
}

/// Goes through an object once as a reader of Parquet does: its end, then each chunk to compare it, and again for its pages.
fn scan(objects: &dyn Objects, is_hinting: bool, expected: &[u8]) {
    const CHUNK: usize = 4 << 20;
    let source = objects.open("a").unwrap();
    let length = source.length().unwrap();
    let mut end = vec![0; 64 << 10];
    source.read_at(length - end.len() as u64, &mut end).unwrap();
    if is_hinting {
        let chunk = |start: u64| -> Range<u64> { start..length.min(start + CHUNK as u64) };
        source.will_read(&(0..length).step_by(CHUNK).map(chunk).collect::<Vec<_>>());
    }
    let mut part = vec![0; READ_BYTES];
    for (chunk, bytes) in expected.chunks(CHUNK).enumerate() {
        for _ in ["compared", "decoded"] {
            for (at, wanted) in bytes.chunks(READ_BYTES).enumerate() {
                let found = &mut part[..wanted.len()];
                source.read_at((chunk * CHUNK + at * READ_BYTES) as u64, found).unwrap();
                assert!(found == wanted);
            }
        }
    }
}

#[test]
fn a_scan_asks_less_with_a_cache_and_nothing_the_second_time() {
    let server = Server::shared();
    let words = u32::try_from(variable("SHOAL_SCAN_MIB").unwrap_or(MIB) << 18).unwrap();
    let bytes: Vec<u8> = (0..words).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let s3 = server.bucket("late");
    s3.put("a", &bytes).unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let late = Duration::from_millis(variable("SHOAL_LATE_MS").unwrap_or(0));
    let late = Arc::new(Late { inner: s3, requests: Arc::clone(&requests), late });
    let dir = tempfile::tempdir().unwrap();
    let cached =
        || Cached::new(Arc::clone(&late) as Arc<dyn Objects>, dir.path(), 256 << 20, |_| true).unwrap();
    let asked = |what: &str, objects: &dyn Objects, is_hinting: bool| {
        requests.store(0, Ordering::Relaxed);
        let start = Instant::now();
        scan(objects, is_hinting, &bytes);
        let requests = requests.load(Ordering::Relaxed);
        println!("{what}: {:.2} s, {requests} requests", start.elapsed().as_secs_f64());
        requests
    };
    let without = asked("without a cache", &*late, false);
    let empty = asked("with an empty cache and no hints", &cached(), false);
    let full = cached();
    let hinted = asked("with an empty cache and hints", &full, true);
    let again = asked("with a cache that has it all", &full, true);
    println!("{:?}", full.counts());
    assert!(empty * 4 <= without && hinted <= empty, "{without} {empty} {hinted}");
    assert_eq!(again, 0);
}

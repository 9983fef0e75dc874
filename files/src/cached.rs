//! A decorator: what is read from a store far away is kept on the local disk for the next reader, and read ahead of the first.
//!
//! ```text
//! read -> in a slot of the local file? -> answered
//!      -> on its way?  wait for it
//!      -> otherwise    one ranged request for it and the missing blocks behind it that are wanted -> slots -> answered
//! will_read ---------> a bounded queue -> eight threads, which make the same requests before anybody reads
//! ```
//! Blocks are of 1 MiB, requests of 8 MiB at the most. It is for names that are written once and never again, as a predicate tells; for
//! all others it is not there. Bytes are kept as they are stored: what is encrypted there is encrypted here.
//!
//! Invariants: what is read is what the store has answered for this object, or the store's error as it is. A local disk that is full
//! or fails is no error of a reader: the store is asked instead, and the log says so once. What is removed, put or written through it
//! is forgotten, and erased from the local file, before that call answers; what somebody else does to a name is not seen, hence "once
//! and never again". The local file has no name, so that it is empty at a start and gone at the end.
//!
//! Memory: the index, about 150 bytes a block; up to 16,384 open objects of the store with their names; 8 MiB for each thread that
//! reads what is missing, and for each of the eight; 64 hints. Disk: `bytes_max`, and nothing else.
//!
//! - `reading`: how a block is read; `index`: what is where; `clock`: what makes room; `flight`: several readers, one request
//! - `local`: the file; `ahead`: reading before readers; `opened`: an open object; `counts`: what is counted
//!
//! Not here: which ranges are worth reading ahead (`shoal-storage`), encryption (`encrypted`).

mod ahead;
mod clock;
mod counts;
mod flight;
mod index;
mod local;
mod opened;
mod reading;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::objects::{Entry, NewObject, Objects, Source};
use ahead::Ahead;
use index::{Object, REQUEST_BLOCKS};
use local::{BLOCK_BYTES, Local};
use opened::Opened;
use reading::Reading;

pub use counts::CacheCounts;

/// Objects of another place, with a cache. Clones share it.
#[derive(Clone)]
pub struct Cached {
    inner: Arc<dyn Objects>,
    /// Whether an object of this name never changes.
    is_fixed: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    reading: Arc<Reading>,
    ahead: Arc<Ahead>,
}

impl Cached {
    /// The objects of this place, with a cache of so many bytes, of at least one block, in a directory of the local disk. An open object of the
    /// place should hold nothing that is scarce, such as a file of the system: thousands stay open.
    ///
    /// # Errors
    /// When there is no such directory, or no file or thread can be made.
    pub fn new(
        inner: Arc<dyn Objects>,
        directory: &Path,
        bytes_max: u64,
        is_fixed: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> io::Result<Cached> {
        Cached::with(inner, Local::create(directory)?, bytes_max, Arc::new(is_fixed))
    }

    fn with(
        inner: Arc<dyn Objects>,
        local: Local,
        bytes_max: u64,
        is_fixed: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    ) -> io::Result<Cached> {
        let slots = usize::try_from(bytes_max / BLOCK_BYTES).map_err(io::Error::other)?.max(1);
        let reading = Arc::new(Reading::new(local, slots));
        let ahead = Arc::new(Ahead::start(&reading, slots / REQUEST_BLOCKS as usize)?);
        Ok(Cached { inner, is_fixed, reading, ahead })
    }

    /// What it has done so far.
    pub fn counts(&self) -> CacheCounts {
        self.reading.counters.snapshot()
    }

    /// Forgets a name after this outcome of a change: also one that failed may have been carried out.
    fn forgetting<T>(&self, name: &str, changed: io::Result<T>) -> io::Result<T> {
        self.reading.forget(&[name]);
        changed
    }
}

impl Objects for Cached {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.forgetting(name, self.inner.put(name, bytes))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.forgetting(name, self.inner.put_if_absent(name, bytes))
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        let inner = self.inner.write(name)?;
        Ok(Box::new(Unfinished { inner, name: name.to_owned(), cached: self.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        if !(self.is_fixed)(name) {
            return self.inner.open(name);
        }
        let opened = |object| Box::new(Opened::new(object, &self.reading, &self.ahead.queue));
        let (known, stamp) = {
            let mut index = self.reading.index();
            (index.find(name), index.stamp(name))
        };
        if let Some(object) = known {
            return Ok(opened(object));
        }
        let source = self.inner.open(name)?;
        let object = Object { name: name.into(), length: source.length()?, source };
        Ok(opened(self.reading.remember(object, stamp)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if !(self.is_fixed)(name) {
            return self.inner.read(name);
        }
        let source = self.open(name)?;
        let mut bytes = vec![0; usize::try_from(source.length()?).map_err(io::Error::other)?];
        source.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.inner.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        let removed = self.inner.remove(names);
        self.reading.forget(names);
        removed
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

/// An object that is being written.
struct Unfinished {
    inner: Box<dyn NewObject>,
    name: String,
    cached: Cached,
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl NewObject for Unfinished {
    fn finish(self: Box<Self>) -> io::Result<u64> {
        let Unfinished { inner, name, cached } = *self;
        let finished = inner.finish();
        cached.forgetting(&name, finished)
    }
}

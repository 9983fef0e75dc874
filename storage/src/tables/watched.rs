//! What tables are written through: after a failure by which something may be lost nothing is written any more, and whoever waits for
//! that is told, so that the process ends.
//!
//! A commit whose sync has failed has its name, and looks whole to whoever reads the log; a second sync of the same directory may
//! succeed without having written anything. So it is not believed, and not tried again: the next process reads what is there.
//!
//! Invariants: one health for all tables of a store; a want of room, and what could not be opened or made at all, lose nothing
//! (`shoal-files`, `full.rs`). Reading goes on. Not here: the disk (`shoal-files`), what is told to the process (`store`).

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use shoal_files::{Entry, NewObject, Objects, Source, is_in_doubt};
use tokio::sync::watch;

/// Whether the tables of a store may be written.
#[derive(Clone, Debug)]
pub(crate) struct Health(Arc<watch::Sender<bool>>);

impl Health {
    pub(crate) fn new() -> Health {
        Health(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn is_broken(&self) -> bool {
        *self.0.borrow()
    }

    /// True from when nothing is written any more.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Does what may change something, if anything may be changed.
    fn change<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.is_broken() {
            return Err(io::Error::other(
                "a file of a table has failed: nothing is written before the next start",
            ));
        }
        work().inspect_err(|error| {
            if is_in_doubt(error) {
                self.0.send_replace(true);
            }
        })
    }
}

/// Objects that are written as long as all is well.
#[derive(Clone, Debug)]
pub(crate) struct Watched<O> {
    inner: O,
    health: Health,
}

impl<O: Objects> Watched<O> {
    pub(crate) fn new(inner: O, health: &Health) -> Watched<O> {
        Watched { inner, health: health.clone() }
    }
}

impl<O: Objects> Objects for Watched<O> {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.health.change(|| self.inner.put(name, bytes))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.health.change(|| self.inner.put_if_absent(name, bytes))
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        let inner = self.health.change(|| self.inner.write(name))?;
        Ok(Box::new(WatchedObject { inner, health: self.health.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.inner.open(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.inner.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        self.health.change(|| self.inner.remove(names))
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        self.health.change(|| self.inner.sync(folder))
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        self.health.change(|| self.inner.sweep(folder, unchanged_since_ms))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }
}

struct WatchedObject {
    inner: Box<dyn NewObject>,
    health: Health,
}

impl Write for WatchedObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.health.change(|| self.inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.health.change(|| self.inner.flush())
    }
}

impl NewObject for WatchedObject {
    fn finish(self: Box<Self>) -> io::Result<u64> {
        let WatchedObject { inner, health } = *self;
        health.change(|| inner.finish())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::ErrorKind;

    use shoal_files::{Disk, Faulty, conformance};

    use super::*;

    #[test]
    fn what_is_watched_conforms_while_all_is_well() {
        let dir = tempfile::tempdir().unwrap();
        let health = Health::new();
        conformance::objects(&Watched::new(Disk::new(dir.path()), &health));
        assert!(!health.is_broken());
    }

    #[test]
    fn after_a_failure_that_may_have_lost_something_nothing_is_written_and_a_want_of_room_is_none() {
        for (kind, is_broken) in [(ErrorKind::StorageFull, false), (ErrorKind::Other, true)] {
            let dir = tempfile::tempdir().unwrap();
            let (faulty, health) = (Faulty::new(Disk::new(dir.path())), Health::new());
            let files = Watched::new(faulty.clone(), &health);
            files.put("a", b"old").unwrap();
            assert!(files.put_if_absent("a", b"new").is_err() && files.sync("none").is_err());
            assert!(!health.is_broken(), "nothing of that was written");
            faulty.refuse_writes(Some(kind));
            assert!(files.put("a", b"new").is_err());
            faulty.refuse_writes(None);
            let before = faulty.operations();
            assert_eq!(health.is_broken(), is_broken);
            assert_eq!(files.put("b", b"new").is_err(), is_broken);
            assert_eq!(files.sync("").is_err(), is_broken);
            assert_eq!(faulty.operations() == before, is_broken, "nothing is tried again");
            assert_eq!(files.read("a").unwrap(), b"old");
        }
    }

    #[test]
    fn a_file_whose_end_fails_is_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let (faulty, health) = (Faulty::new(Disk::new(dir.path())), Health::new());
        let files = Watched::new(faulty.clone(), &health);
        let mut draft = files.write("a").unwrap();
        let other = files.write("b").unwrap();
        draft.write_all(b"bytes").unwrap();
        faulty.fail_syncs_after(0);
        assert!(draft.finish().is_err() && health.is_broken() && *health.watch().borrow());
        assert!(other.finish().is_err() && files.write("c").is_err());
    }
}

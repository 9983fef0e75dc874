//! A decorator that crashes and fails on demand. For tests, of this crate and of those that keep something.
//!
//! A crash: the operation at which it happens is done in part or not at all, every later one fails. What can be done in
//! part is a file (half its zeros), a write into it (a power cut tears it: [`Memory::after_power_cut`]) and a removal of
//! many (half of them). An object and a new name happen or do not. Reading goes on.
//!
//! Not here: the bytes. Without a fault this is what it wraps.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::medium::{LogFile, Medium};
use crate::memory::Memory;
use crate::objects::{Entry, NewObject, Objects, Source};

/// Wraps another place. Clones are the same place, with the same faults.
#[derive(Clone, Debug, Default)]
pub struct Faulty<M> {
    inner: M,
    faults: Faults,
}

#[derive(Clone, Debug, Default)]
struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    operations: u64,
    crash_at: Option<u64>,
    syncs_left: Option<u64>,
    free_bytes: Option<u64>,
    refused: Option<io::ErrorKind>,
}

/// What becomes of an operation.
enum Fate {
    Whole,
    /// It is done, or as much of it as a crash may leave; the answer is lost.
    CrashAfter,
    CrashBefore,
}

fn crash() -> io::Error {
    io::Error::other("crash")
}

impl Faults {
    fn hold(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation that changes something, and says what becomes of it.
    fn next(&self) -> io::Result<Fate> {
        let mut state = self.hold();
        let number = state.operations;
        state.operations += 1;
        match state.crash_at {
            Some(crash) if number > crash => Err(io::Error::other("after the crash")),
            // Either may come out of a crash: by the parity of the operation.
            Some(crash) if number == crash && number.is_multiple_of(2) => Ok(Fate::CrashAfter),
            Some(crash) if number == crash => Ok(Fate::CrashBefore),
            _ => Ok(Fate::Whole),
        }
    }

    /// Whether a write may happen.
    fn may_write(&self) -> io::Result<()> {
        match self.hold().refused {
            Some(kind) => Err(io::Error::new(kind, "the write was told to fail")),
            None => Ok(()),
        }
    }

    /// Counts a sync, and fails when it was told to.
    fn sync(&self) -> io::Result<()> {
        match &mut self.hold().syncs_left {
            Some(0) => Err(io::Error::other("the sync was told to fail")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Runs an operation that a crash leaves done or not.
    fn atomic<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.next()? {
            Fate::Whole => work(),
            Fate::CrashAfter => work().and(Err(crash())),
            Fate::CrashBefore => Err(crash()),
        }
    }

    /// [`Faults::atomic`] for what ends with a sync.
    fn synced<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.atomic(|| self.sync().and_then(|()| work()))
    }
}

impl<M> Faulty<M> {
    /// Wraps this place. No fault is set.
    pub fn new(inner: M) -> Faulty<M> {
        Faulty { inner, faults: Faults::default() }
    }

    /// Crashes at the operation of this number, counted from 0.
    pub fn crash_at(&self, operation: u64) {
        self.faults.hold().crash_at = Some(operation);
    }

    /// Operations so far that change something.
    pub fn operations(&self) -> u64 {
        self.faults.hold().operations
    }

    /// After so many more syncs every further one fails; all else goes on. Putting an object is a sync, too.
    pub fn fail_syncs_after(&self, syncs: u64) {
        self.faults.hold().syncs_left = Some(syncs);
    }

    /// Until it is told otherwise, whatever makes, writes or grows a file fails with this kind, a write after half of it: a full
    /// disk (`StorageFull`) or a broken one. Reading, syncs and removals go on.
    pub fn refuse_writes(&self, kind: Option<io::ErrorKind>) {
        self.faults.hold().refused = kind;
    }

    /// What `free_bytes` answers.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.faults.hold().free_bytes = Some(bytes);
    }
}

impl Faulty<Memory> {
    /// [`Memory::after_power_cut`], without faults.
    pub fn after_power_cut(&self, seed: u64) -> Faulty<Memory> {
        Faulty::new(self.inner.after_power_cut(seed))
    }

    /// [`Memory::flip`].
    pub fn flip(&self, name: &str, at: usize) {
        self.inner.flip(name, at);
    }
}

impl<M: Objects> Objects for Faulty<M> {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.faults.may_write()?;
        self.faults.synced(|| self.inner.put(name, bytes))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.faults.may_write()?;
        self.faults.synced(|| self.inner.put_if_absent(name, bytes))
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        self.faults.may_write()?;
        let inner = self.faults.atomic(|| self.inner.write(name))?;
        Ok(Box::new(FaultyObject { inner, faults: self.faults.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.inner.open(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.inner.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        let part = match self.faults.next()? {
            Fate::Whole => return self.inner.remove(names),
            Fate::CrashAfter => names.len().div_ceil(2),
            Fate::CrashBefore => names.len() / 2,
        };
        self.inner.remove(&names[..part]).and(Err(crash()))
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        self.faults.synced(|| self.inner.sync(folder))
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        self.faults.atomic(|| self.inner.sweep(folder, unchanged_since_ms))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }
}

impl<M: Medium> Medium for Faulty<M> {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        self.faults.may_write()?;
        let inner = match self.faults.next()? {
            Fate::Whole => self.inner.create(name, bytes)?,
            _ => return self.inner.create(name, bytes / 2).and(Err(crash())),
        };
        Ok(Box::new(FaultyFile { inner, faults: self.faults.clone() }))
    }

    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let inner = self.inner.edit(name)?;
        Ok(Box::new(FaultyFile { inner, faults: self.faults.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.atomic(|| self.inner.rename(from, to))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let told = self.faults.hold().free_bytes;
        told.map_or_else(|| self.inner.free_bytes(), Ok)
    }
}

struct FaultyFile {
    inner: Box<dyn LogFile>,
    faults: Faults,
}

impl Source for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }
}

impl LogFile for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(refused) = self.faults.may_write() {
            self.inner.write_at(offset, &bytes[..bytes.len() / 2])?;
            return Err(refused);
        }
        match self.faults.next()? {
            Fate::Whole => self.inner.write_at(offset, bytes),
            _ => self.inner.write_at(offset, bytes).and(Err(crash())),
        }
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        if bytes > self.inner.length()? {
            self.faults.may_write()?;
        }
        self.faults.atomic(|| self.inner.set_length(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        match self.faults.next()? {
            Fate::Whole => self.faults.sync().and_then(|()| self.inner.sync()),
            _ => Err(crash()),
        }
    }
}

struct FaultyObject {
    inner: Box<dyn NewObject>,
    faults: Faults,
}

impl io::Write for FaultyObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let inner = &mut self.inner;
        self.faults.atomic(|| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl NewObject for FaultyObject {
    fn finish(self: Box<Self>) -> io::Result<u64> {
        let FaultyObject { inner, faults } = *self;
        faults.synced(|| inner.finish())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use super::*;
    use crate::{Disk, conformance};

    #[test]
    fn without_faults_it_conforms_whatever_it_wraps() {
        let root = tempfile::tempdir().unwrap();
        conformance::objects(&Faulty::new(Disk::new(root.path().join("objects"))));
        conformance::medium(&Faulty::new(Disk::new(root.path().join("medium"))));
        conformance::objects(&Faulty::<Memory>::default());
        conformance::medium(&Faulty::<Memory>::default());
    }

    /// Three ways to write an object, each over an older one or where there is none.
    fn work(files: &dyn Objects) -> io::Result<()> {
        files.put("a", b"first")?;
        files.put("a", b"second")?;
        files.put_if_absent("b", b"only")?;
        let mut draft = files.write("a")?;
        draft.write_all(b"th")?;
        draft.write_all(b"ird")?;
        draft.finish()?;
        files.remove(&["b"])
    }

    #[test]
    fn a_crash_anywhere_leaves_every_object_whole_or_absent() {
        let whole = Faulty::<Memory>::default();
        work(&whole).unwrap();
        let (mut seen_a, mut seen_b) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for at in 0..whole.operations() {
            let files = Faulty::<Memory>::default();
            files.crash_at(at);
            assert!(work(&files).is_err());
            assert!(files.put("c", b"").is_err(), "nothing happens after a crash");
            let next = files.after_power_cut(at);
            seen_a.insert(next.read("a").ok());
            seen_b.insert(next.read("b").ok());
        }
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert!(seen_a.iter().all(|a| [None, text("first"), text("second"), text("third")].contains(a)));
        assert!(seen_b.iter().all(|b| [None, text("only")].contains(b)));
        assert!(seen_a.len() > 2 && seen_b.len() > 1);
    }

    #[test]
    fn failing_syncs_fail_what_promises_to_be_durable_and_leave_what_was() {
        let root = tempfile::tempdir().unwrap();
        let files = Faulty::new(Disk::new(root.path()));
        let log = files.create("log", 10).unwrap();
        files.fail_syncs_after(1);
        files.put("a", b"old").unwrap();
        assert!(files.put("a", b"new").is_err() && files.put_if_absent("b", b"new").is_err());
        let draft = files.write("a").unwrap();
        assert!(draft.finish().is_err());
        log.write_at(0, b"x").unwrap();
        assert!(log.sync().is_err());
        assert_eq!(files.read("a").unwrap(), b"old");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2, "nothing unfinished stays");
    }
}

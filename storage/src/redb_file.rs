//! A redb file: compared with its checksums when it is opened, opened anew after a full disk, and never touched again after a
//! failure that may have lost something.
//!
//! ```text
//! no room for a write      -> let go of -> the next call opens it anew, compares all of it, and goes on
//! EIO, or a sync that fails -> broken: every call fails from then on, and whoever watches is told: the process must end
//! a byte that was changed  -> an error that names the file, at the start; redb's own repair would go back to an older state
//! ```
//! Each commit is made in two phases: then redb does not take a damaged newest state for one that was never finished, and does
//! not go back to the one before it without a word.
//!
//! A file is made under another name, `<name>.new`, and renamed when it is whole: a first start that is cut off leaves nothing
//! that the next one could not open. Invariants: after the file was let go of, nothing of it is in memory; a panic of redb over
//! a damaged file is an error. A file is sealed when it is made, or when it is opened next and was in the clear, if its owner
//! says so (`seal`); one that is sealed stays so. Blocking calls.
//! Not here: what is in the file (`consents`, `spending`), the disk (`shoal-files`).

mod backend;
mod seal;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::{
    Builder, Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, Value,
    WriteTransaction,
};
use shoal_files::{Disk, Lock, LogFile, Medium, Objects, Sealing, has_room, overwrite};
use tokio::sync::watch;

use self::backend::{BROKEN, Backend, FULL, Troubles, WELL};
use crate::error::{Result, StorageError};

const PROBE: TableDefinition<&str, u64> = TableDefinition::new("probe");

/// What keeps a file from being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There was no room. It goes on when there is.
    Full,
    /// Something may be lost. It never goes on in this process.
    Broken,
}

/// Prepares a file that was just opened; called again when it is opened anew.
pub(crate) type Prepare = Box<dyn Fn(&Database) -> Result<()> + Send + Sync>;

/// A redb file. One process has it open.
pub(crate) struct RedbFile {
    medium: Arc<dyn Medium>,
    name: String,
    cache_bytes: usize,
    prepare: Prepare,
    /// None when there is no key: then it is not sealed.
    sealing: Option<Sealing>,
    is_sealed: AtomicBool,
    /// None when it was let go of.
    db: RwLock<Option<Database>>,
    troubles: Arc<Troubles>,
    /// There was no room, and nothing was written since.
    was_full: AtomicBool,
    _lock: Option<Lock>,
}

/// The file while it is open.
pub(crate) struct Opened<'f>(RwLockReadGuard<'f, Option<Database>>);

impl RedbFile {
    /// Opens a file of a disk, or makes it.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has it open, [`StorageError::Damaged`] when it is not as it was written,
    /// [`StorageError::Sealed`] when it is sealed and there is no key, [`StorageError::Database`] when it cannot be read, and those
    /// of `prepare`.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: usize,
        prepare: Prepare,
        sealing: Option<&Sealing>,
    ) -> Result<RedbFile> {
        let (disk, name) = Disk::of_file(path).map_err(StorageError::io(path))?;
        disk.make().map_err(StorageError::io(path))?;
        // Of its own, because the file gets its name by being renamed.
        let Some(lock) = disk.try_lock(&format!("{name}.lock")).map_err(StorageError::io(path))? else {
            return Err(StorageError::Locked(path.to_path_buf()));
        };
        let file = RedbFile::over(Arc::new(disk.clone()), name, cache_bytes, prepare, sealing)?;
        // Its name as well.
        disk.sync("").map_err(StorageError::io(path))?;
        Ok(RedbFile { _lock: Some(lock), ..file })
    }

    /// A file of a medium that no other process knows.
    pub(crate) fn over(
        medium: Arc<dyn Medium>,
        name: String,
        cache_bytes: usize,
        prepare: Prepare,
        sealing: Option<&Sealing>,
    ) -> Result<RedbFile> {
        let troubles = Arc::new(Troubles { now: AtomicU8::new(WELL), broken: watch::Sender::new(false) });
        let (sealing, db) = (sealing.cloned(), RwLock::new(None));
        let (is_sealed, was_full) = (AtomicBool::new(false), AtomicBool::new(false));
        let file = RedbFile {
            medium,
            name,
            cache_bytes,
            prepare,
            sealing,
            is_sealed,
            db,
            troubles,
            was_full,
            _lock: None,
        };
        file.go_on()?;
        Ok(file)
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.medium.path(&self.name)
    }

    /// The file; opened anew, when it was let go of.
    ///
    /// # Errors
    /// [`StorageError::Broken`] once something may be lost; as [`RedbFile::open`].
    pub(crate) fn opened(&self) -> Result<Opened<'_>> {
        for _ in 0..2 {
            if self.troubles.now.load(Ordering::Acquire) == BROKEN {
                return Err(StorageError::Broken(self.path()));
            }
            let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
            if db.is_some() {
                return Ok(Opened(db));
            }
            drop(db);
            self.go_on()?;
        }
        Err(StorageError::Stopped)
    }

    /// Calls `work`, and sees to what went wrong in it: a file for which there was no room is let go of.
    ///
    /// # Errors
    /// Those of `work`, and as [`RedbFile::opened`].
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let opened = self.opened()?;
        let done = caught(&self.path(), || work(opened.database()?)).map_err(|error| self.named(error));
        drop(opened);
        if done.is_err() {
            self.let_go();
        }
        done
    }

    /// Makes a copy as of now, under this name of a medium where no other process looks: of all that `copy` puts from one into the
    /// other. It is sealed as this one is. Changes go on meanwhile.
    ///
    /// # Errors
    /// When a file cannot be read or written, also because this one was let go of meanwhile; those of `copy`.
    pub(crate) fn copy_to(
        &self,
        medium: Arc<dyn Medium>,
        name: &str,
        prepare: Prepare,
        copy: impl FnOnce(&ReadTransaction, &WriteTransaction) -> Result<()>,
    ) -> Result<()> {
        // The file is not held: whoever lets go of it would wait for the whole copy, and with them all who look something up.
        let from = self.with(begin_read)?;
        let is_writing = self.is_sealed.load(Ordering::Acquire);
        let sealing = self.sealing.clone().map(|sealing| Sealing { is_writing, ..sealing });
        let to = RedbFile::over(medium, name.to_owned(), self.cache_bytes, prepare, sealing.as_ref())?;
        to.with(|db| {
            let write = begin_write(db)?;
            copy(&from, &write)?;
            Ok(write.commit().map_err(redb::Error::from)?)
        })
    }

    /// What keeps it from being written, if something does. Tries to go on first.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let was_full = self.was_full.load(Ordering::Acquire);
        if was_full && has_room(&*self.medium, &self.name) && self.with(probe).is_ok() {
            self.was_full.store(false, Ordering::Release);
        }
        match self.troubles.now.load(Ordering::Acquire) {
            BROKEN => Some(Trouble::Broken),
            _ => self.was_full.load(Ordering::Acquire).then_some(Trouble::Full),
        }
    }

    /// True from when something may be lost.
    pub(crate) fn broken(&self) -> watch::Receiver<bool> {
        self.troubles.broken.subscribe()
    }

    /// After a failure: a file for which there was no room is closed, because redb writes to it no more.
    fn let_go(&self) {
        if self.troubles.now.load(Ordering::Acquire) == FULL {
            self.was_full.store(true, Ordering::Release);
            let closed = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
            tracing::error!(file = %self.path().display(), "there is no room; the file is opened anew when it is needed");
            drop(closed);
        }
    }

    /// Opens the file, compares all of it, and prepares it.
    fn go_on(&self) -> Result<()> {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if db.is_some() {
            return Ok(());
        }
        let was_full =
            self.troubles.now.compare_exchange(FULL, WELL, Ordering::AcqRel, Ordering::Acquire).is_ok();
        let opened = caught(&self.path(), || {
            let opened = self.read()?;
            (self.prepare)(&opened)?;
            Ok(opened)
        });
        // What fails while it is opened anew for want of room is tried again with the next call.
        *db = Some(opened.map_err(|error| self.named(error))?);
        if was_full {
            tracing::info!(file = %self.path().display(), "the file is open again, and whole");
        }
        Ok(())
    }

    fn read(&self) -> Result<Database> {
        let io = |error| StorageError::io(self.path())(error);
        seal::sweep(&*self.medium, &self.name);
        let file = match self.medium.edit(&self.name) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.make()?,
            opened => opened.map_err(io)?,
        };
        // What an earlier version left whose first start was cut off.
        let file = if file.length().map_err(io)? == 0 { self.make()? } else { file };
        let opened = self.compared(file)?;
        let sealing = self.sealing.as_ref().filter(|sealing| sealing.is_writing);
        let Some(sealing) = sealing.filter(|_| !self.is_sealed.load(Ordering::Acquire)) else {
            return Ok(opened);
        };
        // It was compared before, so that what is damaged stays as it is.
        drop(opened);
        let plain = seal::seal(&*self.medium, &self.name, &sealing.key)?;
        let opened = self.compared(self.medium.edit(&self.name).map_err(io)?)?;
        if let Err(error) = overwrite(&*plain) {
            tracing::warn!(file = %self.path().display(), %error, "what was in the clear could not be overwritten");
        }
        tracing::info!(file = %self.path().display(), "the file is encrypted from now on");
        Ok(opened)
    }

    /// Opens a file, sealed or not, and compares all of it.
    fn compared(&self, file: Box<dyn LogFile>) -> Result<Database> {
        let (file, is_sealed) = seal::opened(file, self.sealing.as_ref(), self.path())?;
        self.is_sealed.store(is_sealed, Ordering::Release);
        let mut opened = self.over_file(file)?;
        if !opened.check_integrity().map_err(|error| self.unreadable(error.into()))? {
            return Err(damaged(&self.path()));
        }
        Ok(opened)
    }

    /// Makes the file: whole, and then under its name.
    fn make(&self) -> Result<Box<dyn LogFile>> {
        let io = |error| StorageError::io(self.path())(error);
        let new = seal::new_name(&self.name);
        let created = seal::created(&*self.medium, &new, self.sealing.as_ref());
        let made = self.over_file(created.map_err(io)?)?;
        (self.prepare)(&made)?;
        drop(made);
        self.medium.rename(&new, &self.name).and_then(|()| self.medium.edit(&self.name)).map_err(io)
    }

    fn over_file(&self, file: Box<dyn LogFile>) -> Result<Database> {
        let backend = Backend { file, troubles: Arc::clone(&self.troubles) };
        let opened = Builder::new().set_cache_size(self.cache_bytes).create_with_backend(backend);
        opened.map_err(|error| self.unreadable(error.into()))
    }

    /// The same error, with the file.
    fn named(&self, error: StorageError) -> StorageError {
        match error {
            StorageError::Database(error) => self.unreadable(error),
            error => error,
        }
    }

    fn unreadable(&self, error: redb::Error) -> StorageError {
        match error {
            redb::Error::Corrupted(_) => damaged(&self.path()),
            redb::Error::Io(error) => seal::failed(self.path(), error),
            error => StorageError::io(self.path())(io::Error::other(error)),
        }
    }
}

impl Opened<'_> {
    pub(crate) fn database(&self) -> Result<&Database> {
        self.0.as_ref().ok_or(StorageError::Stopped)
    }
}

/// A transaction that changes something, and is made in two phases.
pub(crate) fn begin_write(db: &Database) -> Result<WriteTransaction> {
    let mut write = db.begin_write().map_err(|error| StorageError::Database(error.into()))?;
    write.set_two_phase_commit(true);
    Ok(write)
}

/// A transaction that reads.
pub(crate) fn begin_read(db: &Database) -> Result<ReadTransaction> {
    db.begin_read().map_err(|error| StorageError::Database(error.into()))
}

/// Copies a table as a transaction sees it into another file; one that is not there is left out.
pub(crate) fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<()> {
    let from = match from.open_table(table) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        opened => opened.map_err(redb::Error::from)?,
    };
    let mut to = to.open_table(table).map_err(redb::Error::from)?;
    for entry in from.iter().map_err(redb::Error::from)? {
        let (key, value) = entry.map_err(redb::Error::from)?;
        to.insert(key.value(), value.value()).map_err(redb::Error::from)?;
    }
    Ok(())
}

/// Writes something small, to see whether there is room.
fn probe(db: &Database) -> Result<()> {
    let write = begin_write(db)?;
    write
        .open_table(PROBE)
        .and_then(|mut table| Ok(table.insert("room", 1).map(drop)?))
        .map_err(redb::Error::from)?;
    Ok(write.commit().map_err(redb::Error::from)?)
}

/// Returns when a file is broken; never, while all is well.
pub(crate) async fn broken(mut is_broken: watch::Receiver<bool>) {
    if is_broken.wait_for(|is_broken| *is_broken).await.is_err() {
        // The file is closed: nothing can fail any more.
        std::future::pending().await
    }
}

fn damaged(path: &Path) -> StorageError {
    StorageError::Damaged { path: path.to_path_buf(), reason: "is not as it was written".to_owned() }
}

/// Calls `work`; a panic over bytes that make no sense is an error that names the file.
fn caught<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What it leaves half done is in redb's own locks, of which a file that is damaged has no more use.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged(path)))
}

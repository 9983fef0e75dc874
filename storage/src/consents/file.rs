//! The file of one region's consents, which must outlive every table and never rotates.
//!
//! ```text
//! redb file   meta      "format" -> u32
//!             consents  programme (1 byte: 0 user-experience, 1 device-experience) | digest (16 bytes) -> record
//! ```
//! Invariants: what [`ConsentFile::edit`] has put is durable when it returns, all of it or none; any error means that it may
//! not be, and nothing may be acknowledged. A look-up reads the file as of the last change, through a cache of pages that
//! is bounded. Keys are digests, records are opaque here. Blocking calls.
//! Not here: what a record says, its bytes and how a digest is made (`shoal-privacy`).

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
};
use shoal_schemas::Programme;

use crate::error::{Result, StorageError};
use shoal_files::{Disk, Objects};

const FORMAT: u32 = 1;
const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
const CONSENTS: TableDefinition<&[u8; 17], &[u8]> = TableDefinition::new("consents");

/// Memory for pages of the file, bytes.
const CACHE_BYTES: usize = 8 << 20;

/// The table as it was after the last change.
type View = ReadOnlyTable<&'static [u8; 17], &'static [u8]>;

/// The file of one region. One process has it open.
pub(super) struct ConsentFile {
    /// It reads from the database, so it goes before it.
    view: RwLock<View>,
    db: Database,
    path: PathBuf,
}

/// A change of the file that is not durable yet.
pub(super) struct Edit<'t>(Table<'t, &'static [u8; 17], &'static [u8]>);

impl Edit<'_> {
    /// The bytes of a record, with what was put before.
    pub(super) fn get(&self, programme: Programme, digest: [u8; 16]) -> Result<Option<Vec<u8>>> {
        let found = self.0.get(&key_of(programme, digest)).map_err(redb::Error::from)?;
        Ok(found.map(|bytes| bytes.value().to_vec()))
    }

    /// Puts a record in the place of an earlier one under the same digest.
    pub(super) fn put(&mut self, programme: Programme, digest: [u8; 16], record: &[u8]) -> Result<()> {
        self.0.insert(&key_of(programme, digest), record).map_err(redb::Error::from)?;
        Ok(())
    }
}

impl ConsentFile {
    /// Opens the file, or makes it and its directory.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has it open, [`StorageError::Format`] when another version of Shoal
    /// wrote it, [`StorageError::Database`] when it cannot be read.
    pub(super) fn open(path: &Path) -> Result<ConsentFile> {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        Disk::new(&parent).make().map_err(StorageError::io(&parent))?;
        let db = Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => StorageError::Locked(path.to_path_buf()),
            e => StorageError::Database(e.into()),
        })?;
        check_format(&db, path)?;
        Disk::new(&parent).sync("").map_err(StorageError::io(&parent))?;
        Ok(ConsentFile { view: RwLock::new(view(&db)?), db, path: path.to_path_buf() })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub(super) fn get(&self, programme: Programme, digest: [u8; 16]) -> Result<Option<Vec<u8>>> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let found = view.get(&key_of(programme, digest)).map_err(redb::Error::from)?;
        Ok(found.map(|bytes| bytes.value().to_vec()))
    }

    /// Changes records, all of what is put or nothing. Durable, and seen by [`ConsentFile::get`], when it returns.
    ///
    /// # Errors
    /// [`StorageError::Database`], and those of `edit`: do not acknowledge.
    pub(super) fn edit<T>(&self, edit: impl FnOnce(Edit<'_>) -> Result<T>) -> Result<T> {
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        let done = edit(Edit(write.open_table(CONSENTS).map_err(redb::Error::from)?))?;
        write.commit().map_err(redb::Error::from)?;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view(&self.db)?;
        Ok(done)
    }

    /// Shows every record to `visit`: programme, digest, bytes.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read, and those of `visit`.
    pub(super) fn each(&self, mut visit: impl FnMut(Programme, [u8; 16], &[u8]) -> Result<()>) -> Result<()> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        for entry in view.iter().map_err(redb::Error::from)? {
            let (key, record) = entry.map_err(redb::Error::from)?;
            let [byte, digest @ ..] = *key.value();
            let programme =
                programme_of(byte).ok_or_else(|| redb::Error::Corrupted(format!("programme {byte}")))?;
            visit(programme, digest, record.value())?;
        }
        Ok(())
    }
}

fn view(db: &Database) -> Result<View> {
    let read = db.begin_read().map_err(redb::Error::from)?;
    Ok(read.open_table(CONSENTS).map_err(redb::Error::from)?)
}

fn key_of(programme: Programme, digest: [u8; 16]) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = programme_byte(programme);
    key[1..].copy_from_slice(&digest);
    key
}

fn check_format(db: &Database, path: &Path) -> Result<()> {
    let write = db.begin_write().map_err(redb::Error::from)?;
    let found = {
        let mut meta = write.open_table(META).map_err(redb::Error::from)?;
        write.open_table(CONSENTS).map_err(redb::Error::from)?;
        let found = meta.get("format").map_err(redb::Error::from)?.map(|v| v.value());
        if found.is_none() {
            meta.insert("format", FORMAT).map_err(redb::Error::from)?;
        }
        found
    };
    if let Some(found) = found.filter(|f| *f != FORMAT) {
        return Err(StorageError::Format { path: path.to_path_buf(), found, known: FORMAT });
    }
    Ok(write.commit().map_err(redb::Error::from)?)
}

fn programme_byte(programme: Programme) -> u8 {
    match programme {
        Programme::UserExperience => 0,
        Programme::DeviceExperience => 1,
    }
}

fn programme_of(byte: u8) -> Option<Programme> {
    let mut all = Programme::ALL.iter().copied();
    all.find(|p| programme_byte(*p) == byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn put(file: &ConsentFile, programme: Programme, record: &[u8]) {
        file.edit(|mut edit| edit.put(programme, [1; 16], record)).unwrap();
    }

    #[test]
    fn consents_survive_and_the_last_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("de/ledger.redb");
        let ux = Programme::UserExperience;
        let dx = Programme::DeviceExperience;
        {
            let file = ConsentFile::open(&path).unwrap();
            put(&file, ux, b"granted");
            put(&file, dx, b"other");
            put(&file, ux, b"withdrawn");
            assert!(matches!(ConsentFile::open(&path), Err(StorageError::Locked(_))));
        }
        let file = ConsentFile::open(&path).unwrap();
        let mut found = Vec::new();
        file.each(|programme, digest, record| {
            found.push((programme, digest, record.to_vec()));
            Ok(())
        })
        .unwrap();
        let expected = vec![(ux, [1; 16], b"withdrawn".to_vec()), (dx, [1; 16], b"other".to_vec())];
        assert_eq!(found, expected);
        assert_eq!(file.get(ux, [1; 16]).unwrap().as_deref(), Some(&b"withdrawn"[..]));
        assert_eq!(file.get(ux, [2; 16]).unwrap(), None);
    }

    #[test]
    fn a_change_that_fails_half_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = ConsentFile::open(&dir.path().join("ledger.redb")).unwrap();
        let ux = Programme::UserExperience;
        let failed: Result<()> = file.edit(|mut edit| {
            edit.put(ux, [1; 16], b"granted")?;
            assert_eq!(edit.get(ux, [1; 16])?.as_deref(), Some(&b"granted"[..]));
            Err(StorageError::Stale)
        });
        assert!(matches!(failed, Err(StorageError::Stale)));
        assert_eq!(file.get(ux, [1; 16]).unwrap(), None);
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let file = ConsentFile::open(&path).unwrap();
        let write = file.db.begin_write().unwrap();
        write.open_table(META).unwrap().insert("format", 7).unwrap();
        write.commit().unwrap();
        drop(file);
        let again = ConsentFile::open(&path);
        assert!(matches!(again, Err(StorageError::Format { found: 7, known: 1, .. })));
    }
}

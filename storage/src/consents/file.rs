//! The file of one region's consents, which must outlive every table and never rotates.
//!
//! ```text
//! redb file   meta      "format" -> 2
//!             records   programme (1 byte: 0 user-experience, 1 device-experience) | digest (16 bytes)
//!                       -> record | CRC-32 of the key and the record, LE
//! ```
//! A file of format 1 has the records without checksums, in a table `consents`; it becomes one of format 2 when it is opened.
//! Invariants: what [`ConsentFile::edit`] has put is durable when it returns, all of it or none; any error means that it may
//! not be, and nothing may be acknowledged. A look-up reads the file as of the last change, through a cache of pages that
//! is bounded. A record whose checksum does not hold is an error and never no record. Keys are digests, records are opaque here.
//! Blocking calls.
//! Not here: damage and full disks (`redb_file`), what a record says, its bytes and how a digest is made (`shoal-privacy`).

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadableTable, Table, TableDefinition, WriteTransaction};
use shoal_schemas::Programme;

use crate::error::{Result, StorageError};
use crate::redb_file::{RedbFile, begin_read, begin_write};

const FORMAT: u32 = 2;
const FORMAT_WITHOUT_CHECKSUMS: u32 = 1;
const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
const RECORDS: TableDefinition<&[u8; 17], &[u8]> = TableDefinition::new("records");
/// The records of a file of format 1.
const CONSENTS: TableDefinition<&[u8; 17], &[u8]> = TableDefinition::new("consents");

/// Memory for pages of the file, bytes.
const CACHE_BYTES: usize = 8 << 20;

/// The table as it was after the last change.
type View = ReadOnlyTable<&'static [u8; 17], &'static [u8]>;

/// The file of one region. One process has it open.
pub(super) struct ConsentFile {
    /// It reads from the file, so it goes before it. None after a failure: then it is had anew.
    view: RwLock<Option<View>>,
    file: RedbFile,
}

/// A change of the file that is not durable yet.
pub(super) struct Edit<'t>(Table<'t, &'static [u8; 17], &'static [u8]>);

impl Edit<'_> {
    /// The bytes of a record, with what was put before.
    pub(super) fn get(&self, programme: Programme, digest: [u8; 16]) -> Result<Option<Vec<u8>>> {
        let key = key_of(programme, digest);
        let found = self.0.get(&key).map_err(redb::Error::from)?;
        found.map(|bytes| unsealed(&key, bytes.value()).map(<[u8]>::to_vec)).transpose()
    }

    /// Puts a record in the place of an earlier one under the same digest.
    pub(super) fn put(&mut self, programme: Programme, digest: [u8; 16], record: &[u8]) -> Result<()> {
        let key = key_of(programme, digest);
        self.0.insert(&key, sealed(&key, record).as_slice()).map_err(redb::Error::from)?;
        Ok(())
    }
}

impl ConsentFile {
    /// Opens the file, or makes it and its directory.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has it open, [`StorageError::Format`] when another version of Shoal
    /// wrote it, [`StorageError::Damaged`] when it is not as it was written, [`StorageError::Database`] when it cannot be read.
    pub(super) fn open(path: &Path) -> Result<ConsentFile> {
        let prepare = {
            let path = path.to_path_buf();
            Box::new(move |db: &Database| check_format(db, &path))
        };
        Ok(ConsentFile { view: RwLock::default(), file: RedbFile::open(path, CACHE_BYTES, prepare)? })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> PathBuf {
        self.file.path()
    }

    /// The file itself, for what is the matter with it.
    pub(super) fn file(&self) -> &RedbFile {
        &self.file
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub(super) fn get(&self, programme: Programme, digest: [u8; 16]) -> Result<Option<Vec<u8>>> {
        let key = key_of(programme, digest);
        self.viewed(|view| {
            let found = view.get(&key).map_err(redb::Error::from)?;
            found.map(|bytes| self.unsealed(&key, bytes.value()).map(<[u8]>::to_vec)).transpose()
        })
    }

    /// Changes records, all of what is put or nothing. Durable, and seen by [`ConsentFile::get`], when it returns.
    ///
    /// # Errors
    /// [`StorageError::Database`], and those of `edit`: do not acknowledge.
    pub(super) fn edit<T>(&self, edit: impl FnOnce(Edit<'_>) -> Result<T>) -> Result<T> {
        let done = self.file.with(|db| {
            let write = begin_write(db)?;
            let done = edit(Edit(write.open_table(RECORDS).map_err(redb::Error::from)?))?;
            write.commit().map_err(redb::Error::from)?;
            Ok((done, view(db)?))
        });
        let mut seen = self.view.write().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok((done, view)) => {
                *seen = Some(view);
                Ok(done)
            }
            Err(error) => {
                // It may be of a file that was let go of.
                *seen = None;
                Err(error)
            }
        }
    }

    /// Calls `look` with the table as it was after the last change.
    fn viewed<T>(&self, look: impl Fn(&View) -> Result<T>) -> Result<T> {
        {
            let seen = self.view.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(view) = &*seen {
                return self.file.with(|_| look(view));
            }
        }
        let mut seen = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let view = match seen.take() {
            Some(view) => view,
            None => self.file.with(view)?,
        };
        let looked = self.file.with(|_| look(&view));
        *seen = looked.is_ok().then_some(view);
        looked
    }

    fn unsealed<'b>(&self, key: &[u8; 17], bytes: &'b [u8]) -> Result<&'b [u8]> {
        unsealed(key, bytes).map_err(|_| self.damaged())
    }

    fn damaged(&self) -> StorageError {
        let reason = "has a record that is not as it was written".to_owned();
        StorageError::Damaged { path: self.file.path(), reason }
    }

    /// Shows every record to `visit`: programme, digest, bytes.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read, and those of `visit`.
    pub(super) fn each(&self, mut visit: impl FnMut(Programme, [u8; 16], &[u8]) -> Result<()>) -> Result<()> {
        self.file.with(|db| {
            for entry in view(db)?.iter().map_err(redb::Error::from)? {
                let (key, record) = entry.map_err(redb::Error::from)?;
                let record = self.unsealed(key.value(), record.value())?.to_vec();
                let [byte, digest @ ..] = *key.value();
                let programme = programme_of(byte).ok_or_else(|| self.damaged())?;
                visit(programme, digest, &record)?;
            }
            Ok(())
        })
    }
}

fn view(db: &Database) -> Result<View> {
    Ok(begin_read(db)?.open_table(RECORDS).map_err(redb::Error::from)?)
}

/// A record with its checksum.
fn sealed(key: &[u8; 17], record: &[u8]) -> Vec<u8> {
    [record, &checksum(key, record).to_le_bytes()].concat()
}

/// The record, if its checksum holds.
fn unsealed<'b>(key: &[u8; 17], bytes: &'b [u8]) -> Result<&'b [u8]> {
    let whole =
        bytes.split_last_chunk().filter(|(record, crc)| u32::from_le_bytes(**crc) == checksum(key, record));
    let broken = || redb::Error::Corrupted("a record is not as it was written".to_owned());
    Ok(whole.map(|(record, _)| record).ok_or_else(broken)?)
}

fn checksum(key: &[u8; 17], record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(record);
    crc.finalize()
}

fn key_of(programme: Programme, digest: [u8; 16]) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = programme_byte(programme);
    key[1..].copy_from_slice(&digest);
    key
}

fn check_format(db: &Database, path: &Path) -> Result<()> {
    let write = begin_write(db)?;
    let found = {
        let mut meta = write.open_table(META).map_err(redb::Error::from)?;
        write.open_table(RECORDS).map_err(redb::Error::from)?;
        let found = meta.get("format").map_err(redb::Error::from)?.map(|v| v.value());
        if found != Some(FORMAT) {
            meta.insert("format", FORMAT).map_err(redb::Error::from)?;
        }
        found
    };
    match found {
        Some(FORMAT) => return Ok(write.abort().map_err(redb::Error::from)?),
        None => {}
        Some(FORMAT_WITHOUT_CHECKSUMS) => seal_all(&write)?,
        Some(found) => return Err(StorageError::Format { path: path.to_path_buf(), found, known: FORMAT }),
    }
    Ok(write.commit().map_err(redb::Error::from)?)
}

/// The records of a file of format 1 get their checksums.
fn seal_all(write: &WriteTransaction) -> Result<()> {
    {
        let before = write.open_table(CONSENTS).map_err(redb::Error::from)?;
        let mut records = write.open_table(RECORDS).map_err(redb::Error::from)?;
        for entry in before.iter().map_err(redb::Error::from)? {
            let (key, record) = entry.map_err(redb::Error::from)?;
            let sealed = sealed(key.value(), record.value());
            records.insert(key.value(), sealed.as_slice()).map_err(redb::Error::from)?;
        }
    }
    write.delete_table(CONSENTS).map_err(redb::Error::from)?;
    Ok(())
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
        let change = |db: &Database| {
            let write = begin_write(db)?;
            write.open_table(META).unwrap().insert("format", 7).unwrap();
            write.commit().unwrap();
            Ok(())
        };
        file.file.with(change).unwrap();
        drop(file);
        let again = ConsentFile::open(&path);
        assert!(matches!(again, Err(StorageError::Format { found: 7, known: 2, .. })));
    }

    #[test]
    fn a_file_of_before_there_were_checksums_gets_them_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let ux = Programme::UserExperience;
        {
            let db = redb::Database::create(&path).unwrap();
            let write = db.begin_write().unwrap();
            write.open_table(META).unwrap().insert("format", 1).unwrap();
            let mut table = write.open_table(CONSENTS).unwrap();
            for digest in 0..100 {
                table.insert(&key_of(ux, [digest; 16]), &[digest][..]).unwrap();
            }
            drop(table);
            write.commit().unwrap();
        }
        for _ in 0..2 {
            let file = ConsentFile::open(&path).unwrap();
            for digest in 0..100 {
                assert_eq!(file.get(ux, [digest; 16]).unwrap(), Some(vec![digest]));
            }
        }
    }

    #[test]
    fn a_record_that_was_changed_is_an_error_and_never_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let file = ConsentFile::open(&dir.path().join("ledger.redb")).unwrap();
        let ux = Programme::UserExperience;
        put(&file, ux, b"withdrawn");
        let change = |key: [u8; 17], bytes: Vec<u8>| {
            let changed = file.file.with(|db| {
                let write = begin_write(db)?;
                write.open_table(RECORDS).unwrap().insert(&key, bytes.as_slice()).unwrap();
                write.commit().unwrap();
                Ok(())
            });
            changed.unwrap();
            *file.view.write().unwrap() = None;
        };
        let key = key_of(ux, [1; 16]);
        let whole = sealed(&key, b"withdrawn");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            change(key, bytes);
            assert!(matches!(file.get(ux, [1; 16]), Err(StorageError::Damaged { .. })), "{bit}");
            assert!(matches!(file.each(|_, _, _| Ok(())), Err(StorageError::Damaged { .. })), "{bit}");
        }
        // A whole record under another key.
        change(key, whole.clone());
        change(key_of(ux, [2; 16]), whole);
        assert_eq!(file.get(ux, [1; 16]).unwrap().as_deref(), Some(&b"withdrawn"[..]));
        assert!(file.get(ux, [2; 16]).is_err() && file.each(|_, _, _| Ok(())).is_err());
    }
}

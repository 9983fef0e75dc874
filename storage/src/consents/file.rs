//! The file of one region's consents, which must outlive every table and never rotates.
//!
//! ```text
//! redb file   meta      "format" -> 2
//!             journal   "id" -> id of the journal, u128; "number" -> that of the last act of it that is in here, u128. A file of
//!                       before there were journals has none
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
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadableTable, Table, TableDefinition, WriteTransaction};
use shoal_files::{Medium, Sealing};
use shoal_schemas::Programme;

use crate::error::{Result, StorageError};
use crate::redb_file::{Prepare, RedbFile, begin_read, begin_write, copy_table};

const FORMAT: u32 = 2;
const FORMAT_WITHOUT_CHECKSUMS: u32 = 1;
const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
const RECORDS: TableDefinition<&[u8; 17], &[u8]> = TableDefinition::new("records");
const JOURNAL: TableDefinition<&str, u128> = TableDefinition::new("journal");
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

/// What a file notes of the journal: which one, and the number of the last act of it that is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JournalNote {
    pub(super) id: u128,
    pub(super) number: u64,
}

impl JournalNote {
    /// Whether a journal that has come this far has everything that a file notes.
    pub(super) fn has(self, noted: JournalNote) -> bool {
        self.id == noted.id && noted.number <= self.number
    }
}

/// A change of the file that is not durable yet.
pub(super) struct Edit<'t> {
    records: Table<'t, &'static [u8; 17], &'static [u8]>,
    journal: Table<'t, &'static str, u128>,
}

impl Edit<'_> {
    /// The bytes of a record, with what was put before.
    pub(super) fn get(&self, programme: Programme, digest: [u8; 16]) -> Result<Option<Vec<u8>>> {
        let key = key_of(programme, digest);
        let found = self.records.get(&key).map_err(redb::Error::from)?;
        found.map(|bytes| unsealed(&key, bytes.value()).map(<[u8]>::to_vec)).transpose()
    }

    /// Puts a record in the place of an earlier one under the same digest.
    pub(super) fn put(&mut self, programme: Programme, digest: [u8; 16], record: &[u8]) -> Result<()> {
        let key = key_of(programme, digest);
        self.records.insert(&key, sealed(&key, record).as_slice()).map_err(redb::Error::from)?;
        Ok(())
    }

    /// Notes what is in the file of the journal, once this change is durable.
    pub(super) fn note(&mut self, note: JournalNote) -> Result<()> {
        if noted(&self.journal)? == Some(note) {
            return Ok(());
        }
        self.journal.insert("id", note.id).map_err(redb::Error::from)?;
        self.journal.insert("number", u128::from(note.number)).map_err(redb::Error::from)?;
        Ok(())
    }
}

impl ConsentFile {
    /// Opens the file, or makes it and its directory.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has it open, [`StorageError::Format`] when another version of Shoal
    /// wrote it, [`StorageError::Damaged`] when it is not as it was written, [`StorageError::Sealed`] when it is sealed and there is
    /// no key, [`StorageError::Database`] when it cannot be read.
    pub(super) fn open(path: &Path, sealing: Option<&Sealing>) -> Result<ConsentFile> {
        let file = RedbFile::open(path, CACHE_BYTES, prepare(path.to_path_buf()), sealing)?;
        Ok(ConsentFile { view: RwLock::default(), file })
    }

    /// A file of a medium that no other process knows.
    #[cfg(test)]
    pub(super) fn over(medium: Arc<dyn Medium>, sealing: Option<&Sealing>) -> Result<ConsentFile> {
        let name = "ledger.redb".to_owned();
        let file = RedbFile::over(medium, name, CACHE_BYTES, prepare("memory".into()), sealing)?;
        Ok(ConsentFile { view: RwLock::default(), file })
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
            let records = write.open_table(RECORDS).map_err(redb::Error::from)?;
            let journal = write.open_table(JOURNAL).map_err(redb::Error::from)?;
            let done = edit(Edit { records, journal })?;
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

    /// Makes a copy of the file as it is now, under this name in a place where no other process looks. Changes go on meanwhile.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn copy_to(&self, medium: &Arc<dyn Medium>, name: &str) -> Result<()> {
        self.file.copy_to(Arc::clone(medium), name, prepare(medium.path(name)), |from, to| {
            copy_table(from, to, RECORDS)?;
            copy_table(from, to, JOURNAL)
        })
    }

    /// What the file notes of the journal; none before there was one.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub(super) fn journal_note(&self) -> Result<Option<JournalNote>> {
        self.file.with(|db| {
            let table = match begin_read(db)?.open_table(JOURNAL) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                opened => opened.map_err(redb::Error::from)?,
            };
            noted(&table)
        })
    }

    /// Calls `look` with the table as it was after the last change.
    fn viewed<T>(&self, look: impl Fn(&View) -> Result<T>) -> Result<T> {
        {
            let seen = self.view.read().unwrap_or_else(PoisonError::into_inner);
            // One that fails may be of a file that was let go of meanwhile, by whoever tried whether there is room.
            if let Some(view) = &*seen
                && let Ok(found) = self.file.with(|_| look(view))
            {
                return Ok(found);
            }
        }
        let mut seen = self.view.write().unwrap_or_else(PoisonError::into_inner);
        *seen = None;
        let view = self.file.with(view)?;
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

fn prepare(path: PathBuf) -> Prepare {
    Box::new(move |db: &Database| check_format(db, &path))
}

/// What a file notes of the journal; none before there was one.
fn noted(table: &impl ReadableTable<&'static str, u128>) -> Result<Option<JournalNote>> {
    let number = |name: &str| -> Result<Option<u128>> {
        Ok(table.get(name).map_err(redb::Error::from)?.map(|number| number.value()))
    };
    let (id, last) = (number("id")?, number("number")?);
    Ok(id.zip(last).map(|(id, last)| JournalNote { id, number: u64::try_from(last).unwrap_or(0) }))
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

pub(super) fn programme_byte(programme: Programme) -> u8 {
    match programme {
        Programme::UserExperience => 0,
        Programme::DeviceExperience => 1,
    }
}

pub(super) fn programme_of(byte: u8) -> Option<Programme> {
    let mut all = Programme::ALL.iter().copied();
    all.find(|p| programme_byte(*p) == byte)
}

#[cfg(test)]
mod tests;

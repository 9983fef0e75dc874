//! The file of one region's consents, which must outlive every table and never rotates.
//!
//! ```text
//! redb file   meta      "format" -> u32
//!             consents  programme (1 byte: 0 user-experience, 1 device-experience) | digest (16 bytes) -> record
//! ```
//! Invariants: a record is durable when [`ConsentFile::put_consent`] returns; any error means that it may not be, and
//! nothing may be acknowledged. Keys are digests, records are opaque here. Blocking calls: async callers use a blocking
//! thread. Not here: what a record says, its bytes and how a digest is made (`shoal-privacy`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use shoal_schemas::Programme;

use crate::error::{Result, StorageError};
use shoal_files::{Disk, Objects};

const FORMAT: u32 = 1;
const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
const CONSENTS: TableDefinition<&[u8; 17], &[u8]> = TableDefinition::new("consents");

/// A recorded consent as it is kept: programme, digest of the subject, the record's bytes.
pub(super) type ConsentEntry = (Programme, [u8; 16], Vec<u8>);

/// The file of one region. Clones share it; one process has it open.
#[derive(Clone)]
pub(super) struct ConsentFile {
    db: Arc<Database>,
    path: Arc<Path>,
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
        let db = Database::create(path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => StorageError::Locked(path.to_path_buf()),
            e => StorageError::Database(e.into()),
        })?;
        check_format(&db, path)?;
        Disk::new(&parent).sync("").map_err(StorageError::io(&parent))?;
        Ok(ConsentFile { db: Arc::new(db), path: path.into() })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Records a consent in place of an earlier one under the same digest. Durable when it returns.
    ///
    /// # Errors
    /// [`StorageError::Database`]: do not acknowledge.
    pub(super) fn put_consent(&self, programme: Programme, digest: [u8; 16], record: &[u8]) -> Result<()> {
        let mut key = [0; 17];
        key[0] = programme_byte(programme);
        key[1..].copy_from_slice(&digest);
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        {
            let mut table = write.open_table(CONSENTS).map_err(redb::Error::from)?;
            table.insert(&key, record).map_err(redb::Error::from)?;
        }
        Ok(write.commit().map_err(redb::Error::from)?)
    }

    /// Every recorded consent: programme, digest, record. For the index that is built at the start.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub(super) fn consents(&self) -> Result<Vec<ConsentEntry>> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(CONSENTS).map_err(redb::Error::from)?;
        let mut found = Vec::new();
        for entry in table.iter().map_err(redb::Error::from)? {
            let (key, record) = entry.map_err(redb::Error::from)?;
            let [byte, digest @ ..] = *key.value();
            let programme =
                programme_of(byte).ok_or_else(|| redb::Error::Corrupted(format!("programme {byte}")))?;
            found.push((programme, digest, record.value().to_vec()));
        }
        Ok(found)
    }
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

    #[test]
    fn consents_survive_and_the_last_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("de/ledger.redb");
        let ux = Programme::UserExperience;
        let dx = Programme::DeviceExperience;
        {
            let file = ConsentFile::open(&path).unwrap();
            file.put_consent(ux, [1; 16], b"granted").unwrap();
            file.put_consent(dx, [1; 16], b"other").unwrap();
            file.put_consent(ux, [1; 16], b"withdrawn").unwrap();
            assert!(matches!(ConsentFile::open(&path), Err(StorageError::Locked(_))));
        }
        let found = ConsentFile::open(&path).unwrap().consents().unwrap();
        let expected = vec![(ux, [1; 16], b"withdrawn".to_vec()), (dx, [1; 16], b"other".to_vec())];
        assert_eq!(found, expected);
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

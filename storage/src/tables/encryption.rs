//! Parquet modular encryption of a table's files: all of a file but its length and what kind of file it is.
//!
//! ```text
//! AES-256-GCM, encrypted footer, the key of the table's day for all columns     tag `shoal.key` of the file's `add`: the key's id
//! authenticated, and not in the file: "<REGION>/<kind>/<path>"
//! ```
//! So a file that is put in another's place is not read, whichever table or day it is of. Files of before there were keys have no tag,
//! and are read as they are; a file that has one and is not encrypted is not.
//!
//! Invariants: whether and with which key a file is encrypted is told by the log, never by the file. Not here: the keys (`keys`), the
//! file (`write`, `object`).

use std::collections::BTreeSet;
use std::sync::Arc;

use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use shoal_files::host;
use shoal_schemas::{Kind, Region};

use crate::error::{Result, StorageError};
use crate::keys::{DataKey, DataKeys, KeyScope};
use crate::tables::live_file::LiveFile;

/// The tag of the id of a file's key.
pub(crate) const KEY: &str = "shoal.key";

/// Whose keys the files of a table have.
#[derive(Clone)]
pub(crate) struct TableKeys {
    pub(crate) region: Region,
    pub(crate) kind: Kind,
    /// None where nothing is encrypted.
    pub(crate) keys: Option<Arc<DataKeys>>,
}

impl TableKeys {
    /// What a new file of this day at this path is encrypted with; none where nothing is.
    pub(crate) fn writing(&self, day: i32, path: &str) -> Result<Option<FileKey>> {
        let Some(keys) = self.keys.as_ref().filter(|keys| keys.is_writing()) else { return Ok(None) };
        let key = keys.writing(self.scope(day), host::now_ms())?;
        Ok(Some(self.file_key(key, path)))
    }

    /// What a file of the table is encrypted with; none of one that is not.
    pub(crate) fn reading(&self, file: &LiveFile) -> Result<Option<FileKey>> {
        let Some(id) = file.key else { return Ok(None) };
        let keys = self.keys.as_ref().ok_or_else(|| self.unset())?;
        let key = keys.reading(self.scope(file.day), id)?;
        Ok(Some(self.file_key(key, &file.path)))
    }

    /// Whether a file can be read as far as its key goes: it is there, or the file needs none. Of a table whose keys nobody has, what
    /// is missing is told by who reads a file.
    pub(crate) fn has(&self, file: &LiveFile) -> bool {
        match (file.key, &self.keys) {
            (Some(id), Some(keys)) => keys.check(self.scope(file.day), id).is_ok(),
            _ => true,
        }
    }

    /// Whether keys of these files are there, so that a key store that is lost is known before anything is read or written: there is no
    /// key in it at all. One that is missing among others is told, and costs its own files alone, however many of a table's they are:
    /// of a table that has few days each may be destroyed.
    pub(crate) fn check<'f>(&self, files: impl Iterator<Item = &'f LiveFile>) -> Result<()> {
        let mut wanted: Vec<_> = files.filter_map(|file| Some((self.scope(file.day), file.key?))).collect();
        wanted.sort_unstable();
        wanted.dedup();
        match (wanted.first(), &self.keys) {
            // Whoever has no keys reads the log, and no file.
            (None, _) | (_, None) => Ok(()),
            (Some(_), Some(keys)) => {
                let missing: Vec<StorageError> =
                    wanted.iter().filter_map(|(scope, id)| keys.check(*scope, *id).err()).collect();
                for error in &missing {
                    tracing::error!(
                        "a file of {}/{} cannot be read any more: {error}",
                        self.region,
                        self.kind
                    );
                }
                let is_lost = keys.place().is_empty()?;
                missing.into_iter().next().filter(|_| is_lost).map_or(Ok(()), Err)
            }
        }
    }

    /// Destroys the keys of the table's days that are over, unless one of these days is still in use. Answers how many there were.
    pub(crate) fn shred(&self, is_over: &dyn Fn(i32) -> bool, in_use: &BTreeSet<i32>) -> Result<u64> {
        let Some(keys) = &self.keys else { return Ok(0) };
        let is_own = |scope: &KeyScope| scope.region == self.region && scope.kind == self.kind;
        let days: BTreeSet<i32> =
            keys.list().into_iter().map(|(scope, _)| scope).filter(is_own).map(|scope| scope.day).collect();
        let over = days.difference(in_use).filter(|day| is_over(**day));
        over.map(|day| keys.shred(self.scope(*day))).sum()
    }

    fn unset(&self) -> StorageError {
        StorageError::Schema {
            table: format!("{}/{}", self.region, self.kind),
            reason: "its files are encrypted, and there are no data keys to read them with".to_owned(),
        }
    }

    fn scope(&self, day: i32) -> KeyScope {
        KeyScope { region: self.region, kind: self.kind, day }
    }

    fn file_key(&self, key: Arc<DataKey>, path: &str) -> FileKey {
        FileKey { key, authenticated: format!("{}/{}/{path}", self.region, self.kind).into_bytes() }
    }
}

/// What one file is encrypted with. No `Debug`.
pub(crate) struct FileKey {
    pub(crate) key: Arc<DataKey>,
    authenticated: Vec<u8>,
}

impl FileKey {
    /// What Parquet's writer wants.
    pub(crate) fn encryption(&self) -> Result<Arc<FileEncryptionProperties>> {
        let builder = FileEncryptionProperties::builder(self.key.secret().to_vec())
            .with_aad_prefix(self.authenticated.clone())
            .with_aad_prefix_storage(false);
        Ok(builder.build()?)
    }

    /// What Parquet's readers want.
    pub(crate) fn decryption(&self) -> Result<Arc<FileDecryptionProperties>> {
        let builder = FileDecryptionProperties::builder(self.key.secret().to_vec());
        Ok(builder.with_aad_prefix(self.authenticated.clone()).build()?)
    }
}

#[cfg(test)]
mod tests;

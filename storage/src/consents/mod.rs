//! Recorded consents: in one durable file for each region, and in memory for whoever asks about an event.
//!
//! ```text
//! <root>/<region>/ledger.redb     the records of a region, by programme and digest of the subject (see `file`)
//! ```
//! Invariants: a record is made from the one before it, and changes of one region are made one after the other; a change is
//! durable when [`Consents::change`] returns. All records are in memory, so a look-up reads no file.
//! Not here: what a record says, its bytes and how a digest is made (`shoal-privacy`), who may change it (`shoal-ingest`).

mod file;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use shoal_schemas::{Programme, Region};

use self::file::ConsentFile;
use crate::error::{Result, StorageError};

/// A subject's digest.
type Digest = [u8; 16];

/// How a record becomes bytes and back. What a record says is not known in this crate.
pub struct RecordForm<R> {
    /// The bytes of a record, or why there are none.
    pub encode: fn(&R) -> std::result::Result<Vec<u8>, String>,
    /// The record of these bytes, or why they are none.
    pub decode: fn(&[u8]) -> std::result::Result<R, String>,
}

/// From when on a change is seen by [`Consents::get`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// From the beginning, also when it cannot be made durable: for what forbids something.
    AtOnce,
    /// When it is durable: for what allows something.
    WhenDurable,
}

/// The consents recorded in all regions. No `Debug`.
pub struct Consents<R> {
    form: RecordForm<R>,
    regions: Vec<(Region, Shelf<R>)>,
}

/// One region's.
struct Shelf<R> {
    file: ConsentFile,
    records: RwLock<Records<R>>,
    /// Held from the reading of a record to its being durable.
    changing: Mutex<()>,
}

type Records<R> = FxHashMap<(Programme, Digest), R>;

impl<R: Clone> Consents<R> {
    /// Opens the file of every region below a root, or makes it, and reads all records into memory.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has a file open, [`StorageError::Format`] and [`StorageError::Consent`]
    /// for what a later version wrote, [`StorageError::Database`] when a file cannot be read.
    pub fn open(root: &Path, form: RecordForm<R>) -> Result<Consents<R>> {
        let mut regions = Vec::with_capacity(Region::ALL.len());
        for region in Region::ALL {
            let path = root.join(region.as_str().to_ascii_lowercase()).join("ledger.redb");
            let file = ConsentFile::open(&path)?;
            let mut records = Records::default();
            for (programme, digest, bytes) in file.consents()? {
                let unreadable = |reason| StorageError::Consent { path: path.clone(), reason };
                records.insert((programme, digest), (form.decode)(&bytes).map_err(unreadable)?);
            }
            let shelf = Shelf { file, records: RwLock::new(records), changing: Mutex::new(()) };
            regions.push((*region, shelf));
        }
        Ok(Consents { form, regions })
    }

    /// What is recorded about a subject, if anything.
    pub fn get(&self, region: Region, programme: Programme, digest: Digest) -> Option<R> {
        self.shelf(region)?.get(&(programme, digest))
    }

    /// Puts a record made from the one before it in the place of that one, for each of these digests of one subject. Blocks
    /// until it is durable.
    ///
    /// # Errors
    /// Some of it may not be durable, so nothing may be acknowledged; doing it again is safe.
    pub fn change(
        &self,
        region: Region,
        programme: Programme,
        digests: &[Digest],
        effect: Effect,
        change: impl Fn(Option<R>) -> R,
    ) -> Result<()> {
        let nowhere =
            || StorageError::Consent { path: PathBuf::new(), reason: format!("no file of {region}") };
        let shelf = self.shelf(region).ok_or_else(nowhere)?;
        let _one_at_a_time: MutexGuard<'_, ()> =
            shelf.changing.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in digests {
            let key = (programme, *digest);
            let record = change(shelf.get(&key));
            let bytes = (self.form.encode)(&record);
            if effect == Effect::AtOnce {
                shelf.keep(key, record.clone());
            }
            let bytes =
                bytes.map_err(|reason| StorageError::Consent { path: shelf.file.path().into(), reason })?;
            shelf.file.put_consent(programme, *digest, &bytes)?;
            if effect == Effect::WhenDurable {
                shelf.keep(key, record);
            }
        }
        Ok(())
    }

    fn shelf(&self, region: Region) -> Option<&Shelf<R>> {
        self.regions.iter().find(|(r, _)| *r == region).map(|(_, shelf)| shelf)
    }
}

impl<R: Clone> Shelf<R> {
    fn get(&self, key: &(Programme, Digest)) -> Option<R> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: (Programme, Digest), record: R) {
        self.records.write().unwrap_or_else(PoisonError::into_inner).insert(key, record);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const UX: Programme = Programme::UserExperience;

    fn form() -> RecordForm<u8> {
        RecordForm {
            encode: |record| match record {
                255 => Err("too large".to_owned()),
                record => Ok(vec![*record]),
            },
            decode: |bytes| match bytes {
                [record] => Ok(*record),
                _ => Err("no number".to_owned()),
            },
        }
    }

    #[test]
    fn a_change_starts_from_what_is_there_and_survives() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        let more = |before: Option<u8>| before.map_or(1, |n| n + 1);
        consents.change(Region::De, UX, &[[1; 16], [2; 16]], Effect::WhenDurable, more).unwrap();
        consents.change(Region::De, UX, &[[1; 16]], Effect::AtOnce, more).unwrap();
        assert!(matches!(Consents::open(root.path(), form()), Err(StorageError::Locked(_))));
        drop(consents);
        let consents = Consents::open(root.path(), form()).unwrap();
        let found = |region, digest| consents.get(region, UX, digest);
        assert_eq!((found(Region::De, [1; 16]), found(Region::De, [2; 16])), (Some(2), Some(1)));
        assert_eq!((found(Region::Us, [1; 16]), found(Region::De, [3; 16])), (None, None));
        assert_eq!(consents.get(Region::De, Programme::DeviceExperience, [1; 16]), None);
        assert!(root.path().join("sg/ledger.redb").exists(), "every region has its own file");
    }

    #[test]
    fn what_is_not_durable_counts_only_if_it_forbids() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        for (effect, seen) in [(Effect::WhenDurable, None), (Effect::AtOnce, Some(255))] {
            let failed = consents.change(Region::De, UX, &[[1; 16]], effect, |_| 255);
            assert!(matches!(failed, Err(StorageError::Consent { .. })));
            assert_eq!(consents.get(Region::De, UX, [1; 16]), seen);
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_stops_the_start_and_names_the_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("de").join("ledger.redb");
        ConsentFile::open(&path).unwrap().put_consent(UX, [1; 16], b"longer").unwrap();
        let refused = Consents::open(root.path(), form()).err().unwrap().to_string();
        assert_eq!(refused, format!("{}: no number", path.display()));
    }
}

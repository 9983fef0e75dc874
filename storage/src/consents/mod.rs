//! Recorded consents: in one durable file for each region, and looked up there.
//!
//! ```text
//! <root>/<region>/ledger.redb     the records of a region, by programme and digest of the subject (see `file`)
//! ```
//! Invariants: a record is made from the one before it, and changes of one region are made one after the other, those that
//! forbid something first (see `turn`); a list of changes is durable as a whole when [`Consents::change`] returns. No
//! record is kept in memory, so neither many records nor made-up ones fill it: only pages of the files are, within a bound,
//! and what forbids something and could not be made durable. A look-up of a digest without a record costs what one with a
//! record costs.
//! Not here: what a record says, its bytes and how a digest is made (`shoal-privacy`), who may change it (`shoal-ingest`).

mod file;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;
use shoal_schemas::{Programme, Region};

use self::file::{ConsentFile, Edit};
use self::turn::Turns;
use crate::error::{Result, StorageError};
use crate::redb_file::{Trouble, broken};

/// A subject's digest.
type Digest = [u8; 16];

/// Records that forbid something and are not durable, at the most, for each region. One more counts when it is durable.
const FORBIDDEN_MAX: usize = 1 << 14;

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

/// A change of what is recorded about one subject.
pub struct ConsentChange<'c, R> {
    /// The programme.
    pub programme: Programme,
    /// The subject's digests; each has a record of its own.
    pub digests: &'c [Digest],
    /// Further digests, which are changed where they have a record already, and get none otherwise.
    pub where_recorded: &'c [Digest],
    /// From when on it counts.
    pub effect: Effect,
    /// Makes the record of the one before it.
    pub after: &'c dyn Fn(Option<R>) -> R,
}

/// The consents recorded in all regions. No `Debug`.
pub struct Consents<R> {
    form: RecordForm<R>,
    regions: Vec<(Region, Shelf<R>)>,
}

/// One region's.
struct Shelf<R> {
    file: ConsentFile,
    /// What forbids something and is not durable yet, or could not be made so.
    forbidden: RwLock<Records<R>>,
    turns: Turns,
}

type Records<R> = FxHashMap<(Programme, Digest), R>;

impl<R: Clone> Consents<R> {
    /// Opens the file of every region below a root, or makes it, and reads every record once, so that one which this
    /// version cannot read is found now.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has a file open, [`StorageError::Format`] and [`StorageError::Consent`]
    /// for what a later version wrote, [`StorageError::Database`] when a file cannot be read.
    pub fn open(root: &Path, form: RecordForm<R>) -> Result<Consents<R>> {
        let mut regions = Vec::with_capacity(Region::ALL.len());
        for region in Region::ALL {
            let path = root.join(region.as_str().to_ascii_lowercase()).join("ledger.redb");
            let file = ConsentFile::open(&path)?;
            file.each(|_, _, bytes| (form.decode)(bytes).map(drop).map_err(unreadable(&file)))?;
            let shelf = Shelf { file, forbidden: RwLock::default(), turns: Turns::default() };
            regions.push((*region, shelf));
        }
        Ok(Consents { form, regions })
    }

    /// What is recorded about a subject, if anything.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read: nothing may be decided then.
    pub fn get(&self, region: Region, programme: Programme, digest: Digest) -> Result<Option<R>> {
        let shelf = self.shelf(region)?;
        // In this order: what is not among the forbidden any more is in the file. Both are asked, whatever is found.
        let forbidden = shelf.forbidden(&(programme, digest));
        let recorded = shelf.file.get(programme, digest)?;
        match (forbidden, recorded) {
            (Some(record), _) => Ok(Some(record)),
            (None, Some(bytes)) => (self.form.decode)(&bytes).map(Some).map_err(unreadable(&shelf.file)),
            (None, None) => Ok(None),
        }
    }

    /// Makes changes in their order: for each digest a record in the place of the one before it. Blocks until all of them
    /// are durable.
    ///
    /// # Errors
    /// Nothing of it may be durable, so nothing may be acknowledged; doing it again is safe.
    pub fn change(&self, region: Region, changes: &[ConsentChange<'_, R>]) -> Result<()> {
        let shelf = self.shelf(region)?;
        let _turn = shelf.turns.take(changes.iter().any(|change| change.effect == Effect::AtOnce));
        let made = shelf.file.edit(|edit| {
            let mut making = Making { form: &self.form, shelf, edit, made: Records::default() };
            for change in changes {
                for digest in change.digests {
                    let before = making.before(change, *digest)?;
                    making.record(change, *digest, before)?;
                }
                for digest in change.where_recorded {
                    if let Some(before) = making.before(change, *digest)? {
                        making.record(change, *digest, Some(before))?;
                    }
                }
            }
            Ok(making.made)
        })?;
        let mut forbidden = shelf.forbidden.write().unwrap_or_else(PoisonError::into_inner);
        forbidden.retain(|key, _| !made.contains_key(key));
        Ok(())
    }

    /// What keeps the files of regions from being written. Tries to go on with each first.
    pub fn troubles(&self) -> Vec<(Region, Trouble)> {
        let trouble = |(region, shelf): &(Region, Shelf<R>)| Some((*region, shelf.file.file().trouble()?));
        self.regions.iter().filter_map(trouble).collect()
    }

    /// Returns when a file has failed so that something may be lost. The process must end then.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<R> {
        let all: Vec<_> =
            self.regions.iter().map(|(_, shelf)| Box::pin(broken(shelf.file.file().broken()))).collect();
        async move {
            futures::future::select_all(all).await;
        }
    }

    fn shelf(&self, region: Region) -> Result<&Shelf<R>> {
        let found = self.regions.iter().find(|(r, _)| *r == region).map(|(_, shelf)| shelf);
        let nowhere =
            || StorageError::Consent { path: PathBuf::new(), reason: format!("no file of {region}") };
        found.ok_or_else(nowhere)
    }
}

/// Records that are being made, all of a list.
struct Making<'m, 't, R> {
    form: &'m RecordForm<R>,
    shelf: &'m Shelf<R>,
    edit: Edit<'t>,
    made: Records<R>,
}

impl<R: Clone> Making<'_, '_, R> {
    /// What there is of a digest before a change.
    fn before(&self, change: &ConsentChange<'_, R>, digest: Digest) -> Result<Option<R>> {
        let key = (change.programme, digest);
        match self.made.get(&key).cloned().or_else(|| self.shelf.forbidden(&key)) {
            Some(record) => Ok(Some(record)),
            None => {
                let recorded = self.edit.get(change.programme, digest)?;
                let decode =
                    |bytes: Vec<u8>| (self.form.decode)(&bytes).map_err(unreadable(&self.shelf.file));
                recorded.map(decode).transpose()
            }
        }
    }

    fn record(&mut self, change: &ConsentChange<'_, R>, digest: Digest, before: Option<R>) -> Result<()> {
        let key = (change.programme, digest);
        let unreadable = unreadable(&self.shelf.file);
        let record = (change.after)(before);
        if change.effect == Effect::AtOnce {
            self.shelf.forbid(key, record.clone());
        }
        let bytes = (self.form.encode)(&record).map_err(&unreadable)?;
        self.edit.put(change.programme, digest, &bytes)?;
        self.made.insert(key, record);
        Ok(())
    }
}

/// A record of this file has no bytes, or its bytes are no record.
fn unreadable(file: &ConsentFile) -> impl Fn(String) -> StorageError {
    let path = file.path();
    move |reason| StorageError::Consent { path: path.clone(), reason }
}

impl<R: Clone> Shelf<R> {
    fn forbidden(&self, key: &(Programme, Digest)) -> Option<R> {
        self.forbidden.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn forbid(&self, key: (Programme, Digest), record: R) {
        let mut forbidden = self.forbidden.write().unwrap_or_else(PoisonError::into_inner);
        if forbidden.len() < FORBIDDEN_MAX || forbidden.contains_key(&key) {
            forbidden.insert(key, record);
        }
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

    fn change(
        consents: &Consents<u8>,
        digests: &[Digest],
        effect: Effect,
        after: impl Fn(Option<u8>) -> u8,
    ) -> Result<()> {
        let change = ConsentChange { programme: UX, digests, where_recorded: &[], effect, after: &after };
        consents.change(Region::De, &[change])
    }

    #[test]
    fn a_change_starts_from_what_is_there_and_survives() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        let more = |before: Option<u8>| before.map_or(1, |n| n + 1);
        change(&consents, &[[1; 16], [2; 16]], Effect::WhenDurable, more).unwrap();
        change(&consents, &[[1; 16]], Effect::AtOnce, more).unwrap();
        assert!(matches!(Consents::open(root.path(), form()), Err(StorageError::Locked(_))));
        drop(consents);
        let consents = Consents::open(root.path(), form()).unwrap();
        let found = |region, digest| consents.get(region, UX, digest).unwrap();
        assert_eq!((found(Region::De, [1; 16]), found(Region::De, [2; 16])), (Some(2), Some(1)));
        assert_eq!((found(Region::Us, [1; 16]), found(Region::De, [3; 16])), (None, None));
        assert_eq!(consents.get(Region::De, Programme::DeviceExperience, [1; 16]).unwrap(), None);
        assert!(root.path().join("sg/ledger.redb").exists(), "every region has its own file");
    }

    #[test]
    fn what_is_not_durable_counts_only_if_it_forbids() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        for (effect, seen) in [(Effect::WhenDurable, None), (Effect::AtOnce, Some(255))] {
            let failed = change(&consents, &[[1; 16]], effect, |_| 255);
            assert!(matches!(failed, Err(StorageError::Consent { .. })));
            assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), seen);
        }
        // Whatever comes next starts from it, and takes its place once it is durable.
        change(&consents, &[[1; 16]], Effect::WhenDurable, |before| before.unwrap() - 1).unwrap();
        assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), Some(254));
        assert!(consents.shelf(Region::De).unwrap().forbidden.read().unwrap().is_empty());
    }

    #[test]
    fn a_list_is_recorded_in_its_order_and_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        let one = |after: &'static dyn Fn(Option<u8>) -> u8, effect| ConsentChange {
            programme: UX,
            digests: &[[1; 16]],
            where_recorded: &[],
            effect,
            after,
        };
        let list = [
            one(&|_| 3, Effect::WhenDurable),
            one(&|before| before.unwrap() * 2, Effect::AtOnce),
            one(&|before| before.unwrap() + 1, Effect::WhenDurable),
        ];
        consents.change(Region::De, &list).unwrap();
        assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), Some(7));
        let failing = [one(&|_| 100, Effect::WhenDurable), one(&|_| 255, Effect::WhenDurable)];
        assert!(consents.change(Region::De, &failing).is_err());
        assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), Some(7));
    }

    #[test]
    fn what_is_changed_where_it_is_recorded_gets_no_record_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        let more = |before: Option<u8>| before.map_or(1, |n| n + 1);
        change(&consents, &[[2; 16]], Effect::AtOnce, more).unwrap();
        let both = ConsentChange {
            programme: UX,
            digests: &[[1; 16]],
            where_recorded: &[[2; 16], [3; 16]],
            effect: Effect::AtOnce,
            after: &more,
        };
        consents.change(Region::De, &[both]).unwrap();
        let found = |digest| consents.get(Region::De, UX, digest).unwrap();
        assert_eq!((found([1; 16]), found([2; 16]), found([3; 16])), (Some(1), Some(2), None));
    }

    #[test]
    fn what_could_not_be_made_durable_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let consents = Consents::open(root.path(), form()).unwrap();
        let digests: Vec<Digest> = (0..=FORBIDDEN_MAX as u128).map(u128::to_le_bytes).collect();
        for digest in &digests {
            consents.shelf(Region::De).unwrap().forbid((UX, *digest), 1);
        }
        let held = |digest: &Digest| consents.get(Region::De, UX, *digest).unwrap();
        assert_eq!((held(&digests[0]), held(&digests[FORBIDDEN_MAX])), (Some(1), None));
    }

    #[test]
    fn a_record_that_cannot_be_read_stops_the_start_and_names_the_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("de").join("ledger.redb");
        ConsentFile::open(&path).unwrap().edit(|mut edit| edit.put(UX, [1; 16], b"longer")).unwrap();
        let refused = Consents::open(root.path(), form()).err().unwrap().to_string();
        assert_eq!(refused, format!("{}: no number", path.display()));
    }
}

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
//! What forbids something is in the journal first (`journal`), which lies outside of the data: an older file that is put back gets
//! from it what it lacks (`journal_start`). Files and journals may be sealed, those of each region with a key of its own; what is in
//! the clear from before is sealed when it is opened. [`look_at_journals`] looks while nobody has them open (`journal_look`).
//!
//! Not here: what a record says, its bytes and how a digest is made (`shoal-privacy`; `form` has them as functions), who may change
//! it (`shoal-ingest`).

mod file;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod journal;
mod journal_form;
mod journal_look;
mod journal_start;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use rustc_hash::FxHashMap;
use shoal_files::{Disk, Lock, Medium, Objects as _, Sealing};
use shoal_schemas::{Programme, Region};

use self::file::{ConsentFile, Edit};
use self::journal::{Act, Journal};
use self::journal_look::{lock_journals, path_in};
use self::journal_start::Start;
use self::turn::Turns;
use crate::error::{Result, StorageError};
use crate::redb_file::{Trouble, broken};

pub use self::form::{JournalForm, RecordForm};
pub use self::journal_look::{hold_journals, look_at_journals, look_at_sealed_journals};
pub use self::journal_start::{JournalFound, JournalStart};

/// A subject's digest.
type Digest = [u8; 16];

/// Records that forbid something and are not durable, at the most, for each region. One more counts when it is durable.
const FORBIDDEN_MAX: usize = 1 << 14;

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
    /// What the journal keeps of it, outside of the data: for what forbids something. A start does it again on an older file.
    pub act: Option<&'c [u8]>,
    /// Makes the record of the one before it.
    pub after: &'c dyn Fn(Option<R>) -> R,
}

/// The consents recorded in all regions. No `Debug`.
pub struct Consents<R> {
    form: RecordForm<R>,
    regions: Vec<(Region, Shelf<R>)>,
    /// Of the directory of journals.
    _lock: Option<Lock>,
}

/// The consents recorded in all regions, with their journals.
pub struct Opened<R> {
    /// The consents.
    pub consents: Consents<R>,
    /// What was done about the journal of each region.
    pub journals: Vec<JournalStart>,
}

/// One region's.
struct Shelf<R> {
    file: ConsentFile,
    /// Of the file and of the journal.
    sealing: Option<Sealing>,
    /// None for tests and benches of other things.
    journal: Option<Mutex<Journal>>,
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
        Consents::open_sealed(root, form, &|_| None)
    }

    /// The same with files that are sealed, or will be. A file that is in the clear and is to be sealed is so when this returns.
    ///
    /// # Errors
    /// As [`Consents::open`], and [`StorageError::Sealed`] when a file is sealed and there is no key.
    pub fn open_sealed(
        root: &Path,
        form: RecordForm<R>,
        sealings: &dyn Fn(Region) -> Option<Sealing>,
    ) -> Result<Consents<R>> {
        let mut regions = Vec::with_capacity(Region::ALL.len());
        for region in Region::ALL {
            let sealing = sealings(*region);
            let file = ConsentFile::open(&path_in(root, *region), sealing.as_ref())?;
            file.each(|_, _, bytes| (form.decode)(bytes).map(drop).map_err(unreadable(&file)))?;
            let (forbidden, turns) = (RwLock::default(), Turns::default());
            regions.push((*region, Shelf { file, sealing, journal: None, forbidden, turns }));
        }
        Ok(Consents { form, regions, _lock: None })
    }

    /// [`Consents::open`] with the journals of a directory outside of the root, compared with the files: what an older file lacks
    /// is in force again when this returns.
    ///
    /// # Errors
    /// As [`Consents::open`], and [`StorageError::Damaged`] for a journal that is.
    pub fn open_with_journal(
        root: &Path,
        journal_dir: &Path,
        form: RecordForm<R>,
        acts: JournalForm<R>,
    ) -> Result<Opened<R>> {
        Consents::open_sealed_with_journal(root, journal_dir, form, acts, &|_| None)
    }

    /// The same with files and journals that are sealed, or will be, as those of [`Consents::open_sealed`].
    ///
    /// # Errors
    /// As [`Consents::open_with_journal`] and [`Consents::open_sealed`].
    pub fn open_sealed_with_journal(
        root: &Path,
        journal_dir: &Path,
        form: RecordForm<R>,
        acts: JournalForm<R>,
        sealings: &dyn Fn(Region) -> Option<Sealing>,
    ) -> Result<Opened<R>> {
        let disk = Disk::new(journal_dir).private();
        disk.make().map_err(StorageError::io(journal_dir))?;
        let lock = Some(lock_journals(&disk, journal_dir)?);
        // What a crash left of a journal that was being written anew. Nobody else writes one.
        disk.sweep("", i64::MAX).map_err(StorageError::io(journal_dir))?;
        let consents = Consents::open_sealed(root, form, sealings)?;
        let opened = consents.with_journals(&(Arc::new(disk) as Arc<dyn Medium>), &acts)?;
        Ok(Opened { consents: Consents { _lock: lock, ..opened.consents }, ..opened })
    }

    /// The same with the journals of a medium that no other process knows.
    fn with_journals(mut self, medium: &Arc<dyn Medium>, acts: &JournalForm<R>) -> Result<Opened<R>> {
        let mut journals = Vec::with_capacity(self.regions.len());
        for (region, shelf) in &mut self.regions {
            let sealing = shelf.sealing.as_ref();
            let (file, record) = (&shelf.file, &self.form);
            let start = Start { region: *region, medium, file, record, form: acts, sealing };
            let (journal, done) = start.run()?;
            shelf.journal = Some(Mutex::new(journal));
            journals.push(done);
        }
        Ok(Opened { consents: self, journals })
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
            let (made, acts) = (Records::default(), Vec::new());
            let mut making = Making { form: &self.form, shelf, edit, made, acts };
            making.carry_over()?;
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
            making.note()?;
            Ok(making.made)
        })?;
        let mut forbidden = shelf.forbidden.write().unwrap_or_else(PoisonError::into_inner);
        forbidden.retain(|key, _| !made.contains_key(key));
        Ok(())
    }

    /// Makes a copy of the file of a region as it is now, under this name in a place where no other process looks. Changes go on
    /// meanwhile.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_to(&self, region: Region, medium: &Arc<dyn Medium>, name: &str) -> Result<()> {
        self.shelf(region)?.file.copy_to(medium, name)
    }

    /// What keeps the files of regions from being written. Tries to go on with each first.
    pub fn troubles(&self) -> Vec<(Region, Trouble)> {
        let trouble = |(region, shelf): &(Region, Shelf<R>)| Some((*region, shelf.trouble()?));
        self.regions.iter().filter_map(trouble).collect()
    }

    /// Returns when a file has failed so that something may be lost. The process must end then.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<R> {
        let files = self.regions.iter().map(|(_, shelf)| shelf.file.file().broken());
        let journals = self.regions.iter().filter_map(|(_, shelf)| Some(shelf.journal()?.broken()));
        let all: Vec<_> = files.chain(journals).map(|watched| Box::pin(broken(watched))).collect();
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
    /// What the journal is to keep.
    acts: Vec<Act>,
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

    /// What forbids something and could not be made durable before is made so with this change: the journal may have it, and
    /// what the file notes of the journal is that it has everything.
    fn carry_over(&mut self) -> Result<()> {
        let all: Vec<_> = {
            let forbidden = self.shelf.forbidden.read().unwrap_or_else(PoisonError::into_inner);
            forbidden.iter().map(|(key, record)| (*key, record.clone())).collect()
        };
        for ((programme, digest), record) in all {
            // One that has no bytes was not noted either.
            if let Ok(bytes) = (self.form.encode)(&record) {
                self.edit.put(programme, digest, &bytes)?;
                self.made.insert((programme, digest), record);
            }
        }
        Ok(())
    }

    /// Makes what forbids something durable in the journal, before it is in the file. The file notes the last act in any case: the
    /// journal may have one of a change that failed after it, and which has been carried over. A start that did it again would take
    /// back what is allowed now.
    fn note(&mut self) -> Result<()> {
        let Some(mut journal) = self.shelf.journal() else { return Ok(()) };
        let note = journal.append(&self.acts)?;
        self.edit.note(note)
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
        let act = change.act.map(|act| Act { programme: change.programme, digest, act: act.to_vec() });
        self.acts.extend(act);
        Ok(())
    }
}

/// A record of this file has no bytes, or its bytes are no record.
fn unreadable(file: &ConsentFile) -> impl Fn(String) -> StorageError {
    let path = file.path();
    move |reason| StorageError::Consent { path: path.clone(), reason }
}

impl<R> Shelf<R> {
    /// What it says is whole after every call, so a panic elsewhere does not matter.
    fn journal(&self) -> Option<MutexGuard<'_, Journal>> {
        Some(self.journal.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn trouble(&self) -> Option<Trouble> {
        let of_journal = match self.journal.as_ref().map(Mutex::try_lock) {
            Some(Ok(mut journal)) => journal.trouble(),
            Some(Err(TryLockError::Poisoned(journal))) => journal.into_inner().trouble(),
            // Somebody is writing to it, which may take long when it is written anew. Whoever asks does not wait for that.
            Some(Err(TryLockError::WouldBlock)) | None => None,
        };
        match (self.file.file().trouble(), of_journal) {
            (Some(Trouble::Broken), _) | (_, Some(Trouble::Broken)) => Some(Trouble::Broken),
            (of_file, of_journal) => of_file.or(of_journal),
        }
    }
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
mod tests;

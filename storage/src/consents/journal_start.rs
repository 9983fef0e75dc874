//! What a start makes of the journal of a region and its file of consents, before anything else is done with either.
//!
//! ```text
//! the file notes this journal, and a number of it    -> the acts after that number are done again, whatever clocks said
//! the journal is another one, or older than the file -> acts that the file lacks by their times are done; then the journal is
//!                                                       written anew with what both know
//! there is no journal                                -> it is written from the file
//! ```
//! Invariant: it may be cut off anywhere, and the next start begins again. Not here: the journal itself (`journal`), what an act
//! makes of a record, and what acts a record tells of (`shoal-privacy`, `consent/withdrawal.rs`).

use std::sync::Arc;

use shoal_files::{Medium, Sealing, host};
use shoal_schemas::Region;

use super::file::{ConsentFile, Edit, JournalNote};
use super::form::{JournalForm, RecordForm};
use super::journal::{Act, Journal};
use super::journal_form::Noted;
use crate::error::{Result, StorageError};

/// Acts that are put into the file, or into the journal, at one time.
const TOGETHER: usize = 500;

/// What a start did about the journal of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStart {
    /// The region.
    pub region: Region,
    /// Acts of the journal that the file of consents lacked, and that are in force again.
    pub replayed: u64,
    /// How the journal was found. It was written anew unless it was the one that the file noted.
    pub found: JournalFound,
}

/// How the journal of a region is found beside its file of consents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFound {
    /// It has every act that the file notes, or the file notes none.
    Whole,
    /// There is none, though the file notes one.
    Missing,
    /// It lacks acts that the file notes: it is an older copy.
    Older,
    /// It has another id than the file notes: it was written anew since, and has what was known then and what came after.
    Another,
}

impl JournalFound {
    /// What is found when the journal has come this far, and the file notes this of it.
    pub(super) fn of(journal: Option<JournalNote>, noted: Option<JournalNote>) -> JournalFound {
        match (journal, noted) {
            (_, None) => JournalFound::Whole,
            (None, Some(_)) => JournalFound::Missing,
            (Some(journal), Some(noted)) if journal.has(noted) => JournalFound::Whole,
            (Some(journal), Some(noted)) if journal.id == noted.id => JournalFound::Older,
            (Some(_), Some(_)) => JournalFound::Another,
        }
    }

    /// Whether acts may be lost that came after what the file knows.
    pub fn is_lost(self) -> bool {
        matches!(self, JournalFound::Missing | JournalFound::Older)
    }
}

/// The journal and the file of one region, while they are compared.
pub(super) struct Start<'s, R> {
    pub(super) region: Region,
    pub(super) medium: &'s Arc<dyn Medium>,
    pub(super) file: &'s ConsentFile,
    pub(super) record: &'s RecordForm<R>,
    pub(super) form: &'s JournalForm<R>,
    pub(super) sealing: Option<&'s Sealing>,
}

impl<R> Start<'_, R> {
    /// The journal, and what was done so that it and the file say the same.
    pub(super) fn run(&self) -> Result<(Journal, JournalStart)> {
        let note = self.file.journal_note()?;
        let opened = Journal::open(self.medium, self.region, self.form.merge, self.sealing)?;
        let found = JournalFound::of(opened.as_ref().map(Journal::note), note);
        let mut start = JournalStart { region: self.region, replayed: 0, found };
        let journal = match (opened, note) {
            (Some(journal), Some(note)) if journal.knows(note) => {
                if journal.note().number > note.number {
                    start.replayed = self.replay(&journal, Some(note.number))?;
                }
                journal
            }
            (Some(journal), _) => {
                start.replayed = self.replay(&journal, None)?;
                self.join(journal)?
            }
            (None, _) => {
                self.join(Journal::create(self.medium, self.region, self.form.merge, self.sealing)?)?
            }
        };
        Ok((journal, start))
    }

    /// Does the acts of the journal after this number again: the file is known to lack them. Without a number, those that it
    /// lacks by their times. Answers how many changed something.
    fn replay(&self, journal: &Journal, after: Option<u64>) -> Result<u64> {
        let mut replayed = 0;
        let mut waiting: Vec<Act> = Vec::with_capacity(TOGETHER);
        let mut put = |waiting: &mut Vec<Act>, note: Option<JournalNote>| {
            let changed = self.file.edit(|edit| self.put(edit, waiting, after.is_some(), note))?;
            replayed += changed;
            waiting.clear();
            Ok::<(), StorageError>(())
        };
        journal.each(&mut |noted| {
            if after.is_none_or(|after| noted.number > after) {
                let Noted { programme, digest, act, .. } = noted;
                waiting.push(Act { programme, digest, act: act.to_vec() });
            }
            if waiting.len() < TOGETHER { Ok(()) } else { put(&mut waiting, None) }
        })?;
        // Only the last one says that all are in it. What is known by times is noted once both say the same.
        put(&mut waiting, after.map(|_| journal.note()))?;
        Ok(replayed)
    }

    fn put(
        &self,
        mut edit: Edit<'_>,
        acts: &[Act],
        is_missing: bool,
        note: Option<JournalNote>,
    ) -> Result<u64> {
        let unreadable = |reason| StorageError::Consent { path: self.file.path(), reason };
        let mut changed = 0;
        for Act { programme, digest, act } in acts {
            let before = edit.get(*programme, *digest)?;
            let before = before.map(|bytes| (self.record.decode)(&bytes)).transpose().map_err(unreadable)?;
            if let Some(after) = (self.form.replay)(act, before, is_missing).map_err(unreadable)? {
                let bytes = (self.record.encode)(&after).map_err(unreadable)?;
                edit.put(*programme, *digest, &bytes)?;
                changed += 1;
            }
        }
        note.map_or(Ok(()), |note| edit.note(note))?;
        Ok(changed)
    }

    /// Writes the journal anew, under another id, with what it says and what the records say; and notes it.
    fn join(&self, mut journal: Journal) -> Result<Journal> {
        let mut waiting = Vec::with_capacity(TOGETHER);
        let unreadable = |reason| StorageError::Consent { path: self.file.path(), reason };
        self.file.each(|programme, digest, bytes| {
            let record = (self.record.decode)(bytes).map_err(unreadable)?;
            if let Some(act) = (self.form.of_record)(&record) {
                waiting.push(Act { programme, digest, act });
            }
            if waiting.len() >= TOGETHER {
                journal.append(&std::mem::take(&mut waiting))?;
            }
            Ok(())
        })?;
        if !waiting.is_empty() {
            journal.append(&waiting)?;
        }
        // A file that notes the old one is an older file.
        journal.write_anew(host::random_id().as_u128())?;
        let note = journal.note();
        self.file.edit(|mut edit| edit.note(note))?;
        Ok(journal)
    }
}

#[cfg(test)]
mod tests;

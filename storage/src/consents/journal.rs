//! The journal of what forbids something, outside of the data: so that an older copy of a file of consents that is put back
//! brings no consent back that was withdrawn since.
//!
//! ```text
//! <journal dir>/<region>/withdrawals      the acts of a region, under the digests of its file of consents (`journal_form`)
//!
//! change: records made -> acts appended, synced -> file of consents, with the number of the last act -> answered
//! ```
//! The file of consents notes the journal's id and the number of the last act that is in it. So a start knows, whatever clocks
//! said, which acts an older file lacks. Invariants: an act is durable here before it is in the file of consents, so that a
//! journal is behind the file only when somebody has put back an older one or lost it. Of a subject, programme and kind of act
//! one record stays when the file is written anew, which happens when it has grown to twice of what it was then; that takes
//! bounded memory. After a write that failed for want of room the file is as before; after any other failure nothing is
//! written to it any more, and the process must end. A journal in the clear is written anew when it is opened and is to be sealed;
//! one that is sealed stays so. Blocking calls.
//! Not here: what a start does about acts that are missing (`journal_start`), what an act says (`shoal-privacy`).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use shoal_files::{LogFile, Medium, Sealing, SealingKey, Source, has_room, host, is_full, overwrite};
use shoal_schemas::{Programme, Region};
use tokio::sync::watch;

use super::file::{JournalNote, programme_byte, programme_of};
use super::journal_form::{ACT_BYTES_MAX, Found, Looked, Noted, Pen, WRITE_BYTES_MAX, read, record_bytes};
use crate::error::{Result, StorageError};
use crate::redb_file::Trouble;

/// A file below this size is never written anew by itself.
const KEPT_BYTES: u64 = 1 << 20;
/// So many bytes of a file are looked at in one pass when it is written anew: they become some two times as much memory.
const PASS_BYTES: u64 = 2 << 20;
/// Bytes of records that are written together when a file is written anew.
const TOGETHER_BYTES: usize = 256 << 10;

/// Makes one act of two of one subject, programme and kind, the older one first.
pub(super) type Merge = fn(&[u8], &[u8]) -> std::result::Result<Vec<u8>, String>;

/// Programme, digest, and kind of act.
type SubjectKind = (u8, [u8; 16], u8);

/// The act that stays of each, with its number.
type Kept = BTreeMap<SubjectKind, (u64, Box<[u8]>)>;

/// An act that is to be noted.
pub(super) struct Act {
    pub(super) programme: Programme,
    pub(super) digest: [u8; 16],
    pub(super) act: Vec<u8>,
}

/// The journal of one region.
pub(super) struct Journal {
    medium: Arc<dyn Medium>,
    name: String,
    file: Box<dyn LogFile>,
    pen: Pen,
    sealing: Option<Sealing>,
    last: u64,
    bytes: u64,
    /// What it had when it was written anew last, also by an earlier process.
    bytes_then: u64,
    merge: Merge,
    trouble: Option<Trouble>,
    broken: watch::Sender<bool>,
}

/// The name of a region's file.
pub(super) fn name_of(region: Region) -> String {
    format!("{}/withdrawals", region.as_str().to_ascii_lowercase())
}

/// What a whole look at a file finds; none when there is no file.
fn found(medium: &dyn Medium, name: &str, key: Option<&SealingKey>) -> Result<Option<Found>> {
    let path = medium.path(name);
    let source: Arc<dyn Source> = match medium.open(name) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => Arc::from(opened.map_err(StorageError::io(&path))?),
    };
    let looked = read(source, key, &mut |_| Ok(())).map_err(StorageError::io(&path))?;
    whole(looked, path).map(Some)
}

fn whole(looked: Looked, path: PathBuf) -> Result<Found> {
    match looked {
        Looked::Whole(found) => Ok(found),
        Looked::Damaged => Err(damaged(path)),
        Looked::NoKey => Err(StorageError::Sealed(path)),
        Looked::OtherKey => {
            Err(StorageError::Damaged { path, reason: "was encrypted with another key".to_owned() })
        }
    }
}

/// The key with which a file is sealed that is made now.
fn key_of_new(sealing: Option<&Sealing>) -> Option<SealingKey> {
    sealing.filter(|sealing| sealing.is_writing).map(|sealing| sealing.key.clone())
}

impl Journal {
    /// Opens the file of a region; none when there is none. What a torn write left is cut off. A file of the first form is written
    /// anew, and so is one in the clear that is to be sealed.
    pub(super) fn open(
        medium: &Arc<dyn Medium>,
        region: Region,
        merge: Merge,
        sealing: Option<&Sealing>,
    ) -> Result<Option<Journal>> {
        let name = name_of(region);
        let path = medium.path(&name);
        let key = sealing.map(|sealing| &sealing.key);
        let Some(found) = found(&**medium, &name, key)? else { return Ok(None) };
        let Found { id, is_sealed, last, made, end } = found;
        let file = medium.edit(&name).map_err(StorageError::io(&path))?;
        file.set_length(end).and_then(|()| file.sync()).map_err(StorageError::io(&path))?;
        let mut journal = Journal {
            medium: Arc::clone(medium),
            name,
            file,
            pen: Pen { id, key: key.filter(|_| is_sealed).cloned() },
            sealing: sealing.cloned(),
            last,
            bytes: end,
            bytes_then: made.unwrap_or(end),
            merge,
            trouble: None,
            broken: watch::Sender::new(false),
        };
        let is_to_be_sealed = !is_sealed && sealing.is_some_and(|sealing| sealing.is_writing);
        if made.is_none() || is_to_be_sealed {
            journal.write_anew(id)?;
        }
        Ok(Some(journal))
    }

    /// Whether a file that notes this has its acts up to there, and lacks the later ones.
    pub(super) fn knows(&self, note: JournalNote) -> bool {
        self.note().has(note)
    }

    /// How far the file of a region has come; none when there is none. Nothing is changed.
    pub(super) fn look(
        medium: &dyn Medium,
        region: Region,
        key: Option<&SealingKey>,
    ) -> Result<Option<JournalNote>> {
        let found = found(medium, &name_of(region), key)?;
        Ok(found.map(|Found { id, last, .. }| JournalNote { id, number: last }))
    }

    /// Makes an empty one.
    pub(super) fn create(
        medium: &Arc<dyn Medium>,
        region: Region,
        merge: Merge,
        sealing: Option<&Sealing>,
    ) -> Result<Journal> {
        let name = name_of(region);
        let pen = Pen { id: host::random_id().as_u128(), key: key_of_new(sealing) };
        let put = pen.head_bytes().and_then(|mut bytes| {
            bytes.extend(pen.write_bytes(bytes.len() as u64, &[])?);
            medium.put_if_absent(&name, &bytes)
        });
        put.map_err(StorageError::io(medium.path(&name)))?;
        Journal::open(medium, region, merge, sealing)?.ok_or(StorageError::Stopped)
    }

    /// What the file of consents notes once it has everything that is in here.
    pub(super) fn note(&self) -> JournalNote {
        JournalNote { id: self.pen.id, number: self.last }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.medium.path(&self.name)
    }

    /// Appends acts, if there are any. Durable when it returns, with what the file of consents is to note.
    ///
    /// # Errors
    /// Nothing may be acknowledged: also without acts, since what a write that failed has left is not known.
    pub(super) fn append(&mut self, acts: &[Act]) -> Result<JournalNote> {
        if self.trouble == Some(Trouble::Broken) {
            return Err(StorageError::Broken(self.path()));
        }
        if acts.is_empty() {
            return Ok(self.note());
        }
        let mut records = Vec::new();
        let mut last = self.last;
        for Act { programme, digest, act } in acts {
            if act.is_empty() || act.len() > ACT_BYTES_MAX {
                let reason = "an act has no bytes, or too many for the journal".to_owned();
                return Err(StorageError::Consent { path: self.path(), reason });
            }
            last += 1;
            records.extend(record_bytes(&Noted {
                number: last,
                programme: *programme,
                digest: *digest,
                act,
            }));
        }
        let bytes = self.pen.write_bytes(self.bytes, &records).map_err(StorageError::io(self.path()))?;
        if bytes.len() as u64 > WRITE_BYTES_MAX {
            let reason = "there are too many acts for one write of the journal".to_owned();
            return Err(StorageError::Consent { path: self.path(), reason });
        }
        self.write(&bytes)?;
        self.last = last;
        self.trouble = None;
        if self.bytes > KEPT_BYTES.max(self.bytes_then.saturating_mul(2))
            && let Err(error) = self.write_anew(self.pen.id)
        {
            if self.trouble == Some(Trouble::Broken) {
                return Err(error);
            }
            // What was appended is there. It is tried again when the file has grown as much again.
            tracing::warn!(%error, "the journal of withdrawals could not be written anew");
            self.bytes_then = self.bytes;
        }
        Ok(self.note())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let path = self.path();
        if let Err(error) = self.file.write_at(self.bytes, bytes) {
            // What was written of it would stand behind the next record.
            let is_as_before = self.file.set_length(self.bytes).is_ok();
            self.fail(if is_full(&error) && is_as_before { Trouble::Full } else { Trouble::Broken });
            return Err(StorageError::io(path)(error));
        }
        if self.file.sync().is_err() {
            // Whatever its reason: a second sync would not tell whether what was written before is there.
            self.fail(Trouble::Broken);
            return Err(StorageError::Broken(path));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn fail(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
        self.broken.send_replace(trouble == Trouble::Broken);
    }

    /// Shows every record to `visit`, in the order in which they were appended.
    pub(super) fn each(&self, visit: &mut dyn FnMut(Noted<'_>) -> Result<()>) -> Result<()> {
        let path = self.path();
        let source = self.medium.open(&self.name).map_err(StorageError::io(&path))?;
        let mut refused = None;
        let key = self.sealing.as_ref().map(|sealing| &sealing.key);
        let looked = read(Arc::from(source), key, &mut |noted| {
            visit(noted).map_err(|error| {
                refused = Some(error);
                std::io::Error::other("refused")
            })
        });
        match (refused, looked) {
            (Some(error), _) => Err(error),
            (None, Ok(looked)) => whole(looked, path).map(drop),
            (None, Err(error)) => Err(StorageError::io(path)(error)),
        }
    }

    /// Writes the file anew, under this id: of a subject, programme and kind of act one record stays. Its place is taken when it
    /// is whole.
    pub(super) fn write_anew(&mut self, id: u128) -> Result<()> {
        let path = self.path();
        let io = |error| StorageError::io(&path)(error);
        let pen = Pen { id, key: self.pen.key.clone().or_else(|| key_of_new(self.sealing.as_ref())) };
        let passes = u16::try_from(self.bytes / PASS_BYTES + 1).unwrap_or(u16::MAX).min(256);
        let mut new = self.medium.write(&self.name).map_err(io)?;
        let head = pen.head_bytes().map_err(io)?;
        new.write_all(&head).map_err(io)?;
        let mut at = head.len() as u64;
        let mut write = |records: &[u8]| {
            let bytes = pen.write_bytes(at, records)?;
            at += bytes.len() as u64;
            new.write_all(&bytes)
        };
        let mut records = Vec::new();
        for pass in 0..passes {
            for ((programme, digest, _), (number, act)) in &self.merged(pass, passes)? {
                let programme = programme_of(*programme).ok_or_else(|| damaged(path.clone()))?;
                records.extend(record_bytes(&Noted { number: *number, programme, digest: *digest, act }));
                if records.len() >= TOGETHER_BYTES {
                    write(&records).map_err(io)?;
                    records.clear();
                }
            }
        }
        if !records.is_empty() {
            write(&records).map_err(io)?;
        }
        // The end of what the file is made with: from now on it is known when anything before it is missing.
        write(&[]).map_err(io)?;
        // From here on it is not known which of the two has the name.
        let replaced = new.finish().and_then(|bytes| Ok((bytes, self.medium.edit(&self.name)?)));
        let Ok((bytes, file)) = replaced else {
            self.fail(Trouble::Broken);
            return Err(StorageError::Broken(path));
        };
        let before = std::mem::replace(&mut self.file, file);
        let was_clear = self.pen.key.is_none();
        (self.pen, self.bytes, self.bytes_then) = (pen, bytes, bytes);
        if was_clear
            && self.pen.key.is_some()
            && let Err(error) = overwrite(&*before)
        {
            tracing::warn!(file = %path.display(), %error, "what was in the clear could not be overwritten");
        }
        Ok(())
    }

    /// Of the records whose digest falls into a pass, the ones that stay.
    fn merged(&self, pass: u16, passes: u16) -> Result<Kept> {
        let mut kept = Kept::new();
        self.each(&mut |noted| {
            if u16::from(noted.digest[0]) * passes / 256 != pass {
                return Ok(());
            }
            let kind = noted.act.first().copied().unwrap_or_default();
            let key = (programme_byte(noted.programme), noted.digest, kind);
            let act = match kept.get(&key) {
                None => noted.act.into(),
                Some((_, older)) => {
                    let unreadable = |reason| StorageError::Consent { path: self.path(), reason };
                    (self.merge)(older, noted.act).map_err(unreadable)?.into()
                }
            };
            kept.insert(key, (noted.number, act));
            Ok(())
        })?;
        Ok(kept)
    }

    /// What keeps it from being written, if something does. Tries whether there is room first.
    pub(super) fn trouble(&mut self) -> Option<Trouble> {
        if self.trouble == Some(Trouble::Full) && has_room(&*self.medium, &self.name) {
            self.trouble = None;
        }
        self.trouble
    }

    /// True from when something may be lost.
    pub(super) fn broken(&self) -> watch::Receiver<bool> {
        self.broken.subscribe()
    }
}

fn damaged(path: PathBuf) -> StorageError {
    let reason = "is damaged, so that withdrawals would not be known after a restore. Without a copy, move it away: it is written \
                  anew from the records of consent"
        .to_owned();
    StorageError::Damaged { path, reason }
}

#[cfg(test)]
mod tests;

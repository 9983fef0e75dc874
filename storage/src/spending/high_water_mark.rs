//! High-water marks: what was spent on each block, kept where the ledger is not, so that whoever puts an older ledger back
//! gets no budget back.
//!
//! ```text
//! <place>/<region>/budget.witness    what was spent on each block of the region (`mark_form`)
//! <place>/day-limits                 which limits of a subject's day were in force (`day_limits`)
//! ```
//! There are two places: beside the tables that the budget protects, and a directory of its own, which is not put back with
//! the data. Invariants: appended and synced, one batch for each reservation. A torn write was never answered for, and is
//! overwritten; nothing opens when a file is damaged. A file that has grown far beyond what it says is written anew, under
//! another name first, as the limits always are. When there was no room for a write, everything is read again before the next one;
//! after any other failure nothing more is written.
//! Not here: bytes (`mark_form`), what a missing or older file means (`ledger_files`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use shoal_files::{LogFile, Medium, has_room, is_full};
use shoal_schemas::Region;
use tokio::sync::watch;

use super::amount::{Amount, Spent, of};
use super::day_limits::DayLimits;
use super::mark_form::{ENTRY_BYTES, Form, MarkContent, batch_bytes, content, file_bytes};
use super::order::Block;
use crate::error::{Result, StorageError};
use crate::redb_file::Trouble;

/// The file of the limits.
const LIMITS: &str = "day-limits";
/// A file below this size is never written anew.
const KEPT_BYTES: u64 = 1 << 20;

/// The high-water marks of all regions in one place.
pub(super) struct HighWaterMarks {
    medium: Arc<dyn Medium>,
    files: BTreeMap<Region, HighWaterMark>,
    spent: Spent,
    reservation: u64,
    limits: Option<DayLimits>,
    /// What became of the last write.
    trouble: Option<Trouble>,
    /// There was no room, and nothing was written since.
    was_full: bool,
    broken: watch::Sender<bool>,
}

struct HighWaterMark {
    name: String,
    file: Box<dyn LogFile>,
    bytes: u64,
    form: Form,
}

impl HighWaterMarks {
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<HighWaterMarks> {
        let (mut files, mut spent, mut reservation) = (BTreeMap::new(), Spent::new(), 0);
        for region in Region::ALL {
            if let Some((mark, said)) = HighWaterMark::open(&*medium, *region)? {
                files.insert(*region, mark);
                spent.extend(said.spent);
                reservation = said.reservation.max(reservation);
            }
        }
        let limits = limits(&*medium)?;
        let broken = watch::Sender::new(false);
        Ok(HighWaterMarks {
            medium,
            files,
            spent,
            reservation,
            limits,
            trouble: None,
            was_full: false,
            broken,
        })
    }

    /// The limits of a subject's day; none when there is no file.
    pub(super) fn limits(&self) -> Option<&DayLimits> {
        self.limits.as_ref()
    }

    /// The file of the limits.
    pub(super) fn limits_path(&self) -> PathBuf {
        self.medium.path(LIMITS)
    }

    /// Writes the limits down, unless the file says just that. Durable when it returns.
    pub(super) fn note_limits(&mut self, limits: &DayLimits) -> Result<()> {
        self.check()?;
        if self.limits.as_ref() == Some(limits) {
            return Ok(());
        }
        let put = self.medium.put(LIMITS, &limits.to_bytes()).map_err(StorageError::io(self.limits_path()));
        self.noted(put)?;
        self.limits = Some(limits.clone());
        Ok(())
    }

    /// Remembers what became of a write.
    fn noted(&mut self, written: Result<()>) -> Result<()> {
        if let Err(error) = &written {
            self.trouble = match error {
                StorageError::Io { source, .. } if is_full(source) => Some(Trouble::Full),
                _ => Some(Trouble::Broken),
            };
            self.broken.send_replace(self.trouble == Some(Trouble::Broken));
        }
        self.was_full = self.trouble == Some(Trouble::Full);
        written
    }

    /// What keeps them from being written, if something does. Tries to go on first.
    pub(super) fn trouble(&mut self) -> Option<Trouble> {
        let _ = self.check();
        if self.was_full && self.trouble.is_none() && has_room(&*self.medium, "budget") {
            self.was_full = false;
        }
        self.trouble.or(self.was_full.then_some(Trouble::Full))
    }

    /// True from when something may be lost.
    pub(super) fn broken(&self) -> watch::Receiver<bool> {
        self.broken.subscribe()
    }

    /// What all of them say. What comes from a file of the first form has no delta.
    pub(super) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The largest number of a reservation that they know.
    pub(super) fn reservation(&self) -> u64 {
        self.reservation
    }

    /// Which form the file of a region has; none when there is no file.
    pub(super) fn form(&self, region: Region) -> Option<Form> {
        self.files.get(&region).map(|mark| mark.form)
    }

    /// The file of a region.
    pub(super) fn path(&self, region: Region) -> PathBuf {
        self.medium.path(&name_of(region))
    }

    /// Whether anything can still be written down. After a full disk all is read again, so that nothing is known but what the
    /// files say.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.trouble {
            None => Ok(()),
            Some(Trouble::Broken) => Err(StorageError::Stopped),
            Some(Trouble::Full) => {
                let again = HighWaterMarks::open(Arc::clone(&self.medium))?;
                *self = HighWaterMarks { broken: self.broken.clone(), was_full: true, ..again };
                Ok(())
            }
        }
    }

    /// Makes the files that are missing or of the first form, with these numbers and what they said; and raises the
    /// others. Durable when it returns.
    pub(super) fn complete(&mut self, spent: &Spent, reservation: u64) -> Result<()> {
        self.check()?;
        let made = self.make(spent, reservation);
        self.noted(made)?;
        self.raise(spent, reservation)
    }

    fn make(&mut self, spent: &Spent, reservation: u64) -> Result<()> {
        self.reservation = self.reservation.max(reservation);
        for region in Region::ALL {
            if self.form(*region) == Some(Form::Second) {
                continue;
            }
            for (at, amount) in spent.iter().filter(|((block, _), _)| block.region == *region) {
                let known = self.spent.entry(*at).or_default();
                *known = known.or_more(*amount);
            }
            let mark = self.written(*region)?;
            self.files.insert(*region, mark);
        }
        Ok(())
    }

    /// Writes down every number that is above its high-water mark. Durable when it returns.
    pub(super) fn raise(&mut self, spent: &Spent, reservation: u64) -> Result<()> {
        self.check()?;
        let raised = self.write(spent, reservation);
        self.noted(raised)
    }

    fn write(&mut self, spent: &Spent, reservation: u64) -> Result<()> {
        let mut fresh: BTreeMap<Region, Spent> = BTreeMap::new();
        for (at, amount) in spent {
            let known = of(&self.spent, *at);
            if !known.covers(*amount) {
                fresh.entry(at.0.region).or_default().insert(*at, known.or_more(*amount));
            }
        }
        self.reservation = self.reservation.max(reservation);
        for (region, fresh) in fresh {
            self.spent.extend(fresh.iter().map(|(at, amount)| (*at, *amount)));
            let live = self.of_region(region).count().saturating_mul(ENTRY_BYTES) as u64;
            let is_short = |mark: &HighWaterMark| mark.bytes <= KEPT_BYTES.max(live.saturating_mul(4));
            let mark = match self.files.remove(&region) {
                Some(mark) if mark.form == Form::Second && is_short(&mark) => {
                    mark.appended(&*self.medium, &batch_bytes(&fresh, self.reservation))?
                }
                _ => self.written(region)?,
            };
            self.files.insert(region, mark);
        }
        Ok(())
    }

    fn of_region(&self, region: Region) -> impl Iterator<Item = (&(Block, u8), &Amount)> {
        self.spent.iter().filter(move |((block, _), _)| block.region == region)
    }

    /// The file of a region, written anew with all that is known.
    fn written(&self, region: Region) -> Result<HighWaterMark> {
        let all: Spent = self.of_region(region).map(|(at, amount)| (*at, *amount)).collect();
        HighWaterMark::create(&*self.medium, name_of(region), &file_bytes(&all, self.reservation))
    }
}

fn limits(medium: &dyn Medium) -> Result<Option<DayLimits>> {
    let path = medium.path(LIMITS);
    let bytes = match medium.read(LIMITS) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(StorageError::io(&path))?,
    };
    let reason = || "is damaged: how much one subject may have on a day cannot be known".to_owned();
    DayLimits::of_bytes(&bytes)
        .map(Some)
        .ok_or_else(|| StorageError::HighWaterMark { path, reason: reason() })
}

fn name_of(region: Region) -> String {
    format!("{}/budget.witness", region.as_str().to_ascii_lowercase())
}

impl HighWaterMark {
    /// None when there is no file.
    fn open(medium: &dyn Medium, region: Region) -> Result<Option<(HighWaterMark, MarkContent)>> {
        let name = name_of(region);
        let path = medium.path(&name);
        let bytes = match medium.read(&name) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StorageError::io(&path))?,
        };
        let Some(said) = content(&bytes, region) else {
            let reason = "is damaged: what was spent on this region's days cannot be known".to_owned();
            return Err(StorageError::HighWaterMark { path, reason });
        };
        let file = medium.edit(&name).map_err(StorageError::io(&path))?;
        let good = said.good as u64;
        file.set_length(good).and_then(|()| file.sync()).map_err(StorageError::io(&path))?;
        Ok(Some((HighWaterMark { name, file, bytes: good, form: said.form }, said)))
    }

    /// A file with these bytes, in place of one that may be there.
    fn create(medium: &dyn Medium, name: String, bytes: &[u8]) -> Result<HighWaterMark> {
        let file = medium.put(&name, bytes).and_then(|()| medium.edit(&name));
        let file = file.map_err(StorageError::io(medium.path(&name)))?;
        Ok(HighWaterMark { name, file, bytes: bytes.len() as u64, form: Form::Second })
    }

    /// The same with a batch more.
    fn appended(mut self, medium: &dyn Medium, batch: &[u8]) -> Result<HighWaterMark> {
        let path = medium.path(&self.name);
        self.file.write_at(self.bytes, batch).map_err(StorageError::io(&path))?;
        // Whatever its reason: what was written before may be gone, and a second sync would not tell.
        self.file.sync().map_err(|_| StorageError::Broken(path))?;
        self.bytes = self.bytes.saturating_add(batch.len() as u64);
        Ok(self)
    }
}

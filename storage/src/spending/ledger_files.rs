//! The ledger's file and its high-water marks, read together before anything is granted.
//!
//! ```text
//! read -> no doubt: raise the ledger, make the marks that have yet to be made
//!      -> a doubt: nothing, or on request the same with the most that any of the files says
//! ```
//! The high-water marks are written before the ledger, so that a ledger may be behind them (a crash, an older copy): it
//! is raised to them. A high-water mark is never behind the ledger, and never missing once the ledger has noted that it was
//! made: then somebody has put an older one back or taken it away, and what was spent may not be known any more. That is a
//! *doubt*, and nothing is granted until somebody accepts it.
//!
//! The limits of a subject's day (`day_limits`) lie in the same three places and are kept to the same rules: written to the
//! marks' directory, beside the tables, and then to the ledger; missing or older where they were before is a doubt.
//!
//! Marks are made when a ledger is new, and once for a ledger of an earlier version. Those of the directory of their own
//! come first: while one of them is missing, no file beside the tables has this version's form. So a missing one beside a
//! file of this form is a doubt also when the ledger is one of before.
//! Not here: the audit, which is compared by whoever opens (`shoal-server`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoal_files::{Disk, Lock, Medium, Memory, Objects, Sealing};
use shoal_schemas::Region;

use super::amount::{Amount, DELTA_ATTO_BEFORE, DELTA_ATTO_PER_NANO_MAX, Spent, of};
use super::checkpoint::Checkpoint;
use super::day_limits::DayLimits;
use super::high_water_mark::HighWaterMarks;
use super::ledger_book::Book;
use super::mark_form::Form;
use super::order::Block;
use super::stored_days::last_of_logs;
use crate::error::{Result, StorageError};
use crate::tables::last_stored_day;

/// The name of the lock of the directory of high-water marks.
const LOCK: &str = ".lock";
/// Of what was spent and nobody knows from which pool: it counts for the block, and for no pool.
const POOL_UNKNOWN: u8 = u8::MAX;

/// A file that is missing or older than it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it: completes a sentence that begins with the file.
    pub reason: String,
}

/// What was possibly spent on a block, and no file of the ledger says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossiblySpent {
    /// The block.
    pub block: Block,
    /// Billionths of rho.
    pub nano: u64,
}

/// Ledger and high-water marks that say the same.
pub(super) struct Joined {
    pub(super) book: Book,
    /// Beside the tables, and in the directory of their own.
    pub(super) marks: [HighWaterMarks; 2],
    /// None before they were kept.
    pub(super) limits: Option<DayLimits>,
    /// The last day of which any event may be stored; none when nothing is.
    pub(super) last_stored: Option<i32>,
    /// Of the directory of their own.
    pub(super) lock: Option<Lock>,
}

/// Ledger and high-water marks as they are on the disk.
pub struct LedgerFiles {
    /// None when there is no file.
    book: Option<Book>,
    book_at: PathBuf,
    sealing: Option<Sealing>,
    /// Beside the tables, and in the directory of their own.
    marks: [HighWaterMarks; 2],
    lock: Option<Lock>,
    doubts: Vec<Doubt>,
    /// What ledger and marks say, of each number the larger one.
    spent: Spent,
    /// The newest record of any of them.
    limits: Option<DayLimits>,
    /// The last day of which any event may be stored; none when nothing is.
    last_stored: Option<i32>,
    /// Numbers of blocks and pools in which the ledger is behind.
    raised: usize,
    /// Whether the ledger has noted that the marks were made.
    is_marked: bool,
}

impl LedgerFiles {
    /// Reads the ledger below a root and the high-water marks of the root and of a directory of their own. The tables are below the root.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has them open, [`StorageError::Format`] for another version's file,
    /// [`StorageError::Database`] and [`StorageError::HighWaterMark`] for a file that cannot be understood.
    pub fn read(root: &Path, marks_dir: &Path) -> Result<LedgerFiles> {
        let last = last_stored_day(&Disk::new(root)).map_err(StorageError::io(root))?;
        LedgerFiles::read_sealed(root, marks_dir, None, last)
    }

    /// [`LedgerFiles::read`] with a ledger that is sealed, or will be, and with the last day of which the tables have files, wherever they
    /// are. The marks say nothing about anybody, and are in the clear.
    ///
    /// # Errors
    /// As [`LedgerFiles::read`], and [`StorageError::Sealed`] when the ledger is sealed and there is no key.
    pub fn read_sealed(
        root: &Path,
        marks_dir: &Path,
        sealing: Option<&Sealing>,
        last_of_tables: Option<i32>,
    ) -> Result<LedgerFiles> {
        let apart = Disk::new(marks_dir).private();
        let locked = apart.make().and_then(|()| apart.try_lock(LOCK));
        let lock = locked.map_err(StorageError::io(marks_dir.join(LOCK)))?;
        let Some(lock) = lock else {
            return Err(StorageError::Locked(marks_dir.to_path_buf()));
        };
        let beside = Arc::new(Disk::new(root));
        let files = LedgerFiles::read_with(root, beside, Arc::new(apart), sealing, last_of_tables)?;
        Ok(LedgerFiles { lock: Some(lock), ..files })
    }

    /// [`LedgerFiles::read`] with high-water marks on other media, for fault injection.
    pub(super) fn read_with(
        root: &Path,
        beside: Arc<dyn Medium>,
        apart: Arc<dyn Medium>,
        sealing: Option<&Sealing>,
        last_of_tables: Option<i32>,
    ) -> Result<LedgerFiles> {
        let dir = root.join("ledger");
        let folder = Disk::new(&dir);
        folder.make().map_err(StorageError::io(&dir))?;
        let book_at = dir.join("budget.redb");
        let book = match book_at.try_exists().map_err(StorageError::io(&book_at))? {
            true => Some(Book::open(&book_at, sealing)?),
            false => None,
        };
        let marks = [HighWaterMarks::open(beside)?, HighWaterMarks::open(apart)?];
        let files = LedgerFiles::compared(book, book_at, marks, last_of_tables)?;
        // Events that are in no table yet are in a log.
        let last_stored = files.last_stored.max(last_of_logs(root)?);
        Ok(LedgerFiles { last_stored, sealing: sealing.cloned(), ..files })
    }

    /// What forgets everything at the end.
    pub(super) fn in_memory(syncs: Option<u64>) -> Result<LedgerFiles> {
        let marks = || HighWaterMarks::open(Arc::new(Memory::new()));
        LedgerFiles::compared(Some(Book::in_memory(syncs)?), PathBuf::new(), [marks()?, marks()?], None)
    }

    fn compared(
        book: Option<Book>,
        book_at: PathBuf,
        marks: [HighWaterMarks; 2],
        last_stored: Option<i32>,
    ) -> Result<LedgerFiles> {
        let known = book.as_ref().map(Book::all_spent).transpose()?.unwrap_or_default();
        let limits = book.as_ref().map(Book::day_limits).transpose()?.flatten();
        let mut files = LedgerFiles {
            spent: known.clone(),
            limits,
            last_stored,
            raised: 0,
            is_marked: false,
            doubts: Vec::new(),
            lock: None,
            book,
            book_at,
            sealing: None,
            marks,
        };
        files.find_doubts(&known, last_stored.is_some())?;
        files.find_doubts_of_limits();
        files.find_larger(&known);
        Ok(files)
    }

    /// What is missing, or older than the ledger.
    fn find_doubts(&mut self, known: &Spent, has_events: bool) -> Result<()> {
        let mut made = Vec::new();
        for region in Region::ALL {
            let is_made = self.book.as_ref().map(|book| book.has_marks(*region)).transpose()?;
            made.push((*region, is_made.unwrap_or(false)));
        }
        self.is_marked = made.iter().all(|(_, is_made)| *is_made);
        let is_current = |region: &Region| self.marks[0].form(*region) == Some(Form::Second);
        let was_made_before = Region::ALL.iter().any(is_current);
        let mut doubts = Vec::new();
        for (region, is_made) in made {
            for (at, marks) in self.marks.iter().enumerate() {
                let mut doubt = |reason: &str| {
                    doubts.push(Doubt { path: marks.path(region), reason: reason.to_owned() });
                };
                let is_missing = marks.form(region).is_none();
                // The ledger's own absence is no doubt while marks are there that were written before it.
                let must_be_there = match &self.book {
                    Some(_) => is_made || (at == 1 && was_made_before),
                    None => at == 1 && (was_made_before || has_events),
                };
                match is_missing {
                    true if must_be_there => doubt("is missing, and it was there before"),
                    false if is_made && is_behind(marks, known, region) => {
                        doubt("is older than the ledger: it lacks what the ledger knows to be spent");
                    }
                    _ => {}
                }
            }
        }
        self.doubts = doubts;
        Ok(())
    }

    /// What is missing of the limits, or older than the ledger's; and takes the newest. Without any, there is no doubt: what
    /// is stored then counts as nobody knows it.
    fn find_doubts_of_limits(&mut self) {
        let known = self.limits.take();
        let is_beside = self.marks[0].limits().is_some();
        let mut newest = known.clone();
        for (at, marks) in self.marks.iter().enumerate() {
            let mut doubt = |reason: &str| {
                self.doubts.push(Doubt { path: marks.limits_path(), reason: reason.to_owned() });
            };
            match (marks.limits(), &known) {
                (None, known) if known.is_some() || (at == 1 && is_beside) => {
                    doubt("is missing, and it was there before");
                }
                (Some(said), Some(known)) if said.is_behind(known) => {
                    doubt("is older than the ledger: it lacks a limit that was in force");
                }
                _ => {}
            }
            newest = match (newest, marks.limits().cloned()) {
                (Some(one), Some(other)) => Some(one.or_newer(other)),
                (one, other) => one.or(other),
            };
        }
        self.limits = newest;
    }

    /// Takes of each number the larger one.
    fn find_larger(&mut self, known: &Spent) {
        for marks in &self.marks {
            for (at, said) in marks.spent() {
                let before = of(known, *at);
                let mut said = *said;
                if marks.form(at.0.region) == Some(Form::First) && said.nano > before.nano {
                    // How many charges these were is not known. No charge is below a billionth.
                    let charges = said.nano - before.nano;
                    let more = charges.saturating_mul(DELTA_ATTO_BEFORE);
                    said.delta_atto = before.delta_atto.saturating_add(more);
                }
                let larger = self.spent.entry(*at).or_default();
                *larger = larger.or_more(said);
            }
        }
        let is_behind = |(at, amount): &(&(Block, u8), &Amount)| !of(known, **at).covers(**amount);
        self.raised = self.spent.iter().filter(is_behind).count();
    }

    /// What is missing or older than it must be.
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Adds a doubt that others have.
    pub fn doubt(&mut self, doubt: Doubt) {
        self.doubts.push(doubt);
    }

    /// Whether the ledger has noted that the marks were made. It has not when it is new, or an earlier version's.
    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Whether a file of the marks' own directory has yet to be made.
    pub fn makes_marks(&self) -> bool {
        Region::ALL.iter().any(|region| self.marks[1].form(*region).is_none())
    }

    /// Whether anything was ever spent.
    pub fn has_spending(&self) -> bool {
        !self.spent.is_empty()
    }

    /// Numbers of blocks and pools in which the ledger is behind its high-water marks.
    pub fn raised(&self) -> usize {
        self.raised
    }

    /// The number of the last reservation that any of the files knows.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the ledger cannot be read.
    pub fn last_reservation(&self) -> Result<u64> {
        let known = self.book.as_ref().map(Book::last_reservation).transpose()?.unwrap_or(0);
        Ok(self.marks.iter().map(HighWaterMarks::reservation).fold(known, u64::max))
    }

    /// Where the audit was when it was compared with this ledger last; none when it never was.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the ledger cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        Ok(self.book.as_ref().map(Book::checkpoint).transpose()?.flatten())
    }

    /// Ledger and marks that say the same; those that have yet to be made are made.
    ///
    /// # Errors
    /// [`StorageError::HighWaterMark`] when there is a doubt. Nothing is changed then.
    pub(super) fn join(self) -> Result<Joined> {
        if let Some(Doubt { path, reason }) = self.doubts.first() {
            let (path, reason) = (path.clone(), reason.clone());
            return Err(StorageError::HighWaterMark { path, reason });
        }
        let last = self.last_reservation()?;
        self.joined(last)
    }

    /// The same in spite of every doubt, with what was possibly spent besides. A limit of a subject's day of which no file
    /// knows any more may have been in force, so that what is stored today is counted from now on.
    ///
    /// # Errors
    /// When a file cannot be read or written. It may be repeated.
    pub(super) fn join_accepting(
        mut self,
        possible: &[PossiblySpent],
        last: u64,
        today: i32,
    ) -> Result<Joined> {
        if let (Some(limits), Some(stored)) = (&self.limits, self.last_stored) {
            self.limits = Some(limits.counted_to(stored.max(today)));
        }
        for PossiblySpent { block, nano } in possible {
            let known = self.spent.entry((*block, POOL_UNKNOWN)).or_default();
            let delta_atto = nano.saturating_mul(DELTA_ATTO_PER_NANO_MAX);
            *known = known.plus(Amount { nano: *nano, delta_atto });
        }
        let last = self.last_reservation()?.max(last);
        self.joined(last)
    }

    /// Makes ledger and marks say the same. The marks come first, and of them those of their own directory.
    fn joined(self, last: u64) -> Result<Joined> {
        let LedgerFiles { book, book_at, sealing, marks, lock, spent, limits, last_stored, .. } = self;
        let [mut beside, mut apart] = marks;
        for marks in [&mut apart, &mut beside] {
            // First: once the rest is written there may be no doubt any more, and it is not repeated.
            limits.as_ref().map_or(Ok(()), |limits| marks.note_limits(limits))?;
            marks.complete(&spent, last)?;
        }
        let book = match book {
            Some(book) => book,
            None => {
                let book = Book::open(&book_at, sealing.as_ref())?;
                // The database makes its file without syncing the name.
                let dir = book_at.parent().unwrap_or(Path::new("."));
                Disk::new(dir).sync("").map_err(StorageError::io(dir))?;
                book
            }
        };
        book.raise(&spent, last)?;
        limits.as_ref().map_or(Ok(()), |limits| book.note_day_limits(limits))?;
        Ok(Joined { book, marks: [beside, apart], limits, last_stored, lock })
    }
}

/// Whether marks lack something of a region that the ledger knows.
fn is_behind(marks: &HighWaterMarks, known: &Spent, region: Region) -> bool {
    let mut own = known.iter().filter(|((block, _), _)| block.region == region);
    own.any(|(at, amount)| !of(marks.spent(), *at).covers(*amount))
}

//! The ledger of privacy budgets: what was spent on which block, on what, and the sealed answers it bought.
//!
//! ```text
//! <root>/ledger/budget.redb              what was spent, on which released part, and every sealed answer (see `book`)
//! <root>/<region>/budget.witness         what was spent on each block of the region, beside its tables
//! <marks dir>/<region>/budget.witness    the same again, in a directory of its own (see `high_water_mark`)
//! <root>/day-limits, <marks dir>/day-limits   how many rows of one subject stored days may hold (see `day_limits`)
//!
//! reserve: book -> both high-water marks, synced -> ledger, committed -> granted
//! ```
//! Invariants:
//! - Spending only ever grows. Nothing here subtracts, and nothing is given back.
//! - [`BudgetLedger::reserve`] is all or nothing, and durable in both high-water marks and in the ledger when it returns; no
//!   pool and no block goes above its cap, of rho or of delta.
//! - A [`Reservation`] seals once: it is not `Clone`, and only the latest reservation of a released part can seal it.
//! - What was spent on a block is the most that ledger or a high-water mark says, so that an older copy of the ledger
//!   brings no budget back; its missing answers are paid again.
//! - A high-water mark is never behind the ledger. One that is, or that is missing, stops everything until somebody
//!   accepts it ([`LedgerFiles`]). The same holds for the limits of a subject's day.
//! - A file that cannot be understood is an error of [`BudgetLedger::open`], never an empty ledger.
//! - After a full disk, files are opened anew and gone on with; after any other failure of one nothing is reserved any more
//!   until the next start, and the process must end ([`BudgetLedger::broken`]).
//!
//! The ledger may be sealed ([`LedgerFiles::read_sealed`]). Marks and limits say nothing about anybody, and are in the clear.
//!
//! Blocking calls: async callers use a blocking thread. Not here: prices, epochs, caps and what an answer says
//! (`shoal-query`); erasure, late data and compaction, which never touch these files; the audit (`shoal-audit`).

mod amount;
mod book;
mod booking;
mod checkpoint;
mod day_limits;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod high_water_mark;
mod ledger_book;
mod ledger_files;
mod mark_form;
mod order;
mod stored_days;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use shoal_files::{Lock, Medium};

use self::booking::Booked;
use self::high_water_mark::HighWaterMarks;
use self::ledger_book::Book;
use self::ledger_files::Joined;
use crate::error::{Result, StorageError};
use crate::redb_file::{Trouble, broken};

pub use self::checkpoint::Checkpoint;
pub use self::day_limits::DayLimits;
pub use self::ledger_files::{Doubt, LedgerFiles, PossiblySpent};
pub use self::order::{Block, Charge, Found, Order, PartId, PartOrder, Shortage, SpendingCaps};
pub use self::view::{BlockSpending, SpendingFilter, SpendingItem};

/// Paid, and not sealed yet. Whoever holds it may seal these released parts, once.
#[derive(Debug)]
pub struct Reservation {
    number: u64,
    parts: BTreeSet<PartId>,
}

impl Reservation {
    /// Its number: no other reservation of the ledger has it.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// What became of an order.
#[derive(Debug)]
pub enum Reserved {
    /// It is charged, durably.
    Granted(Reservation),
    /// Nothing is charged: these blocks have too little left.
    Lacking(Vec<Shortage>),
    /// Nothing is charged: one of the released parts is sealed already.
    Sealed,
}

/// The ledger of one root. Clones share it; one process has it open.
#[derive(Clone)]
pub struct BudgetLedger {
    inner: Arc<Inner>,
}

struct Inner {
    book: Book,
    /// Beside the tables, and in the directory of their own.
    marks: Mutex<[HighWaterMarks; 2]>,
    limits: Mutex<Option<DayLimits>>,
    /// The last day of which any event may have been stored when it was opened; none when nothing was.
    last_stored: Option<i32>,
    /// Of the directory of their own.
    _lock: Option<Lock>,
}

impl BudgetLedger {
    /// Opens the ledger below a root, or makes it, with the high-water marks of the root and of a directory of their own.
    /// Reservations that were not sealed stay as they are: charged, and without an answer.
    ///
    /// # Errors
    /// As [`LedgerFiles::read`] and [`BudgetLedger::of`].
    pub fn open(root: &Path, marks_dir: &Path) -> Result<BudgetLedger> {
        let ledger = BudgetLedger::of(LedgerFiles::read(root, marks_dir)?)?;
        ledger.settle(None)?;
        Ok(ledger)
    }

    /// The ledger of these files, raised to its high-water marks; those that have yet to be made are made. It is to be
    /// settled ([`BudgetLedger::settle`]) when that has been noted elsewhere.
    ///
    /// # Errors
    /// [`StorageError::HighWaterMark`] when there is a doubt. Nothing is changed then.
    pub fn of(files: LedgerFiles) -> Result<BudgetLedger> {
        Ok(BudgetLedger::over(files.join()?))
    }

    /// The ledger of these files in spite of every doubt: the most that any of them says is spent, and so is what was
    /// possibly spent besides. Numbers of reservations go on after `last`. A limit of a subject's day may be lost as well, so
    /// that how much of one subject the days hold that are stored up to today is counted. To be settled, too.
    ///
    /// # Errors
    /// When a file cannot be read or written. It may be repeated.
    pub fn accepting(
        files: LedgerFiles,
        possible: &[PossiblySpent],
        last: u64,
        today: i32,
    ) -> Result<BudgetLedger> {
        Ok(BudgetLedger::over(files.join_accepting(possible, last, today)?))
    }

    /// A ledger that forgets everything at the end: for tests and examples.
    ///
    /// # Errors
    /// [`StorageError::Database`] when there is no memory for it.
    pub fn in_memory() -> Result<BudgetLedger> {
        BudgetLedger::of(LedgerFiles::in_memory(None)?)
    }

    /// As [`BudgetLedger::in_memory`], but after so many syncs every further one fails: for tests of what fails with it.
    ///
    /// # Errors
    /// [`StorageError::Database`] when it fails already at the start.
    pub fn in_memory_until(syncs: u64) -> Result<BudgetLedger> {
        BudgetLedger::of(LedgerFiles::in_memory(Some(syncs))?)
    }

    fn over(files: Joined) -> BudgetLedger {
        let Joined { book, marks, limits, last_stored, lock } = files;
        let (marks, limits) = (Mutex::new(marks), Mutex::new(limits));
        BudgetLedger { inner: Arc::new(Inner { book, marks, limits, last_stored, _lock: lock }) }
    }

    /// Notes that the high-water marks have been made, so that a missing one is known from now on; and how far the audit
    /// has been compared with the ledger.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be written.
    pub fn settle(&self, checkpoint: Option<&Checkpoint>) -> Result<()> {
        self.inner.book.settle(checkpoint)
    }

    /// Notes the limit of a subject's day that is in force from today on. Before it is noted, nothing may come in under it,
    /// and it is noted before anything is stored since the ledger was opened. Days that are stored and are later than today,
    /// since a clock was or is wrong, came in under the limits of before as well.
    ///
    /// # Errors
    /// Any error means that it may or may not be noted.
    pub fn note_day_limit(&self, limit: u64, today: i32) -> Result<()> {
        // Held to the end, as by whoever reserves.
        let mut both = self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.inner.last_stored.map(|stored| stored.max(today));
        let noted = match self.day_limits() {
            Some(before) => before.changed_to(limit, stored.unwrap_or(today)),
            None => Some(DayLimits::beginning(limit, stored)),
        };
        let Some(noted) = noted else { return Ok(()) };
        // Those of the directory of their own come first, and the ledger last.
        both.iter_mut().rev().try_for_each(|marks| marks.note_limits(&noted))?;
        self.inner.book.note_day_limits(&noted)?;
        *self.inner.limits.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted);
        Ok(())
    }

    /// Which limits of a subject's day were in force; none when none was ever noted.
    pub fn day_limits(&self) -> Option<DayLimits> {
        self.inner.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a copy of the file as it is now, under this name in a place where no other process looks. Charges go on meanwhile.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_to(&self, medium: &Arc<dyn Medium>, name: &str) -> Result<()> {
        self.inner.book.copy_to(medium, name)
    }

    /// What keeps it from being written, if something does. Tries to go on first.
    pub fn trouble(&self) -> Option<Trouble> {
        let mut both = self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let of_marks = both.iter_mut().filter_map(HighWaterMarks::trouble);
        let all: Vec<Trouble> = of_marks.chain(self.inner.book.file().trouble()).collect();
        all.iter().find(|trouble| **trouble == Trouble::Broken).or(all.first()).copied()
    }

    /// Returns when a file has failed so that something may be lost. The process must end then.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<> {
        let both = self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = both.iter().map(|marks| Box::pin(broken(marks.broken()))).collect();
        all.push(Box::pin(broken(self.inner.book.file().broken())));
        async move {
            futures::future::select_all(all).await;
        }
    }

    /// What is known about each of these released parts, in their order.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub fn look_up(&self, ids: &[PartId]) -> Result<Vec<Found>> {
        self.inner.book.look_up(ids)
    }

    /// Charges every block of every released part, or none. Durable when it returns.
    ///
    /// # Errors
    /// Any error means that nothing may be run: it may or may not be charged.
    pub fn reserve(&self, order: &Order) -> Result<Reserved> {
        // Held to the end: the ledger then never says what a high-water mark does not.
        let mut both = self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner);
        both.iter_mut().try_for_each(HighWaterMarks::check)?;
        let booking = match self.inner.book.book(order)? {
            Booked::Granted(booking) => booking,
            Booked::Lacking(lacking) => return Ok(Reserved::Lacking(lacking)),
            Booked::Sealed => return Ok(Reserved::Sealed),
        };
        for marks in both.iter_mut() {
            marks.raise(&booking.spent, booking.number)?;
        }
        let number = booking.number;
        self.inner.book.commit(*booking)?;
        let parts = order.parts.iter().map(|part| part.id).collect();
        Ok(Reserved::Granted(Reservation { number, parts }))
    }

    /// Keeps the answers of a reservation for ever: every released part of it, together. Durable when it returns.
    ///
    /// # Errors
    /// [`StorageError::Stale`] when an answer is not one of this reservation's released parts, one is missing, or a
    /// later reservation has taken a released part over. On any error nothing may be answered.
    pub fn seal(&self, reservation: Reservation, answers: &[(PartId, Vec<u8>)]) -> Result<()> {
        let given: BTreeSet<PartId> = answers.iter().map(|(id, _)| *id).collect();
        if given != reservation.parts || given.len() != answers.len() {
            return Err(StorageError::Stale);
        }
        self.inner.book.seal(reservation.number, answers)
    }

    /// What was spent on each of these blocks, by pool, in billionths of rho; pools without spending are not there.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub fn spent(&self, blocks: &[Block]) -> Result<Vec<BTreeMap<u8, u64>>> {
        self.inner.book.by_pool(book::SPENT, blocks)
    }

    /// What was spent of the delta of each of these blocks, by pool, in quintillionths (10^-18).
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub fn delta_spent(&self, blocks: &[Block]) -> Result<Vec<BTreeMap<u8, u64>>> {
        self.inner.book.by_pool(book::DELTA, blocks)
    }

    /// What was spent on the blocks of a filter, and on what; blocks without spending are not there.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub fn spending(&self, filter: &SpendingFilter) -> Result<Vec<BlockSpending>> {
        self.inner.book.spending(filter)
    }
}

//! The ledger of privacy budgets: what was spent on which block, on what, and the sealed answers it bought.
//!
//! ```text
//! <root>/ledger/budget.redb         what was spent, on which released part, and every sealed answer (see `book`)
//! <root>/<region>/budget.witness    what was spent on each block of the region, beside its tables (see `high_water_mark`)
//! ```
//! Invariants:
//! - Spending only ever grows. Nothing here subtracts, and nothing is given back.
//! - [`BudgetLedger::reserve`] is all or nothing, and durable in the ledger and in every high-water mark when it
//!   returns; no pool and no block goes above its cap.
//! - A [`Reservation`] seals once: it is not `Clone`, and only the latest reservation of a released part can seal it.
//! - What was spent on a block is the larger of what ledger and high-water mark say, so that an older copy of the
//!   ledger beside newer data brings no budget back; its missing answers are paid again.
//! - A file that cannot be understood is an error of [`BudgetLedger::open`], never an empty ledger.
//! - After a high-water mark could not be written, nothing is reserved any more until the next start.
//!
//! Blocking calls: async callers use a blocking thread. Not here: prices, epochs, caps and what an answer says
//! (`shoal-query`); erasure, late data and compaction, which never touch these files.

mod book;
mod faulty;
mod high_water_mark;
mod order;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use shoal_files::{Disk, Medium, Memory, Objects};

use self::book::Book;
use self::high_water_mark::HighWaterMarks;
use crate::error::{Result, StorageError};

pub use self::order::{Block, Charge, Found, Order, PartId, PartOrder, Shortage, SpendingCaps};
pub use self::view::{BlockSpending, SpendingFilter, SpendingItem};

/// Paid, and not sealed yet. Whoever holds it may seal these released parts, once.
#[derive(Debug)]
pub struct Reservation {
    number: u64,
    parts: BTreeSet<PartId>,
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
    marks: Mutex<HighWaterMarks>,
}

impl BudgetLedger {
    /// Opens the ledger below a root, or makes it. Reservations that were not sealed are lost from here on: charged, and
    /// without an answer.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another process has it open, [`StorageError::Format`] for another version's file,
    /// [`StorageError::Database`] and [`StorageError::HighWaterMark`] for a file that cannot be understood.
    pub fn open(root: &Path) -> Result<BudgetLedger> {
        BudgetLedger::open_with(root, Arc::new(Disk::new(root)))
    }

    /// [`BudgetLedger::open`] with high-water marks that lie elsewhere, for fault injection.
    fn open_with(root: &Path, marks: Arc<dyn Medium>) -> Result<BudgetLedger> {
        let dir = root.join("ledger");
        let folder = Disk::new(&dir);
        folder.make().map_err(StorageError::io(&dir))?;
        let book = Book::open(&dir.join("budget.redb"))?;
        // The database makes its file without syncing the name.
        folder.sync("").map_err(StorageError::io(&dir))?;
        BudgetLedger::reconciled(book, HighWaterMarks::open(marks)?)
    }

    /// A ledger that forgets everything at the end: for tests and examples.
    ///
    /// # Errors
    /// [`StorageError::Database`] when there is no memory for it.
    pub fn in_memory() -> Result<BudgetLedger> {
        BudgetLedger::reconciled(Book::in_memory(None)?, HighWaterMarks::open(Arc::new(Memory::new()))?)
    }

    /// As [`BudgetLedger::in_memory`], but after so many syncs every further one fails: for tests of what fails with it.
    ///
    /// # Errors
    /// [`StorageError::Database`] when it fails already at the start.
    pub fn in_memory_until(syncs: u64) -> Result<BudgetLedger> {
        BudgetLedger::reconciled(
            Book::in_memory(Some(syncs))?,
            HighWaterMarks::open(Arc::new(Memory::new()))?,
        )
    }

    /// Makes ledger and high-water marks say the same: of each number the larger one.
    fn reconciled(book: Book, mut marks: HighWaterMarks) -> Result<BudgetLedger> {
        book.mark_lost()?;
        let spent = book.raise(marks.spent())?;
        marks.raise(&spent)?;
        Ok(BudgetLedger { inner: Arc::new(Inner { book, marks: Mutex::new(marks) }) })
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
        // Held to the end: what a high-water mark says is then never older than what the ledger says.
        let mut marks = self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.check()?;
        let (number, spent) = match self.inner.book.reserve(order)? {
            book::Booked::Granted { number, spent } => (number, spent),
            book::Booked::Lacking(lacking) => return Ok(Reserved::Lacking(lacking)),
            book::Booked::Sealed => return Ok(Reserved::Sealed),
        };
        marks.raise(&spent)?;
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

    /// What was spent on each of these blocks, by pool; pools without spending are not there.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub fn spent(&self, blocks: &[Block]) -> Result<Vec<BTreeMap<u8, u64>>> {
        self.inner.book.spent(blocks)
    }

    /// What was spent on the blocks of a filter, and on what; blocks without spending are not there.
    ///
    /// # Errors
    /// [`StorageError::Database`] when the file cannot be read.
    pub fn spending(&self, filter: &SpendingFilter) -> Result<Vec<BlockSpending>> {
        self.inner.book.spending(filter)
    }
}

//! The file of the budget ledger: what is in it (`book`), and what is done when it cannot be read or written (`redb_file`).
//!
//! Not here: reserving (`booking`), high-water marks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use shoal_files::{Faulty, Medium, Memory, Sealing};
use shoal_schemas::Region;

use super::amount::Spent;
use super::book::{self, ByPool, CACHE_BYTES, Pages, failed};
use super::booking::{Booked, Booking};
use super::checkpoint::Checkpoint;
use super::day_limits::DayLimits;
use super::order::{Block, Found, Order, PartId};
use super::view::{BlockSpending, SpendingFilter};
use crate::error::Result;
use crate::redb_file::RedbFile;

/// The ledger's file. One process has it open.
pub(super) struct Book {
    file: RedbFile,
}

impl Book {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, sealing: Option<&Sealing>) -> Result<Book> {
        let at = path.to_path_buf();
        let prepare = Box::new(move |db: &redb::Database| book::prepare(db, &at));
        Ok(Book { file: RedbFile::open(path, CACHE_BYTES, prepare, sealing)? })
    }

    /// A file that forgets everything at the end; after so many syncs every further one fails.
    pub(super) fn in_memory(syncs: Option<u64>) -> Result<Book> {
        let memory = Faulty::<Memory>::default();
        if let Some(syncs) = syncs {
            memory.fail_syncs_after(syncs);
        }
        Book::over(Arc::new(memory), None)
    }

    /// A file of a medium that no other process knows.
    pub(super) fn over(medium: Arc<dyn Medium>, sealing: Option<&Sealing>) -> Result<Book> {
        let prepare = Box::new(|db: &redb::Database| book::prepare(db, Path::new("memory")));
        Ok(Book { file: RedbFile::over(medium, "budget.redb".to_owned(), CACHE_BYTES, prepare, sealing)? })
    }

    /// The file itself, for what is the matter with it.
    pub(super) fn file(&self) -> &RedbFile {
        &self.file
    }

    fn with<T>(&self, work: impl FnOnce(Pages<'_>) -> Result<T>) -> Result<T> {
        self.file.with(|db| work(Pages { db }))
    }

    pub(super) fn all_spent(&self) -> Result<Spent> {
        self.with(|pages| pages.all_spent())
    }

    pub(super) fn last_reservation(&self) -> Result<u64> {
        self.with(|pages| pages.last_reservation())
    }

    pub(super) fn raise(&self, to: &Spent, last_reservation: u64) -> Result<()> {
        self.with(|pages| pages.raise(to, last_reservation))
    }

    pub(super) fn has_marks(&self, region: Region) -> Result<bool> {
        self.with(|pages| pages.has_marks(region))
    }

    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.with(|pages| pages.checkpoint())
    }

    pub(super) fn day_limits(&self) -> Result<Option<DayLimits>> {
        self.with(|pages| pages.day_limits())
    }

    pub(super) fn note_day_limits(&self, limits: &DayLimits) -> Result<()> {
        self.with(|pages| pages.note_day_limits(limits))
    }

    pub(super) fn settle(&self, checkpoint: Option<&Checkpoint>) -> Result<()> {
        self.with(|pages| pages.settle(checkpoint))
    }

    pub(super) fn look_up(&self, ids: &[PartId]) -> Result<Vec<Found>> {
        self.with(|pages| pages.look_up(ids))
    }

    pub(super) fn seal(&self, number: u64, answers: &[(PartId, Vec<u8>)]) -> Result<()> {
        self.with(|pages| pages.seal(number, answers))
    }

    pub(super) fn by_pool(&self, of: ByPool, blocks: &[Block]) -> Result<Vec<BTreeMap<u8, u64>>> {
        self.with(|pages| pages.by_pool(of, blocks))
    }

    pub(super) fn spending(&self, filter: &SpendingFilter) -> Result<Vec<BlockSpending>> {
        self.with(|pages| pages.spending(filter))
    }

    /// Makes a copy as of now, under this name in a place where no other process looks. Charges go on meanwhile.
    pub(super) fn copy_to(&self, medium: &Arc<dyn Medium>, name: &str) -> Result<()> {
        let at = medium.path(name);
        let prepare = Box::new(move |db: &redb::Database| book::prepare(db, &at));
        self.file.copy_to(Arc::clone(medium), name, prepare, book::copy)
    }

    /// Books an order; nobody else can change the file until the booking is committed or dropped.
    pub(super) fn book(&self, order: &Order) -> Result<Booked> {
        self.with(|pages| pages.book(order))
    }

    /// Charges a booking, durably.
    pub(super) fn commit(&self, booking: Booking) -> Result<()> {
        self.with(|_| booking.write.commit().map_err(failed))
    }
}

//! A clean batch with the counts of all of its days at hand: what the log takes.
//!
//! Invariant: the counts of a day stay in memory while any batch holds them, from before the batch is queued until it is
//! written. Not here: how a day is counted (`opening.rs`), which days are kept (`days.rs`).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use shoal_schemas::Region;

use super::counts::Counts;
use crate::{
    dictionary::Dictionary,
    stages::clean::{CleanBatch, OtherIds, Probe, RowSpan},
};

/// The counts of one day of one table, shared by the batches that have events of it. Only the writer thread changes them.
pub(crate) struct OpenDay {
    counts: Mutex<Counts>,
    bytes: AtomicU64,
}

impl OpenDay {
    pub(super) fn new(counts: Counts) -> OpenDay {
        OpenDay { bytes: AtomicU64::new(counts.bytes()), counts: Mutex::new(counts) }
    }

    /// About the memory that it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count(&self, subject: u64) -> u32 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).count(subject)
    }

    fn admit(&self, subject: u64) -> bool {
        // A panic elsewhere leaves the counts whole: every change is one call.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_admitted = counts.admit(subject);
        self.bytes.store(counts.bytes(), Ordering::Relaxed);
        is_admitted
    }
}

/// A batch whose days are counted. No `Debug`: it holds pseudonyms.
pub(crate) struct OpenBatch {
    batch: CleanBatch,
    /// In the order of the batch's days.
    days: Vec<Arc<OpenDay>>,
}

impl OpenBatch {
    pub(super) fn new(batch: CleanBatch, days: Vec<Arc<OpenDay>>) -> OpenBatch {
        debug_assert_eq!(batch.days().len(), days.len());
        OpenBatch { batch, days }
    }

    /// With days that nothing else has events of, and without a limit.
    #[cfg(test)]
    pub(crate) fn unlimited(batch: CleanBatch) -> OpenBatch {
        let days = batch.days().iter().map(|_| Arc::new(OpenDay::new(Counts::new(u32::MAX))));
        OpenBatch { days: days.collect(), batch }
    }

    /// Whether one more event of the row's subject may be kept on its day. It is counted when it may.
    pub(crate) fn admit(&self, row: &RowSpan) -> bool {
        self.days.get(row.day as usize).is_some_and(|day| day.admit(row.subject))
    }

    /// Takes about as long as to admit the event, and counts nothing: for one that is hidden.
    pub(crate) fn probe(&self, hidden: &Probe) {
        if let Some(day) = self.days.get(hidden.day as usize) {
            std::hint::black_box(day.count(hidden.subject));
        }
    }

    pub(crate) fn probes(&self) -> &[Probe] {
        self.batch.probes()
    }

    pub(crate) fn others(&self, of: OtherIds) -> &[u64] {
        self.batch.others(of)
    }

    pub(crate) fn names(&self) -> &Arc<Dictionary> {
        self.batch.names()
    }

    pub(crate) fn is_covered(&self) -> bool {
        self.batch.is_covered()
    }

    pub(crate) fn cover_bytes(&self) -> u64 {
        self.batch.cover_bytes()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.batch.weight()
    }

    pub(crate) fn region(&self) -> Region {
        self.batch.region()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.batch.bytes()
    }

    pub(crate) fn rows(&self) -> &[RowSpan] {
        self.batch.rows()
    }
}

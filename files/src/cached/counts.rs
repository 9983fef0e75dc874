//! What is counted of a cache. Not here: where it is shown.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a cache has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Reads of a block, or of a part of one, that the local disk answered.
    pub hits: u64,
    /// Reads that it did not answer: they made a request, or took what another one brought.
    pub misses: u64,
    /// Requests that read blocks from the store.
    pub requests: u64,
    /// Bytes of those blocks.
    pub fetched_bytes: u64,
    /// How many of the requests were made before anybody read their blocks.
    pub requests_ahead: u64,
    /// Requests that were to be made ahead, and were not, because too many of them waited.
    pub dropped_ahead: u64,
    /// Blocks that made room for others.
    pub evictions: u64,
    /// Failures of the local disk.
    pub local_failures: u64,
}

/// The same while it is counted.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) fetched_bytes: AtomicU64,
    pub(super) requests_ahead: AtomicU64,
    pub(super) dropped_ahead: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) local_failures: AtomicU64,
}

/// Adds to one of them, and answers what it was.
pub(super) fn add(counter: &AtomicU64, number: u64) -> u64 {
    counter.fetch_add(number, Ordering::Relaxed)
}

impl Counters {
    pub(super) fn snapshot(&self) -> CacheCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            hits: of(&self.hits),
            misses: of(&self.misses),
            requests: of(&self.requests),
            fetched_bytes: of(&self.fetched_bytes),
            requests_ahead: of(&self.requests_ahead),
            dropped_ahead: of(&self.dropped_ahead),
            evictions: of(&self.evictions),
            local_failures: of(&self.local_failures),
        }
    }
}

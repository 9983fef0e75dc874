//! What operators ask of ingestion: what was kept, what waits in the logs; and that nothing moves for a moment, for a backup.
//!
//! Not here: the counters themselves (`metrics.rs`), moving rows (`flush`).

use shoal_schemas::{Protocol, Region};

use super::Ingest;
use crate::error::IngestError;

/// Events that were kept since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub region: Region,
    /// How they came.
    pub protocol: Protocol,
    /// How many.
    pub events: u64,
}

/// What waits in the log of a region for the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The region.
    pub region: Region,
    /// Segments with rows: sealed ones, and the one that is written to.
    pub segments: usize,
    /// How long the oldest of them has been waiting, in what was served, ms; none when nothing waits.
    pub oldest_ms: Option<i64>,
}

/// While it lives, no row moves from a log into a table, and no run of event ids changes; and each id in a run is that of a row
/// in a table. Events come in.
#[must_use]
pub struct Paused<'i> {
    _turn: tokio::sync::MutexGuard<'i, ()>,
}

impl Ingest {
    /// What was kept since the start, by region and protocol; all of them, in order.
    pub fn kept(&self) -> Vec<Kept> {
        let of = |region: &'static Region| {
            Protocol::ALL.iter().map(move |protocol| {
                let events = self.metrics.kept(*region, *protocol);
                Kept { region: *region, protocol: *protocol, events }
            })
        };
        Region::ALL.iter().flat_map(of).collect()
    }

    /// What waits in the logs of all regions.
    pub fn waiting(&self) -> Vec<Waiting> {
        let served_ms = (self.served)();
        let of = |branch: &std::sync::Arc<crate::flush::Branch>| {
            let shared = branch.log.shared();
            let begun: Vec<i64> = shared.extents().iter().filter_map(|tail| tail.begun_ms).collect();
            let oldest_ms = begun.iter().min().map(|begun| served_ms.saturating_sub(*begun).max(0));
            Waiting { region: shared.region(), segments: begun.len(), oldest_ms }
        };
        self.branches.iter().map(of).collect()
    }

    /// Waits for the flush that runs, and lets none begin while the answer lives. Rows that a flush has left in a log, after it had
    /// made a run of their ids, are moved first.
    ///
    /// # Errors
    /// When they cannot be moved; nothing is lost.
    pub async fn pause(&self) -> Result<Paused<'_>, IngestError> {
        Ok(Paused { _turn: self.flusher.pause((self.served)()).await? })
    }
}

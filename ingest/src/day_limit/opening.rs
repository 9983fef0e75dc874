//! Opens the days of a batch: their counts are at hand, or are made from the table's files and from what waits in the log.
//!
//! Invariant: one day of a region is counted at a time, and the flush moves nothing of the region meanwhile. Reading is
//! done on a blocking thread, so that only batches with events of that very day wait for it.
//! Not here: the rows of files (`flush/sink.rs`), the records of the log (`log/scan.rs`).

use std::sync::Arc;

use shoal_files::host;
use shoal_schemas::calendar::day_of;

use super::{
    counts::{Counts, short},
    days::{Days, TableDay},
    open_batch::{OpenBatch, OpenDay},
};
use crate::{
    config::DayLimitConfig,
    error::{IngestError, LogError},
    flush::{Branch, Sink, version},
    log::{Shared, scan_to},
    metrics::Metrics,
    stages::{clean::CleanBatch, row},
};

/// The limit of all subjects' days, and the counts that it is decided by.
pub(crate) struct DayLimit<S> {
    sink: S,
    events_max: u32,
    days: Days,
    metrics: Metrics,
}

impl<S: Sink> DayLimit<S> {
    pub(crate) fn new(sink: S, config: DayLimitConfig, metrics: Metrics) -> DayLimit<S> {
        DayLimit { sink, events_max: config.events_max, days: Days::new(config.counts_bytes_max), metrics }
    }

    /// The batch with the counts of its days, ready for the log.
    ///
    /// # Errors
    /// [`LogError::UnreadDay`] when what is kept of a day cannot be read. The batch may be sent again.
    pub(crate) async fn open(&self, branch: &Branch, batch: CleanBatch) -> Result<OpenBatch, LogError> {
        let region = batch.region();
        let mut days = Vec::with_capacity(batch.days().len());
        for (kind, day) in batch.days() {
            let opened = self.day(branch, TableDay { region, kind: *kind, day: *day }).await;
            days.push(opened.map_err(|error| {
                tracing::error!(%region, %error, "a day cannot be counted; its events are refused");
                LogError::UnreadDay
            })?);
        }
        Ok(OpenBatch::new(batch, days))
    }

    async fn day(&self, branch: &Branch, of: TableDay) -> Result<Arc<OpenDay>, IngestError> {
        if let Some(day) = self.days.get(of) {
            return Ok(day);
        }
        let _still = branch.moving.lock().await;
        if let Some(day) = self.days.get(of) {
            return Ok(day);
        }
        let began = host::instant();
        let day = self.days.put(of, self.count(branch, of).await?);
        self.metrics.day_open_seconds.observe(host::seconds_since(began));
        let (days, bytes) = self.days.size();
        self.metrics.open_days.set(i64::try_from(days).unwrap_or(i64::MAX));
        self.metrics.day_counts_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        Ok(day)
    }

    async fn count(&self, branch: &Branch, of: TableDay) -> Result<Counts, IngestError> {
        let committed = self.sink.committed(of.region, of.kind).await?;
        let counts = Counts::new(self.events_max);
        let counts = self.sink.count(of.region, of.kind, of.day, counts).await?;
        let log = Arc::clone(branch.log.shared());
        let waiting = move || add_waiting(&log, of, committed, counts);
        host::blocking(waiting).await.map_err(|_| IngestError::Failed(of.region))?
    }
}

/// Adds the day's rows that are in the log and not in the table.
fn add_waiting(
    log: &Shared,
    of: TableDay,
    committed: Option<i64>,
    mut counts: Counts,
) -> Result<Counts, IngestError> {
    for extent in log.extents() {
        if committed.is_some_and(|done| version(extent.sequence) <= done) {
            continue;
        }
        scan_to(log.shelf(), extent, &mut |payload| {
            for row in row::rows(payload) {
                let head = row.and_then(row::decode).map(|(head, _)| head);
                let head = head.map_err(|e| IngestError::Damaged {
                    path: log.path(extent.sequence),
                    offset: 0,
                    reason: e.0,
                })?;
                if head.kind == of.kind && day_of(head.time_ms) == of.day {
                    counts.add(short(&head.subject), 1);
                }
            }
            Ok(())
        })?;
    }
    Ok(counts)
}

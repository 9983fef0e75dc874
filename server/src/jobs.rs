//! The one loop that drives everything that happens by itself: the flush, changed access keys, unit keys, compaction,
//! retention, erasures.
//!
//! Each job is `run_once(now)` of its own crate. A job that is still running is not started again; a job that fails is
//! counted, logged, and tried at its next time; a log that has failed stops the service, because nothing can be acknowledged.
//!
//! Whatever waits for some time to pass counts what is served, which nobody sets; only the schedule of retention goes by the time
//! of day, and waits when that was set.
//! Not here: what a job does.

use std::str::FromStr;
use std::time::Duration;

use actix_web::web;
use chrono::{DateTime, Utc};
use croner::Cron;
use shoal_ingest::IngestError;
use shoal_retention::{Accepted, Mode, RetentionError};
use shoal_storage::StorageError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::erasures;
use crate::error::Error;
use crate::metrics::Job;
use crate::retention_runs::{RunBy, RunError};
use crate::state::State;
use crate::subjects;

const TICK: Duration = Duration::from_millis(250);
/// When a run of retention left files that were being read, or a table unfinished, the next one is this much later, ms.
const AGAIN_MS: i64 = 60_000;
const MINUTE_MS: i64 = 60_000;
/// When the clock was set, no run of retention begins for so long, ms: somebody may set it right again.
const SET_WAIT_MS: i64 = 60 * MINUTE_MS;
/// A table is checkpointed so long after the last look at it, from the start on, ms.
const CHECKPOINT_INTERVAL_MS: i64 = 2 * MINUTE_MS;
/// With fewer commits after the last checkpoint a start is quick enough.
pub(crate) const CHECKPOINT_COMMITS_MIN: u64 = 16;
/// What is left of an erasure is tried again so much later, ms.
const ERASE_AGAIN_MS: i64 = 15_000;
/// Records of acts on persons that nothing can need any more are looked for so often, ms.
const PRUNE_INTERVAL_MS: i64 = 24 * 60 * MINUTE_MS;
/// The keys of a day are destroyed at the latest so long after its late window is over by the settled time, ms.
const UNIT_KEYS_INTERVAL_MS: i64 = 5 * MINUTE_MS;

/// The jobs and when each is due.
pub(crate) struct Jobs {
    state: web::Data<State>,
    cron: Option<Cron>,
    /// By the time of day; what else is due is so by what is served.
    retention_due_ms: Option<i64>,
    /// How often the clock had been set when that was decided.
    steps: u64,
    retention: Option<JoinHandle<bool>>,
    flush: Option<JoinHandle<Result<(), Error>>>,
    compaction_due_ms: Option<i64>,
    compaction: Option<JoinHandle<()>>,
    unit_keys_due_ms: i64,
    unit_keys: Option<JoinHandle<()>>,
    mark: Option<JoinHandle<()>>,
    checkpoint_due_ms: i64,
    checkpoint: Option<JoinHandle<()>>,
    erasure_due_ms: i64,
    erasure: Option<JoinHandle<bool>>,
    prune_due_ms: i64,
}

impl Jobs {
    /// # Errors
    /// When the cron expression is none.
    pub(crate) fn new(state: web::Data<State>) -> Result<Jobs, Error> {
        let parse =
            |text: &String| Cron::from_str(text).map_err(|e| Error::Service(format!("retention.cron: {e}")));
        let cron = state.config.retention.cron.as_ref().map(parse).transpose()?;
        let retention_due_ms = cron.as_ref().and_then(|c| next_ms(c, state.now_ms()));
        let mut jobs = Jobs {
            state,
            cron,
            retention_due_ms,
            steps: 0,
            retention: None,
            flush: None,
            compaction_due_ms: None,
            compaction: None,
            unit_keys_due_ms: i64::MIN,
            unit_keys: None,
            mark: None,
            checkpoint_due_ms: i64::MIN,
            checkpoint: None,
            erasure_due_ms: i64::MIN,
            erasure: None,
            prune_due_ms: i64::MIN,
        };
        jobs.compaction_due_ms = jobs.next_compaction_ms(jobs.state.served.served_ms());
        Ok(jobs)
    }

    fn next_compaction_ms(&self, served_ms: i64) -> Option<i64> {
        let minutes = self.state.config.storage.compaction_interval_min?;
        Some(served_ms.saturating_add(i64::from(minutes) * MINUTE_MS))
    }

    /// Runs until told to stop, or until the log has failed.
    pub(crate) async fn run(mut self, mut stopping: watch::Receiver<bool>) -> Result<(), Error> {
        let mut tick = tokio::time::interval(TICK);
        let asked = self.state.clone();
        self.state.retention_runs.finish(self.state.now_ms()).await;
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let (now_ms, served_ms) = self.state.look();
                    self.run_once(now_ms, served_ms).await?;
                }
                () = asked.acts_wait.notified() => self.erasure_due_ms = i64::MIN,
                _ = stopping.changed() => break,
            }
        }
        // A flush or a run of retention is let end: it holds the tables. A merge may take long, and is given up.
        self.state.retention.stop_maintaining();
        if let Some(compaction) = self.compaction.take() {
            let _ = compaction.await;
        }
        for quick in [self.unit_keys.take(), self.mark.take(), self.checkpoint.take()].into_iter().flatten() {
            let _ = quick.await;
        }
        if let Some(erasure) = self.erasure.take() {
            let _ = erasure.await;
        }
        if let Some(flush) = self.flush.take() {
            flush_ended(flush).await?;
        }
        if let Some(retention) = self.retention.take() {
            let _ = retention.await;
        }
        Ok(())
    }

    async fn run_once(&mut self, now_ms: i64, served_ms: i64) -> Result<(), Error> {
        if now_ms < 0 {
            return Err(Error::Service("the clock of this machine says a time before 1970: set it".into()));
        }
        self.state.keys.refresh();
        if self.flush.as_ref().is_none_or(JoinHandle::is_finished) {
            if let Some(ended) = self.flush.take() {
                flush_ended(ended).await?;
            }
            self.flush = Some(tokio::spawn(flush(self.state.clone(), served_ms)));
        }
        self.retention_once(now_ms).await;
        self.erase_once(served_ms).await;
        let is_due = self.compaction_due_ms.is_some_and(|due| due <= served_ms);
        if is_due && self.compaction.as_ref().is_none_or(JoinHandle::is_finished) {
            self.compaction_due_ms = self.next_compaction_ms(served_ms);
            self.compaction = Some(tokio::spawn(compact(self.state.clone(), now_ms)));
        }
        let is_due = self.unit_keys_due_ms <= served_ms;
        if is_due && self.unit_keys.as_ref().is_none_or(JoinHandle::is_finished) {
            self.unit_keys_due_ms = served_ms.saturating_add(UNIT_KEYS_INTERVAL_MS);
            self.unit_keys = Some(tokio::spawn(renew_unit_keys(self.state.clone())));
        }
        let is_due = self.checkpoint_due_ms <= served_ms;
        if is_due && self.checkpoint.as_ref().is_none_or(JoinHandle::is_finished) {
            self.checkpoint_due_ms = served_ms.saturating_add(CHECKPOINT_INTERVAL_MS);
            let retention = self.state.retention.clone();
            let checkpoint = async move { retention.checkpoint_once(CHECKPOINT_COMMITS_MIN).await };
            self.checkpoint = Some(tokio::spawn(checkpoint));
        }
        if self.state.served.is_due() && self.mark.as_ref().is_none_or(JoinHandle::is_finished) {
            self.mark = Some(tokio::task::spawn_blocking({
                let state = self.state.clone();
                move || mark(&state)
            }));
        }
        Ok(())
    }

    /// Carries out what was asked for, at the start and whenever something is; and again after a while where something is left.
    async fn erase_once(&mut self, served_ms: i64) {
        if self.erasure.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(ended) = self.erasure.take()
            && !matches!(ended.await, Ok(false))
        {
            self.erasure_due_ms = self.erasure_due_ms.min(served_ms.saturating_add(ERASE_AGAIN_MS));
        }
        if self.erasure_due_ms <= served_ms && self.erasure.is_none() {
            self.erasure_due_ms = i64::MAX;
            let state = self.state.clone();
            self.erasure = Some(tokio::spawn(async move { erasures::run_once(&state).await }));
        }
        if self.prune_due_ms <= served_ms {
            self.prune_due_ms = served_ms.saturating_add(PRUNE_INTERVAL_MS);
            let state = self.state.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = subjects::prune(&state) {
                    tracing::error!(%error, "old records of requests for persons could not be removed; it is tried again");
                }
            });
        }
    }

    /// Starts a run of retention when it is due by the time of day.
    async fn retention_once(&mut self, now_ms: i64) {
        let steps = self.state.served.steps();
        if steps != self.steps {
            self.steps = steps;
            let due_ms = self.cron.as_ref().and_then(|c| next_ms(c, now_ms.saturating_add(SET_WAIT_MS)));
            tracing::warn!(
                "the clock was set, or the machine slept: retention waits for its next time after an hour"
            );
            self.retention_due_ms = due_ms;
        }
        if self.retention.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(ended) = self.retention.take()
            && matches!(ended.await, Ok(true))
        {
            let again_ms = now_ms + AGAIN_MS;
            self.retention_due_ms = Some(self.retention_due_ms.map_or(again_ms, |due| due.min(again_ms)));
        }
        let is_due = self.retention_due_ms.is_some_and(|due| due <= now_ms);
        if is_due && self.retention.as_ref().is_none_or(JoinHandle::is_finished) {
            self.retention_due_ms = self.cron.as_ref().and_then(|c| next_ms(c, now_ms));
            self.retention = Some(tokio::spawn(retain(self.state.clone(), now_ms)));
        }
    }
}

async fn compact(state: web::Data<State>, now_ms: i64) {
    // A table that fails is logged where it does.
    if !state.retention.maintain_once(now_ms).await.failed.is_empty() {
        state.metrics.job_failures.get_or_create(&Job { job: "compaction" }).inc();
    }
}

fn mark(state: &State) {
    if let Err(error) = state.served.write() {
        tracing::error!(%error, "how long the data were served could not be written; it is tried again in an hour");
        state.metrics.job_failures.get_or_create(&Job { job: "served_time" }).inc();
    }
    if let Err(error) = state.keys.write_uses() {
        tracing::error!(%error, "on which days keys were used last could not be written; it is tried again in an hour");
        state.metrics.job_failures.get_or_create(&Job { job: "key_uses" }).inc();
    }
}

async fn renew_unit_keys(state: web::Data<State>) {
    if let Err(error) = state.escrow().await {
        tracing::error!(%error, "a replica of the data keys could not be brought up to date; it is tried again");
        state.metrics.job_failures.get_or_create(&Job { job: "escrow" }).inc();
    }
    match state.ingest.renew_unit_keys().await {
        Ok(report) => {
            if report.epochs_destroyed > 0 {
                let epochs = report.epochs_destroyed;
                tracing::info!(
                    epochs,
                    "the keys of pseudonym epochs were destroyed, of which no day is kept any more"
                );
            }
            if report.destroyed > 0 {
                tracing::info!(destroyed = report.destroyed, "unit keys of days whose late window is over");
            }
            if report.lost > 0 {
                let days = report.lost;
                tracing::warn!(
                    days,
                    "unit keys are lost; events that name nobody count as one person for each app"
                );
            }
        }
        Err(error) => {
            tracing::error!(%error, "unit keys could not be renewed; it is tried again");
            state.metrics.job_failures.get_or_create(&Job { job: "unit_keys" }).inc();
        }
    }
}

/// A flush that panicked is a defect of which the log is none the wiser: the service stops.
async fn flush_ended(task: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    task.await.unwrap_or_else(|_| Err(Error::Service("the flush has died".into())))
}

async fn flush(state: web::Data<State>, served_ms: i64) -> Result<(), Error> {
    match state.ingest.flush(served_ms, false).await {
        Ok(_) => {
            state.flushes.succeeded();
            Ok(())
        }
        // Nothing is tried again: the next process reads what is there.
        Err(error @ (IngestError::Failed(_) | IngestError::Storage(StorageError::Broken(_)))) => {
            Err(error.into())
        }
        Err(error) => {
            tracing::error!(%error, "flush failed; the events stay in the log and it is tried again");
            state.flushes.failed(&error);
            state.metrics.job_failures.get_or_create(&Job { job: "flush" }).inc();
            Ok(())
        }
    }
}

/// Whether it must run again soon.
async fn retain(state: web::Data<State>, now_ms: i64) -> bool {
    let mode = Mode::Real(state.permit(Accepted::default()));
    match state.retention_runs.run_once(now_ms, RunBy::Schedule, mode, &mut |_| {}).await {
        Ok(report) if report.failed.is_empty() => {
            let (files, rows, bytes) = report.expired_total();
            let pinned = report.pinned_total();
            tracing::info!(files, rows, bytes, pinned, "retention ran");
            // A mark that is not written is written within the hour.
            let _ = state.ran(now_ms, Accepted::default()).await;
            pinned > 0
        }
        ended => {
            state.metrics.job_failures.get_or_create(&Job { job: "retention" }).inc();
            match ended {
                // Nothing changes by itself within a minute: at the next time of the schedule it is told again.
                Err(error @ RunError::Retention(RetentionError::Refused(_))) => {
                    tracing::error!("{error}");
                    false
                }
                Err(error) => {
                    tracing::error!(%error, "retention failed");
                    true
                }
                Ok(_) => true,
            }
        }
    }
}

/// When a cron expression is due next after `now_ms`, ms since 1970.
fn next_ms(cron: &Cron, now_ms: i64) -> Option<i64> {
    let now: DateTime<Utc> = DateTime::from_timestamp_millis(now_ms)?;
    cron.find_next_occurrence(&now, false).ok().map(|at| at.timestamp_millis())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_due_at_the_next_time_and_never_twice_for_one() {
        let cron = Cron::from_str("17 3 * * *").unwrap();
        let day = shoal_schemas::calendar::DAY_MS;
        let due = 20_000 * day + (3 * 60 + 17) * 60_000;
        assert_eq!(next_ms(&cron, 20_000 * day), Some(due));
        assert_eq!(next_ms(&cron, due - 1), Some(due));
        assert_eq!(next_ms(&cron, due), Some(due + day));
        // A service that slept for a week runs once.
        assert_eq!(next_ms(&cron, due + 7 * day + 1), Some(due + 8 * day));
    }
}

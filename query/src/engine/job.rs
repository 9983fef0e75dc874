//! What runs away from the caller: pay, read, noise, and the postprocessing.
//!
//! Invariants: nothing is read that is not paid. Not here: the order of paying and reading (`release/answer.rs`), sealing,
//! which nothing may interrupt (`engine.rs`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shoal_language::Value;
use shoal_postprocess::{Estimate, Postprocessor, ReleasedTable};
use tokio::time::Instant;

use super::prepared::Prepared;
use crate::error::NoAnswer;
use crate::ledger::Budget;
use crate::metrics::Metrics;
use crate::release::{Circumstances, LookedUp, ROWS_MAX, Ready, SizeBounds, Timing, answer, finish};
use crate::scan::{Reading, Scan};
use crate::schedule::{Latest, Schedule};

/// Stops the work when nobody waits for it any more.
pub(super) struct CancelOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What decides when the answer leaves.
pub(super) struct JobTiming {
    pub(super) schedule: Arc<Schedule>,
    pub(super) row_time_ns: u64,
    pub(super) sizes: SizeBounds,
    pub(super) reading: Reading,
    pub(super) longest: Duration,
    pub(super) latest: Latest,
    pub(super) decided_ms: Arc<OnceLock<u64>>,
}

impl JobTiming {
    fn of_question<'a>(&'a self, metrics: &'a Metrics) -> Option<Timing<'a>> {
        self.schedule.is_timed().then(|| Timing {
            schedule: &self.schedule,
            row_time_ns: self.row_time_ns,
            sizes: self.sizes.clone(),
            reading: self.reading,
            longest: self.longest,
            latest: self.latest,
            decided_ms: &self.decided_ms,
            metrics,
        })
    }
}

/// A question that is about to be answered.
pub(super) struct Job {
    pub(super) prepared: Prepared,
    /// What the ledger has of it.
    pub(super) looked_up: LookedUp,
    pub(super) scan: Arc<dyn Scan>,
    pub(super) postprocessor: Arc<Postprocessor>,
    pub(super) budget: Budget,
    pub(super) metrics: Metrics,
    pub(super) timing: JobTiming,
    /// Public part of the key that asks.
    pub(super) asker: String,
    pub(super) now_ms: i64,
    pub(super) deadline: Instant,
}

impl Job {
    pub(super) async fn run(self) -> Result<Ready, NoAnswer> {
        let Job {
            prepared,
            looked_up,
            scan,
            postprocessor,
            budget,
            metrics,
            timing,
            asker,
            now_ms,
            deadline,
        } = self;
        let asked = Circumstances {
            budget: &budget,
            asker: &asker,
            now_ms,
            deadline: if timing.schedule.is_timed() { timing.latest.begin } else { deadline },
            rows_max: ROWS_MAX,
            charged: &|blocks| metrics.charged(blocks),
            timing: timing.of_question(&metrics),
        };
        let answered = answer(looked_up, &asked, &*scan).await?;
        let mut tables = Vec::with_capacity(answered.groups.len());
        for (schema, groups) in prepared.schemas.iter().zip(&answered.groups) {
            let rows: Vec<(&[Value], &[Estimate])> =
                groups.rows.iter().map(|(keys, numbers)| (keys.as_slice(), numbers.as_slice())).collect();
            tables.push(ReleasedTable::of(schema, &rows)?);
        }
        let turn = postprocessor.turn(&asker, deadline).await;
        let _turn = turn.map_err(|_| shoal_postprocess::Failure::Time)?;
        let (columns, batch) = postprocessor.run(&prepared.postprocess.sql, tables, deadline).await?;
        let mut preamble = prepared.preamble;
        preamble.paid(&answered.paid);
        Ok(Ready { released: finish(preamble, columns, batch, false), unsealed: answered.unsealed })
    }
}

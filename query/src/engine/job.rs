//! What runs away from the caller: pay, read, noise, seal, and what stands above.
//!
//! Invariants: nothing is read that is not paid. Not here: the order of paying and sealing (`release/answer.rs`).

use std::sync::Arc;

use shoal_anonymity::noise::OsEntropy;
use shoal_language::Value;
use shoal_postprocess::{Estimate, Postprocessor, ReleasedTable};
use tokio::time::Instant;

use super::prepared::Prepared;
use crate::error::NoAnswer;
use crate::ledger::Budget;
use crate::metrics::Metrics;
use crate::release::{Circumstances, LookedUp, ROWS_MAX, Released, answer, finish};
use crate::scan::{Due, Scan};

/// Stops the work when nobody waits for it any more.
pub(super) struct CancelOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.abort();
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
    pub(super) now_ms: i64,
    pub(super) deadline: Instant,
}

impl Job {
    pub(super) async fn run(self) -> Result<Released, NoAnswer> {
        let Job { prepared, looked_up, scan, postprocessor, budget, metrics, now_ms, deadline } = self;
        let asked = Circumstances {
            budget: &budget,
            now_ms,
            deadline,
            rows_max: ROWS_MAX,
            charged: &|blocks| metrics.charged(blocks),
        };
        let read = |due: Due| {
            let scan = Arc::clone(&scan);
            async move { scan.totals(due, &mut OsEntropy::new()).await }
        };
        let answered = answer(looked_up, &asked, read).await?;
        let mut tables = Vec::with_capacity(answered.groups.len());
        for (schema, groups) in prepared.schemas.iter().zip(&answered.groups) {
            let rows: Vec<(&[Value], &[Estimate])> =
                groups.rows.iter().map(|(keys, numbers)| (keys.as_slice(), numbers.as_slice())).collect();
            tables.push(ReleasedTable::of(schema, &rows)?);
        }
        let (columns, batch) = postprocessor.run(&prepared.postprocess.sql, tables, deadline).await?;
        let mut preamble = prepared.preamble;
        preamble.paid(&answered.paid);
        Ok(finish(preamble, columns, batch, false))
    }
}

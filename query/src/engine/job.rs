//! What runs away from the caller: look up, pay, read, noise, seal, and what stands above.
//!
//! Invariants: nothing is read that is not paid; the tables are opened only for what has to be read.
//! Not here: the order of paying and sealing (`release/answer.rs`).

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use shoal_anonymity::noise::OsEntropy;
use shoal_schemas::{Kind, Region, Registry};
use shoal_storage::Store;
use tokio::time::Instant;

use super::Given;
use super::prepare::Prepared;
use crate::charge::ChargedQuery;
use crate::error::NoAnswer;
use crate::execute::{Raw, RegionSources, ScanLimits, Source, Wanted, execute};
use crate::failure::Failure;
use crate::ledger::Budget;
use crate::metrics::Metrics;
use crate::release::{Asked, Released, answer, finish};
use shoal_language::CELLS_MAX;
use shoal_language::Value;
use shoal_postprocess::session;
use shoal_postprocess::{Estimate, Postprocessor, ReleasedTable};

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
    pub(super) store: Option<Store>,
    pub(super) registry: Arc<Registry>,
    pub(super) memory: Arc<RuntimeEnv>,
    pub(super) limits: ScanLimits,
    pub(super) postprocessor: Arc<Postprocessor>,
    pub(super) budget: Budget,
    pub(super) metrics: Metrics,
    pub(super) now_ms: i64,
    pub(super) deadline: Instant,
}

impl Job {
    pub(super) async fn run(self, given: Option<Given>) -> Result<Released, NoAnswer> {
        let given = given.as_ref();
        let read = |due: ChargedQuery| self.read(due, given);
        let asked = Asked {
            budget: &self.budget,
            now_ms: self.now_ms,
            deadline: self.deadline,
            rows_max: usize::try_from(CELLS_MAX).unwrap_or(usize::MAX),
            charged: &|blocks| self.metrics.charged(blocks),
        };
        let answered = answer(&self.prepared.charged, &asked, read).await?;
        let mut tables = Vec::with_capacity(answered.groups.len());
        for (schema, groups) in self.prepared.schemas.iter().zip(&answered.groups) {
            let rows: Vec<(&[Value], &[Estimate])> =
                groups.rows.iter().map(|(keys, numbers)| (keys.as_slice(), numbers.as_slice())).collect();
            tables.push(ReleasedTable::of(schema, &rows)?);
        }
        let sql = &self.prepared.question.free.sql;
        let (columns, batch) = self.postprocessor.run(sql, tables, self.deadline).await?;
        let mut preamble = self.prepared.preamble;
        preamble.paid(&answered.paid);
        Ok(finish(preamble, columns, batch, false))
    }

    /// Exact totals of one region and some days of a release.
    async fn read(&self, due: ChargedQuery, given: Option<&Given>) -> Result<Raw, Failure> {
        let session = session::empty(&self.memory, self.limits.threads);
        let mut sources = Vec::with_capacity(due.query.regions.len());
        for region in &due.query.regions {
            let events = self.table(*region, due.query.table, given).await?;
            let mut members = Vec::with_capacity(due.query.members.len());
            for member in &due.query.members {
                members.push(self.table(*region, member.table, given).await?);
            }
            sources.push(RegionSources { region: *region, events, members, wanted: Wanted::All });
        }
        execute(due, sources, &session, self.limits, &mut OsEntropy::new()).await
    }

    /// A table as it is now.
    async fn table(&self, region: Region, kind: Kind, given: Option<&Given>) -> Result<Source, Failure> {
        if let Some(given) = given {
            let found = given.iter().find(|(r, k, _)| *r == region && *k == kind);
            return found.map(|(_, _, source)| source.clone()).ok_or(Failure::Internal);
        }
        let store = self.store.as_ref().ok_or(Failure::Internal)?;
        let table = store.table(region, self.registry.table(kind)).await?;
        Ok(Source::Files(table.snapshot().await?))
    }
}

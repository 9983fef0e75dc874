//! Reads and bounds everything that is due, span by span.
//!
//! Invariants: what is allocated is counted in the queries' memory pool, or bounded by a constant. A span whose files turn
//! out not to be sorted is read anew, with every file checked before. Not here: which tables there are (`local`).

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use futures::stream::{self, StreamExt};
use shoal_anonymity::bound::Totals;
use shoal_anonymity::noise::Entropy;
use shoal_postprocess::session;

use super::accumulator::Accumulator;
use super::accumulators;
use super::cells::Cells;
use super::due::{Due, Raw};
use super::grounds::Grounds;
use super::limit::noisy_limits;
use super::merge::Stop;
use super::rows::{RowSelection, Template};
use super::source::Table;
use super::span::Span;
use super::work::{Input, Waiting, Work};
use crate::failure::Failure;

/// What a scan runs with.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) memory: Arc<RuntimeEnv>,
    /// About how many groups of private keys may be found, before the threshold; more fail.
    pub(crate) cells_max: usize,
    /// Spans that run side by side.
    pub(crate) threads: usize,
}

/// The tables of one region, as they are now.
pub(crate) struct Tables {
    /// The query's table.
    pub(crate) events: Arc<dyn Table>,
    /// One for each membership.
    pub(crate) members: Vec<Arc<dyn Table>>,
}

/// A span, and the most groups that it may have where they are not public.
type Limited = (Span, Option<u64>);

/// One run.
struct Run<'a> {
    due: &'a Due,
    session: SessionContext,
    runner: &'a Runner,
}

impl Runner {
    /// The exact totals of what is due.
    pub(crate) async fn run(
        &self,
        due: Due,
        tables: Tables,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Raw, Failure> {
        let charged = Arc::clone(&due.charged);
        let buckets = due.buckets();
        let mut raw = Raw {
            due: due.clone(),
            cells: Cells::new(&charged.query, None, entropy)?,
            daily: Totals::empty(charged.layout.daily.clamps().len()),
            ranged: buckets.iter().map(|_| Totals::empty(charged.layout.ranged.clamps().len())).collect(),
            trees: Vec::new(),
        };
        let run = Run { due: &due, session: session::empty(&self.memory, self.threads), runner: self };
        let spans = run.limited(due.spans(), entropy)?;
        let mut accumulators = Vec::with_capacity(spans.len());
        for span in &spans {
            accumulators.push(run.accumulator(*span, entropy)?);
        }
        let Some(first) = accumulators.first() else { return Ok(raw) };
        let inputs = Arc::new(run.inputs(tables, first.as_ref())?);
        let waiting = Waiting::new();
        let ahead = spans.len() < self.threads;
        let work = |span: Limited, accumulator: Box<dyn Accumulator>, checked: bool| {
            let memory = Arc::clone(&self.memory.memory_pool);
            let days = due.days_of(&buckets, span.0);
            let work = Work { accumulator, inputs: Arc::clone(&inputs), days, memory, checked, ahead };
            let flag = waiting.flag();
            async move { (span, work.run(flag).await) }
        };
        let running: Vec<_> = spans
            .iter()
            .zip(accumulators)
            .map(|(span, accumulator)| work(*span, accumulator, false))
            .collect();
        let mut running = stream::iter(running).buffered(self.threads.max(1));
        let mut unsorted = Vec::new();
        while let Some((span, done)) = running.next().await {
            match done {
                Ok(accumulated) => raw.add(span.0, accumulated)?,
                Err(Stop::Unsorted(_)) => unsorted.push(span),
                Err(Stop::Failed(failure)) => return Err(failure),
            }
        }
        for span in unsorted {
            let accumulator = run.accumulator(span, entropy)?;
            let (_, done) = work(span, accumulator, true).await;
            raw.add(span.0, done.map_err(Stop::failure)?)?;
        }
        Ok(raw)
    }
}

impl Run<'_> {
    /// The spans with the most groups of each, where they are not public.
    fn limited(&self, spans: Vec<Span>, entropy: &mut dyn Entropy) -> Result<Vec<Limited>, Failure> {
        let Some(threshold) = &self.due.charged.threshold else {
            return Ok(spans.into_iter().map(|span| (span, None)).collect());
        };
        let limits = noisy_limits(spans.len(), self.runner.cells_max, &threshold.groups, entropy)?;
        Ok(spans.into_iter().zip(limits.into_iter().map(Some)).collect())
    }

    fn accumulator(
        &self,
        (span, groups_max): Limited,
        entropy: &mut dyn Entropy,
    ) -> Result<Box<dyn Accumulator>, Failure> {
        let Due { charged, days, .. } = self.due;
        let (query, layout) = (&charged.query, &charged.layout);
        accumulators::accumulator(&Grounds { query, layout, days: *days, span, groups_max }, entropy)
    }

    /// The query's table and those of its memberships, each with its template.
    fn inputs(&self, tables: Tables, accumulator: &dyn Accumulator) -> Result<Vec<Input>, Failure> {
        let (query, region) = (&self.due.charged.query, self.due.region);
        if tables.members.len() != query.members().len() {
            return Err(Failure::Internal);
        }
        let input = |table: Arc<dyn Table>, selection: &RowSelection<'_>| -> Result<Input, Failure> {
            let template = Template::new(&self.session, &|wanted| table.schema(wanted), selection)?;
            Ok(Input { table, template: Arc::new(template) })
        };
        let (scalars, is_timed) = (accumulator.scalars(), accumulator.is_timed());
        let (cutoffs, filter) = (query.cutoffs(), query.filter());
        let own = RowSelection { region, cutoffs, filter, scalars: &scalars, is_timed };
        let mut inputs = vec![input(tables.events, &own)?];
        for (member, table) in query.members().iter().zip(tables.members) {
            let (cutoffs, filter) = (&member.cutoffs, member.filter.as_ref());
            inputs.push(input(table, &RowSelection { region, cutoffs, filter, scalars: &[], is_timed })?);
        }
        Ok(inputs)
    }
}

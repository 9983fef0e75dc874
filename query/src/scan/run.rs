//! Reads and bounds everything that is due, span by span.
//!
//! Invariants: no more spans are in memory than run at one time, and each holds no more groups than was reserved for it
//! before anything was charged (`charge/reserve.rs`). A span whose files turn out not to be sorted is read anew, in passes, with the
//! limit on groups that was drawn for it at first: one limit is paid for.
//! Not here: which tables there are (`local`).

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use futures::stream::{FuturesUnordered, StreamExt};
use shoal_anonymity::noise::Entropy;
use shoal_postprocess::session;

use super::accumulator::Accumulator;
use super::accumulators;
use super::counted::Counted;
use super::due::{Due, Raw};
use super::grounds::Grounds;
use super::interface::Taker;
use super::limit::noisy_limit;
use super::merge::Stop;
use super::room::share;
use super::rows::{RowSelection, Template};
use super::source::Table;
use super::span::Span;
use super::work::{Input, Waiting, Work};
use crate::charge::{MemoryShare, Threshold};
use crate::failure::Failure;

/// What a scan runs with.
#[derive(Clone)]
pub(crate) struct Runner {
    /// Where expressions are made.
    pub(crate) runtime: Arc<RuntimeEnv>,
    /// For groups.
    pub(crate) memory: MemoryShare,
    /// For reading, of all queries together, in bytes.
    pub(crate) reading_bytes_max: usize,
    pub(crate) counted: Counted,
}

/// The tables of one region, as they are now.
pub(crate) struct Tables {
    /// The query's table.
    pub(crate) events: Arc<dyn Table>,
    /// One for each membership.
    pub(crate) members: Vec<Arc<dyn Table>>,
}

/// A span and its limit on groups, where they are not public.
#[derive(Clone, Copy)]
struct Limited {
    span: Span,
    groups_max: Option<u64>,
}

/// One run.
struct Run<'a> {
    due: &'a Due,
    session: SessionContext,
    counted: Counted,
}

impl Runner {
    /// With what it may use.
    pub(crate) fn new(runtime: Arc<RuntimeEnv>, memory: MemoryShare, reading_bytes_max: usize) -> Runner {
        Runner { runtime, memory, reading_bytes_max, counted: Counted::default() }
    }

    /// The exact totals of each span of what is due, as they are finished.
    pub(crate) async fn run(
        &self,
        due: Due,
        tables: Tables,
        entropy: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure> {
        let threads = due.charged.spans_at_one_time(self.memory.spans);
        let (session, counted) = (session::empty(&self.runtime, threads), self.counted.clone());
        let run = Run { due: &due, session, counted };
        let (buckets, spans) = (due.buckets(), due.spans());
        let Some(first) = spans.first() else { return Ok(()) };
        let inputs = Arc::new(run.inputs(tables, &*run.accumulator(*first, None, entropy)?)?);
        let waiting = Waiting::new();
        let ahead = spans.len() < threads;
        // The spans that run at one time, which are fewer than threads where there are no more.
        let share = share(self.reading_bytes_max, self.memory.queries, threads.min(spans.len()));
        let reserved = self.memory.of_a_span(threads);
        let passes_max = due.passes_max;
        let work = |limited: Limited, accumulator: Box<dyn Accumulator>, in_passes: bool| {
            let (days, inputs) = (due.days_of(&buckets, limited.span), Arc::clone(&inputs));
            let work = Work { accumulator, inputs, days, reserved, share, in_passes, passes_max, ahead };
            let flag = waiting.flag();
            async move { (limited, work.run(flag).await, in_passes) }
        };
        let (mut left, mut running) = (spans.iter().copied(), FuturesUnordered::new());
        loop {
            while running.len() < threads
                && let Some(span) = left.next()
            {
                let limited = Limited { span, groups_max: run.limit(entropy)? };
                running.push(work(limited, run.accumulator(span, limited.groups_max, entropy)?, false));
            }
            let Some((limited, done, in_passes)) = running.next().await else { return Ok(()) };
            let Limited { span, groups_max } = limited;
            match done {
                Ok(accumulated) => take.take(Raw::of(&due, span, accumulated)).await?,
                Err(Stop::Unsorted(_)) if !in_passes => {
                    running.push(work(limited, run.accumulator(span, groups_max, entropy)?, true));
                }
                Err(stop) => return Err(stop.failure()),
            }
        }
    }
}

impl Run<'_> {
    /// A limit on groups where they are not public.
    fn limit(&self, entropy: &mut dyn Entropy) -> Result<Option<u64>, Failure> {
        let limit = |own: &Threshold| noisy_limit(own.room.groups_max, &own.groups, &mut *entropy);
        self.due.charged.threshold.as_ref().map(limit).transpose()
    }

    /// The accumulator of a span, with its limit on groups.
    fn accumulator(
        &self,
        span: Span,
        groups_max: Option<u64>,
        entropy: &mut dyn Entropy,
    ) -> Result<Box<dyn Accumulator>, Failure> {
        let Due { charged, days, .. } = self.due;
        let (query, layout, counted) = (&charged.query, &charged.layout, &self.counted);
        accumulators::accumulator(&Grounds { query, layout, days: *days, span, groups_max, counted }, entropy)
    }

    /// The query's table and those of its memberships, each with its template.
    fn inputs(&self, tables: Tables, accumulator: &dyn Accumulator) -> Result<Vec<Input>, Failure> {
        let (query, region) = (&self.due.charged.query, self.due.region);
        if tables.members.len() != query.members().len() {
            return Err(Failure::Internal);
        }
        let input = |table: Arc<dyn Table>, selection: &RowSelection<'_>| -> Result<Input, Failure> {
            let template =
                Template::new(&self.session, &|wanted| table.schema(wanted), selection, &self.counted)?;
            Ok(Input { table, template: Arc::new(template) })
        };
        let scalars = accumulator.scalars();
        let (cutoffs, filter) = (query.cutoffs(), query.filter());
        let own = RowSelection { region, cutoffs, filter, scalars: &scalars };
        let mut inputs = vec![input(tables.events, &own)?];
        for (member, table) in query.members().iter().zip(tables.members) {
            let (cutoffs, filter) = (&member.cutoffs, member.filter.as_ref());
            inputs.push(input(table, &RowSelection { region, cutoffs, filter, scalars: &[] })?);
        }
        Ok(inputs)
    }
}

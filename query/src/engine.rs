//! The facade: one question, all stages, one answer.
//!
//! Invariants: refusals come before anything is read and cost nothing; once something is paid, every failure is the same
//! opaque one. Queries run on threads and memory of their own. An answer that is made of events leaves at a time that is
//! decided before they are read, and no answer leaves before its line of the audit is durable. An expired day is not read: the
//! range is cut by `now_ms`, and a query that reads a day which expires at midnight does not run over midnight. A question goes by the
//! definitions that are in force when it comes.
//!
//! - `priced`: the first half, away from where requests come in; `attempt`: a statement is tried; `prepared`: all that is known
//!   before anything is read; `suggested`: what a refusal suggests; `job`: the rest; `threads`: where it runs
//!
//! Not here: who may ask (`shoal-server`), the stages themselves.

mod attempt;
#[cfg(test)]
mod in_tests;
mod job;
mod prepared;
mod priced;
mod suggested;
mod threads;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shoal_audit::{Act, ActOutcome, Audit, Origin};
use shoal_schemas::{InForce, Region};
use shoal_storage::{BudgetLedger, Store};
use tokio::time::Instant;

use self::attempt::Attempts;
use self::job::{Job, JobTiming};
use self::priced::{Next, Priced, ToAnswer, ToPrice};
use self::threads::{on_queries, on_readers, threads};
use crate::audit::{self, Entry};
use crate::budget::{BudgetAnswer, BudgetError, BudgetRequest, Reader};
use crate::charge::Caps;
use crate::clock::SystemClock;
use crate::config::QueryConfig;
use crate::error::{NoAnswer, QueryError};
use crate::grant::AnalystGrant;
use crate::ledger::Budget;
use crate::literals::PublicWords;
use crate::metrics::Metrics;
use crate::release::{Ready, Released, SizeBounds};
use crate::request::QueryRequest;
use crate::running::{QueryId, Running, RunningQuery};
use crate::scan::{LocalScan, READING_BYTES_MAX, Reading, Runner, Scan};
use crate::schedule::{Latest, Schedule};
use crate::tables::{TablesAnswer, tables};
use shoal_postprocess::session;
use shoal_postprocess::{Limits, PoolConfig, Postprocessor};

/// Memory of what DataFusion may allocate while expressions are made; they are evaluated outside of it.
const EXPRESSIONS_BYTES_MAX: usize = 16 << 20;

/// The longest time from the end of a query's turn to its answer: its seal, and the postprocessing.
const AFTERWARDS: Duration = Duration::from_secs(15);

/// Statements that are read, taken apart and priced at one time: away from the threads that take events.
const READERS: usize = 2;

/// Answers questions.
pub struct Engine {
    scan: Arc<dyn Scan>,
    budget: Budget,
    definitions: InForce,
    attempts: Arc<Attempts>,
    config: QueryConfig,
    metrics: Metrics,
    threads: Option<tokio::runtime::Runtime>,
    /// Where statements are read and priced.
    readers: Option<tokio::runtime::Runtime>,
    schedule: Arc<Schedule>,
    running: Running,
    audit: Arc<Audit>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        for threads in [self.threads.take(), self.readers.take()].into_iter().flatten() {
            threads.shutdown_background();
        }
    }
}

/// The line of a query in the audit, begun.
pub(crate) fn entry(
    audit: &Arc<Audit>,
    id: QueryId,
    grant: &AnalystGrant,
    request: &QueryRequest,
    now_ms: i64,
) -> Entry {
    let origin = Origin { at_ms: now_ms, act: Act::Query, id: id.as_uuid(), actor: grant.actor() };
    Entry::begin(audit, origin, request.precision.as_str(), request.sd_max)
}

impl Engine {
    /// An engine over a store and the ledger of its budget. The postprocessing runs in this process until
    /// [`Engine::with_workers`].
    pub fn new(
        store: Store,
        ledger: BudgetLedger,
        definitions: impl Into<InForce>,
        config: QueryConfig,
        metrics: Metrics,
    ) -> Engine {
        let definitions = definitions.into();
        let scan = LocalScan::new(store, definitions.clone(), Engine::runner(&config));
        Engine::over(Arc::new(scan), ledger, definitions, config, metrics)
    }

    /// What scans of this configuration run with.
    pub(crate) fn runner(config: &QueryConfig) -> Runner {
        let runtime = session::runtime(EXPRESSIONS_BYTES_MAX)
            .expect("a pool in memory without a disk needs nothing that can be missing");
        Runner::new(runtime, config.memory(), READING_BYTES_MAX)
    }

    pub(crate) fn over(
        scan: Arc<dyn Scan>,
        ledger: BudgetLedger,
        definitions: impl Into<InForce>,
        config: QueryConfig,
        metrics: Metrics,
    ) -> Engine {
        let definitions = definitions.into();
        let (readers, threads) = (threads("read", READERS), threads("query", config.threads));
        let schedule =
            Arc::new(Schedule::new(Arc::new(SystemClock), config.concurrent_max, &config.answer_times_ms));
        let running = Running::new(config.concurrent_max);
        let audit = Arc::new(Audit::none());
        let postprocessor = Arc::new(Postprocessor::in_process(Limits::default()));
        let budget = Budget::new(ledger, config.epochs.clone(), config.preset.cap(), config.threshold_delta);
        let caps = Caps {
            rho_block_max: config.preset.cap(),
            epochs: config.epochs.clone(),
            k_min: config.k_min,
            threshold_delta: config.threshold_delta,
            cells_max: config.cells_max,
            memory: config.memory(),
        };
        let (registry, first_days) = (definitions.current(), Arc::default());
        let attempts = Arc::new(Attempts {
            registry,
            first_days,
            caps,
            postprocessor,
            #[cfg(test)]
            panics: false,
        });
        Engine {
            scan,
            budget,
            definitions,
            attempts,
            config,
            metrics,
            threads,
            readers,
            schedule,
            running,
            audit,
        }
    }

    /// With an audit, without which nothing is kept of who asked what.
    #[must_use]
    pub fn with_audit(mut self, audit: Arc<Audit>) -> Engine {
        self.audit = audit;
        self
    }

    /// With processes of this program (`<program> worker <limits>`) for the postprocessing.
    #[must_use]
    pub fn with_workers(mut self, program: PathBuf) -> Engine {
        let config = PoolConfig { workers_max: self.config.concurrent_max.max(1), ..PoolConfig::of(program) };
        Arc::make_mut(&mut self.attempts).postprocessor = Arc::new(Postprocessor::in_workers(config));
        self
    }

    /// With the day on which each region was first served: what names no first day asks of none before it.
    #[must_use]
    pub fn with_first_days(mut self, first_days: BTreeMap<Region, i32>) -> Engine {
        Arc::make_mut(&mut self.attempts).first_days = Arc::new(first_days);
        self
    }

    /// Starts one worker ahead of the first question; without one, the first question does.
    pub async fn warm(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        if self.attempts.postprocessor.warm(deadline).await.is_err() {
            tracing::warn!("no worker for queries could be started yet");
        }
    }

    /// Cancels a query; answers whether there was one that this key may cancel.
    pub fn cancel(&self, grant: &AnalystGrant, id: QueryId) -> bool {
        self.running.cancel(id, grant)
    }

    /// The key's own queries that are not answered yet.
    pub fn running(&self, grant: &AnalystGrant) -> Vec<RunningQuery> {
        self.running.list(grant)
    }

    /// What can be asked with a key.
    pub fn tables(&self, grant: &AnalystGrant) -> TablesAnswer {
        tables(&self.definitions.current(), &grant.regions, &self.config)
    }

    /// What the blocks of the key's regions have left at `now_ms`, and what spent it.
    ///
    /// # Errors
    /// [`BudgetError`].
    pub async fn budget(
        &self,
        grant: &AnalystGrant,
        request: &BudgetRequest,
        now_ms: i64,
    ) -> Result<BudgetAnswer, BudgetError> {
        let (registry, budget) = (self.definitions.current(), self.budget.clone());
        let (grant, request) = (grant.clone(), request.clone());
        let list = async move {
            let reader = Reader { grant: &grant, words: PublicWords::of(&registry) };
            budget.list(&reader, &request, now_ms).await
        };
        match on_readers(self.readers.as_ref(), list, self.reading_deadline()).await {
            Ok(list) => list,
            Err(no) => {
                if let NoAnswer::Failed(failure) = no {
                    tracing::error!(cause = failure.as_str(), "a list of budgets failed");
                }
                Err(BudgetError::Failed)
            }
        }
    }

    /// Answers a question at `now_ms` (milliseconds since 1970, UTC).
    ///
    /// # Errors
    /// [`QueryError`]; only [`QueryError::Failed`] is charged.
    pub async fn answer(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
    ) -> Result<Released, QueryError> {
        let id = request.id.unwrap_or_else(QueryId::random);
        let mut entry = entry(&self.audit, id, grant, request, now_ms);
        let (answer, is_cancelled) = match self.running.enter(id, grant, now_ms) {
            None => (Err(QueryError::Busy), false),
            Some(seat) => tokio::select! {
                biased;
                () = seat.cancelled() => (Err(QueryError::Failed), true),
                ready = self.noted(grant, request, now_ms, &self.scan, &mut entry) => {
                    // What is ready cannot be cancelled any more.
                    (Ready::sealed(ready).await.map_err(|no| self.told(no, id)), false)
                }
            },
        };
        self.metrics.ended(answer.as_ref().err(), request.dry_run);
        let outcome = match (&answer, is_cancelled) {
            (_, true) => ActOutcome::Cancelled,
            (Ok(released), _) if released.is_explained() => ActOutcome::Explained,
            _ => audit::outcome(&answer, request.dry_run),
        };
        if let Err(QueryError::Refused(refusal)) = &answer {
            entry.refused(refusal);
        }
        entry.end(outcome).await.map_err(|failure| self.told(failure.into(), id))?;
        answer
    }

    /// What the asker is told. The operator is told the class of a failure, which holds nothing of a text or of an event.
    fn told(&self, no: NoAnswer, id: QueryId) -> QueryError {
        match no {
            NoAnswer::Told(error) => error,
            NoAnswer::Failed(failure) => {
                self.metrics.failed(failure);
                tracing::error!(query = %id, cause = failure.as_str(), "a query failed after it had started");
                QueryError::Failed
            }
        }
    }

    /// Until when a statement must be read and priced.
    fn reading_deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.config.time_ms_max)
    }

    /// What a question is priced with.
    fn to_price(&self, grant: &AnalystGrant, request: &QueryRequest, now_ms: i64, entry: &Entry) -> ToPrice {
        let budget = self.budget.noting(entry.receipts());
        let is_timed = self.schedule.is_timed();
        let sizes = || SizeBounds::of(budget.ledger().day_limits(), self.config.subject_day_events_max);
        ToPrice {
            attempts: self.attempts.by(self.definitions.current()),
            sizes: is_timed.then(sizes),
            budget,
            is_audited: entry.is_kept(),
            key_id: grant.key_id.clone(),
            regions: grant.regions.clone(),
            request: request.clone(),
            now_ms,
            deadline: self.reading_deadline(),
        }
    }

    /// Prices a question on the readers' threads.
    async fn priced(&self, to_price: ToPrice) -> Result<Priced, NoAnswer> {
        let deadline = to_price.deadline;
        on_readers(self.readers.as_ref(), to_price.priced(), deadline).await
    }

    /// ask -> check -> charge -> look up -> (reserve -> scan -> release) -> postprocess.
    async fn noted(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
        scan: &Arc<dyn Scan>,
        entry: &mut Entry,
    ) -> Result<Ready, NoAnswer> {
        let to_price = self.to_price(grant, request, now_ms, entry);
        let budget = to_price.budget.clone();
        let Priced { asked, next } = self.priced(to_price).await?;
        entry.asks(asked);
        let ToAnswer { prepared, looked_up, paid } = match next? {
            Next::Free(released) => return Ok(Ready::free(*released)),
            Next::Answer(to_answer) => *to_answer,
        };
        let sizes = SizeBounds::of(budget.ledger().day_limits(), self.config.subject_day_events_max);
        let postprocessor = &self.attempts.postprocessor;
        let (since, longest) = (self.schedule.clock().now(), Duration::from_millis(self.config.time_ms_max));
        let expiry = prepared.until_expiry(now_ms);
        let latest = Latest { begin: since + longest, end: expiry.map(|until| since + until) };
        // A question waits for its turn, has it, and is answered.
        let deadline = match self.schedule.is_timed() {
            true => since + longest + longest + AFTERWARDS,
            false => since + expiry.unwrap_or(longest).min(longest),
        };
        // A sealed part stays: whatever is not in the ledger now has expired.
        entry.reads(if paid.blocks == 0 { audit::Source::Ledger } else { audit::Source::Events });
        let job = Job {
            prepared,
            looked_up,
            scan: Arc::clone(scan),
            postprocessor: Arc::clone(postprocessor),
            budget,
            metrics: self.metrics.clone(),
            timing: JobTiming {
                schedule: Arc::clone(&self.schedule),
                row_time_ns: self.config.row_time_ns,
                sizes,
                reading: Reading { bytes_max: READING_BYTES_MAX, memory: self.config.memory() },
                longest,
                latest,
                decided_ms: entry.decided_ms(),
            },
            asker: grant.key_id.clone(),
            now_ms,
            deadline,
        };
        let running = self.metrics.run();
        let work = async move {
            let _until_the_end = running;
            job.run().await
        };
        on_queries(self.threads.as_ref(), work, deadline).await
    }
}

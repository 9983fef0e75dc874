//! The facade: one question, all stages, one answer.
//!
//! Invariants: refusals come before anything is read and cost nothing; after [`charge()`] every failure is the same
//! opaque one. Queries run on threads and memory of their own. An answer that was made of events leaves at one of the
//! configured times only, and no answer leaves before its line of the audit is durable. An expired day is not read: the range is cut by `now_ms`, and a query that reads a day which expires at
//! midnight does not run over midnight.
//! Not here: who may ask (`shoal-server`), the stages themselves.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use serde::{Deserialize, Serialize};
use shoal_privacy::budget::Precision;
use shoal_privacy::noise::OsEntropy;
use shoal_schemas::{Region, Registry};
use shoal_storage::{BudgetLedger, Store};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::answer_times::AnswerClock;
use crate::audit::{Audit, Entry, Outcome, Source};
use crate::bind::{CELLS_MAX, bind};
use crate::budget::{BudgetAnswer, BudgetError, BudgetRequest};
use crate::calendar::{DAY_MS, day_of, start_of};
use crate::charge::{Caps, ChargedQuery, charge};
use crate::config::QueryConfig;
use crate::error::QueryError;
use crate::execute::{Failure, RegionSources, ScanLimits, Source, Wanted, execute};
use crate::free::Free;
use crate::ledger::Budget;
use crate::metrics::Metrics;
use crate::parse::parse;
use crate::private_query::PrivateQuery;
use crate::release::{Asked, Groups, Preamble, Released, answer, finish, quote};
use crate::running::{QueryId, Running, RunningQuery};
use crate::session;
use crate::tables::{TablesAnswer, tables};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Asks questions.
    Analyst,
    /// Asks questions; acts for subjects elsewhere.
    Officer,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct AnalystGrant {
    /// The key's public part.
    pub key_id: String,
    /// What it may do.
    pub role: Role,
    /// The regions it reaches.
    pub regions: Vec<Region>,
}

/// One question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    /// By which it can be cancelled; none: one that nobody knows.
    #[serde(default)]
    pub id: Option<QueryId>,
    /// The statement.
    pub sql: String,
    /// How much noise, and so the price.
    #[serde(default)]
    pub precision: Precision,
    /// The largest standard deviation that is wanted, above 0; it takes the place of `precision`.
    #[serde(default)]
    pub sd_max: Option<f64>,
    /// Only the price; nothing is read or charged.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answers questions.
pub struct Engine {
    store: Option<Store>,
    budget: Budget,
    registry: Arc<Registry>,
    config: QueryConfig,
    metrics: Metrics,
    memory: Arc<RuntimeEnv>,
    threads: Option<tokio::runtime::Runtime>,
    places: Arc<Semaphore>,
    running: Running,
    audit: Arc<Audit>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// A question that is bound and priced; nothing has been read.
pub(crate) struct Prepared {
    pub(crate) charged: ChargedQuery,
    pub(crate) free: Free,
    pub(crate) preamble: Preamble,
}

/// Everything that runs away from the caller.
struct Job {
    prepared: Prepared,
    store: Option<Store>,
    registry: Arc<Registry>,
    memory: Arc<RuntimeEnv>,
    limits: ScanLimits,
    threads: usize,
    budget: Budget,
    metrics: Metrics,
    /// When it was asked, and until when it may wait for other askers.
    at: (i64, Instant),
}

impl Engine {
    /// An engine over a store and the ledger of its budget.
    pub fn new(
        store: Store,
        ledger: BudgetLedger,
        registry: Arc<Registry>,
        config: QueryConfig,
        metrics: Metrics,
    ) -> Engine {
        Engine::over(Some(store), ledger, registry, config, metrics)
    }

    pub(crate) fn over(
        store: Option<Store>,
        ledger: BudgetLedger,
        registry: Arc<Registry>,
        config: QueryConfig,
        metrics: Metrics,
    ) -> Engine {
        let memory = session::runtime(config.memory_bytes_max)
            .expect("a pool in memory without a disk needs nothing that can be missing");
        // Without threads of its own (the system gives none) the caller's runtime takes the work.
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("query")
            .enable_all()
            .build()
            .ok();
        let places = Arc::new(Semaphore::new(config.concurrent_max.max(1)));
        let running = Running::new(config.concurrent_max);
        let audit = Arc::new(Audit::none());
        let budget = Budget::new(ledger, config.epochs.clone(), config.preset.cap());
        Engine { store, budget, registry, config, metrics, memory, threads, places, running, audit }
    }

    /// With an audit, without which nothing is kept of who asked what.
    #[must_use]
    pub fn with_audit(mut self, audit: Audit) -> Engine {
        self.audit = Arc::new(audit);
        self
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
        tables(&self.registry, &grant.regions, &self.config)
    }

    /// What blocks have spent and have left, of the regions that a key reaches.
    ///
    /// # Errors
    /// [`BudgetError`]
    pub async fn budget(
        &self,
        grant: &AnalystGrant,
        request: &BudgetRequest,
        now_ms: i64,
    ) -> Result<BudgetAnswer, BudgetError> {
        self.budget.list(&grant.regions, request, now_ms).await
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
        let clock = AnswerClock::start();
        let id = request.id.unwrap_or_else(QueryId::random);
        let mut entry = self.audit.begin(id, grant, request, now_ms);
        let (answer, is_cancelled, at_ms) = match self.running.enter(id, grant, now_ms) {
            None => (Err(QueryError::Busy), false, None),
            Some(seat) => {
                let work = async {
                    let answer = self.noted(grant, request, now_ms, None, &mut entry).await;
                    let at_ms = match entry.has_read_events() {
                        true => Some(clock.wait(&self.config.answer_times_ms).await),
                        false => None,
                    };
                    (answer, false, at_ms)
                };
                tokio::select! {
                    biased;
                    () = seat.cancelled() => (Err(QueryError::Failed), true, None),
                    done = work => done,
                }
            }
        };
        self.metrics.ended(answer.as_ref().err(), request.dry_run);
        let outcome = match is_cancelled {
            true => Outcome::Cancelled,
            false => Outcome::of(&answer, request.dry_run),
        };
        entry.end(outcome, at_ms).await.map_err(|Failure| QueryError::Failed)?;
        answer
    }

    /// All stages, over tables in memory when some are given.
    #[cfg(test)]
    pub(crate) async fn stages(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
        given: Option<Vec<(Region, Source)>>,
    ) -> Result<Released, QueryError> {
        let mut entry = Arc::new(Audit::none()).begin(QueryId::random(), grant, request, now_ms);
        self.noted(grant, request, now_ms, given, &mut entry).await
    }

    /// parse -> bind -> charge -> execute -> release -> what stands above. `given` replaces the store in tests.
    async fn noted(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
        given: Option<Vec<(Region, Arc<dyn TableProvider>)>>,
        entry: &mut Entry,
    ) -> Result<Released, QueryError> {
        let prepared = self.prepare(grant, request, now_ms).await?;
        entry.asks(&prepared.charged.query, &prepared.charged.price.to_string());
        if request.dry_run {
            return self.priced(prepared, now_ms).await;
        }
        let (time, waiting) = (self.time(&prepared.charged, now_ms), Instant::now());
        let permit = tokio::time::timeout(time, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(QueryError::Busy) };
        let time = time.saturating_sub(waiting.elapsed());
        entry.reads(Source::Events);
        let job = Job {
            prepared,
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            memory: Arc::clone(&self.memory),
            limits: ScanLimits { cells_max: self.config.cells_max, threads: self.config.threads },
            threads: self.config.threads,
            budget: self.budget.clone(),
            metrics: self.metrics.clone(),
            at: (now_ms, Instant::now() + time),
        };
        let running = self.metrics.run();
        let work = async move {
            let _until_the_end = (permit, running);
            job.run(given).await
        };
        let handle = match &self.threads {
            Some(threads) => threads.spawn(work),
            None => tokio::spawn(work),
        };
        let cancel = CancelOnDrop(handle.abort_handle());
        let done = tokio::time::timeout(time, handle).await;
        drop(cancel);
        match done {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(QueryError::Failed),
        }
    }

    pub(crate) async fn prepare(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
    ) -> Result<Prepared, QueryError> {
        let parsed = parse(&request.sql)?;
        let bound = bind(&parsed, &self.registry, &grant.regions, now_ms)?;
        bound.free.check(&bound.query, &session::above(&self.memory)).await?;
        let caps = Caps {
            rho_block_max: self.config.preset.cap(),
            epochs: self.config.epochs.clone(),
            k_min: self.config.k_min,
            threshold_delta: self.config.threshold_delta,
        };
        let charged = charge(bound.query, request.precision.into(), &caps)?;
        let preamble = Preamble::of(&charged, caps.rho_block_max);
        Ok(Prepared { charged, free: bound.free, preamble })
    }

    /// The answer to a dry run: everything but rows.
    async fn priced(&self, mut prepared: Prepared, now_ms: i64) -> Result<Released, QueryError> {
        let asked =
            Asked { budget: &self.budget, now_ms, deadline: Instant::now(), rows_max: 0, charged: &|_| {} };
        let paid = quote(std::slice::from_ref(&prepared.charged), &asked).await?;
        prepared.preamble.paid(&paid);
        let none = Groups { rows: Default::default() };
        let session = session::above(&self.memory);
        let (columns, batch) = prepared
            .free
            .run(&prepared.charged.query, &none, &session)
            .await
            .map_err(|Failure| QueryError::Failed)?;
        Ok(finish(prepared.preamble, columns, batch, true))
    }

    /// How long a query may run: not past midnight when it reads a day that expires then.
    fn time(&self, charged: &ChargedQuery, now_ms: i64) -> Duration {
        let query = &charged.query;
        let expiring = query.cutoffs.iter().any(|(_, day)| *day >= query.days.first);
        let midnight = start_of(day_of(now_ms)) + DAY_MS - now_ms;
        let most = self.config.time_ms_max;
        Duration::from_millis(match expiring {
            true => most.min(u64::try_from(midnight).unwrap_or(0)),
            false => most,
        })
    }
}

/// Stops the work when nobody waits for it any more.
struct CancelOnDrop(tokio::task::AbortHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Job {
    async fn run(self, given: Option<Vec<(Region, Arc<dyn TableProvider>)>>) -> Result<Released, QueryError> {
        let session = session::empty(&self.memory, self.threads);
        let given = given.as_deref();
        let execute = |due: ChargedQuery| {
            let (job, session) = (&self, &session);
            async move {
                let tables = match given {
                    Some(tables) => {
                        let due = |(region, _): &&(Region, _)| due.query.regions.contains(region);
                        tables.iter().filter(due).cloned().collect()
                    }
                    None => job.open(&due.query).await?,
                };
                execute(due, tables, session, job.limits, &mut OsEntropy::new()).await
            }
        };
        let asked = Asked {
            budget: &self.budget,
            now_ms: self.at.0,
            deadline: self.at.1,
            rows_max: usize::try_from(CELLS_MAX).unwrap_or(usize::MAX),
            charged: &|blocks| self.metrics.charged(blocks),
        };
        let charged = &self.prepared.charged;
        let answered = answer(std::slice::from_ref(charged), &asked, execute).await?;
        let groups = answered.groups.into_iter().next().ok_or(QueryError::Failed)?;
        let above = session::above(&self.memory);
        let shown = self.prepared.free.run(&charged.query, &groups, &above).await;
        let (columns, batch) = shown.map_err(|Failure| QueryError::Failed)?;
        let mut preamble = self.prepared.preamble;
        preamble.paid(&answered.paid);
        Ok(finish(preamble, columns, batch, false))
    }

    /// The readable files of each region.
    async fn open(&self, query: &PrivateQuery) -> Result<Vec<(Region, Arc<dyn TableProvider>)>, Failure> {
        let store = self.store.as_ref().ok_or(Failure)?;
        let mut tables = Vec::with_capacity(query.regions.len());
        for region in &query.regions {
            let def = self.registry.table(query.table);
            let table = store.table(*region, def).await.map_err(|_| Failure)?;
            let snapshot = table.snapshot().await.map_err(|_| Failure)?;
            tables.push((*region, Source::Files(snapshot)));
        }
        Ok(tables)
    }
}

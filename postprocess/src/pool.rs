//! The parent's side of the worker processes.
//!
//! Invariants: a worker serves one request at a time. One that is late, dies, answers too much or answers nonsense is
//! killed, and so is one whose asker has gone away: only a worker that has answered is used again. A worker's environment
//! is empty, its errors go nowhere. The parent holds at most one request and one answer of a limited size of each.
//! Not here: what a worker does (`worker`).

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::askers::{Askers, Turn};
use super::refuse;
use super::released::{ReleasedSchema, ReleasedTable};
use super::wire::{Reply, Request, frame, parts};
use super::worker::WorkerLimits;
use crate::column::Column;
use crate::error::Failure;
use crate::error::PostprocessError;

/// The longest time for which a check has a worker. It is free of charge, so it must not hold up others; a text is planned in
/// milliseconds. A build without optimisation takes many times as long.
const CHECK_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 3 });

/// How workers are started, and how many.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The program; its arguments are `worker` and the limits as JSON.
    pub program: PathBuf,
    /// Most workers at a time.
    pub workers_max: usize,
    /// Requests after which a worker is replaced, so that fragmented memory does not add up.
    pub requests_max: u32,
    /// Largest answer that is read.
    pub answer_bytes_max: usize,
    /// What each may use.
    pub limits: WorkerLimits,
}

impl PoolConfig {
    /// The defaults, for a program.
    pub fn of(program: PathBuf) -> PoolConfig {
        let limits = WorkerLimits::default();
        PoolConfig { program, workers_max: 2, requests_max: 1_000, answer_bytes_max: 64 << 20, limits }
    }
}

/// Worker processes.
pub(crate) struct Pool {
    config: PoolConfig,
    places: Semaphore,
    askers: Box<Askers>,
    idle: Mutex<Vec<Worker>>,
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    served: u32,
}

/// How long an exchange may take.
struct Until {
    deadline: Instant,
    /// From when there is a worker.
    longest: Duration,
}

/// Why there is no reply.
enum Trouble {
    /// No worker could be had in time.
    NoWorker,
    /// The request was too large, or the worker was late, died, or answered what cannot be read.
    Stopped(Failure),
}

impl Pool {
    /// A pool without a worker; they are started when they are needed.
    pub(crate) fn new(config: PoolConfig) -> Pool {
        let places = Semaphore::new(config.workers_max.max(1));
        let askers = Box::new(Askers::of(config.workers_max));
        Pool { config, places, askers, idle: Mutex::new(Vec::new()) }
    }

    /// See [`super::Postprocessor::turn`].
    pub(super) async fn turn(&self, key: &str) -> Turn {
        self.askers.turn(key).await
    }

    /// Starts one worker ahead of the first question.
    ///
    /// # Errors
    /// [`Failure`] when it does not start.
    pub(crate) async fn warm(&self, deadline: Instant) -> Result<(), Failure> {
        let worker = timeout_at(deadline, self.start()).await.map_err(|_| Failure::Time)??;
        self.idle().push(worker);
        Ok(())
    }

    /// See [`super::Postprocessor::check`].
    pub(super) async fn check(
        &self,
        sql: &str,
        schemas: &[ReleasedSchema],
        deadline: Instant,
    ) -> Result<Vec<Column>, PostprocessError> {
        let request = Request::Check { sql: sql.to_owned(), schemas: schemas.to_vec() };
        let ask = self.ask(&request, &[], Until { deadline, longest: CHECK_MAX });
        match ask.await {
            Ok((Reply::Columns(columns), _)) => Ok(columns),
            Ok((Reply::Refused(refusal), _)) => Err(PostprocessError::Refused(refusal)),
            Ok(_) | Err(Trouble::Stopped(_)) => Err(refuse::too_much().into()),
            Err(Trouble::NoWorker) => Err(PostprocessError::Busy),
        }
    }

    /// See [`super::Postprocessor::run`].
    pub(super) async fn run(
        &self,
        sql: &str,
        tables: Vec<ReleasedTable>,
        deadline: Instant,
    ) -> Result<(Vec<Column>, RecordBatch), Failure> {
        let (schemas, batches): (Vec<_>, Vec<_>) = tables.into_iter().map(|t| (t.schema, t.batch)).unzip();
        let request = Request::Run { sql: sql.to_owned(), schemas };
        let ask = self.ask(&request, &batches, Until { deadline, longest: Duration::MAX });
        match ask.await {
            Ok((Reply::Rows(columns), batches)) => {
                let [batch] = <[RecordBatch; 1]>::try_from(batches).map_err(|_| Failure::Worker)?;
                let is_sound = batch.num_columns() == columns.len();
                is_sound.then_some((columns, batch)).ok_or(Failure::Worker)
            }
            Ok((Reply::Failed(failure), _)) => Err(failure),
            Ok(_) => Err(Failure::Worker),
            Err(Trouble::Stopped(failure)) => Err(failure),
            Err(Trouble::NoWorker) => Err(Failure::Worker),
        }
    }

    async fn ask(
        &self,
        request: &Request,
        batches: &[RecordBatch],
        until: Until,
    ) -> Result<(Reply, Vec<RecordBatch>), Trouble> {
        let deadline = until.deadline;
        let request = frame(request, batches).map_err(Trouble::Stopped)?;
        if request.len() > self.config.limits.request_bytes_max {
            return Err(Trouble::Stopped(Failure::Limit));
        }
        let place = timeout_at(deadline, self.places.acquire()).await;
        let _until_the_end = place.map_err(|_| Trouble::NoWorker)?.map_err(|_| Trouble::NoWorker)?;
        // While it is asked the worker is owned here: whatever ends this future kills it.
        let mut worker = match self.rested() {
            Some(worker) => worker,
            None => {
                let started = timeout_at(deadline, self.start()).await;
                started.map_err(|_| Trouble::NoWorker)?.map_err(|_| Trouble::NoWorker)?
            }
        };
        let late = Instant::now().checked_add(until.longest).map_or(deadline, |late| late.min(deadline));
        let answered = timeout_at(late, worker.exchange(&request, self.config.answer_bytes_max)).await;
        let answer = answered.map_err(|_| Trouble::Stopped(Failure::Time))?.map_err(Trouble::Stopped)?;
        let reply = parts::<Reply>(&answer).map_err(|_| Trouble::Stopped(Failure::Worker))?;
        // One that failed may have little memory left.
        let has_failed = matches!(reply.0, Reply::Failed(_));
        if worker.served < self.config.requests_max && !has_failed {
            self.idle().push(worker);
        }
        Ok(reply)
    }

    /// The worker that answered last: it has the plan of what it was asked last.
    fn rested(&self) -> Option<Worker> {
        let mut idle = self.idle();
        while let Some(mut worker) = idle.pop() {
            if matches!(worker.child.try_wait(), Ok(None)) {
                return Some(worker);
            }
        }
        None
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self) -> Result<Worker, Failure> {
        let limits = serde_json::to_string(&self.config.limits).map_err(|_| Failure::Internal)?;
        let mut child = Command::new(&self.config.program)
            .arg("worker")
            .arg(limits)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                tracing::error!(%error, "a worker for queries does not start");
                Failure::Worker
            })?;
        let input = child.stdin.take().ok_or(Failure::Internal)?;
        let output = child.stdout.take().ok_or(Failure::Internal)?;
        let mut worker = Worker { child, input, output, served: 0 };
        let ready = worker.read(self.config.answer_bytes_max).await?;
        let (Reply::Ready { landlock }, _) = parts::<Reply>(&ready)? else { return Err(Failure::Internal) };
        let pid = worker.child.id();
        tracing::debug!(pid, landlock = landlock.as_str(), "a worker for queries has started");
        Ok(worker)
    }

    /// Whether the worker that rests lives.
    #[cfg(test)]
    pub(super) fn has_one_alive(&self) -> bool {
        self.idle().iter_mut().any(|worker| matches!(worker.child.try_wait(), Ok(None)))
    }

    /// Process ids of the workers that rest.
    #[cfg(test)]
    pub(super) fn resting(&self) -> Vec<u32> {
        self.idle().iter().filter_map(|worker| worker.child.id()).collect()
    }
}

impl Worker {
    async fn exchange(&mut self, request: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
        self.served += 1;
        self.input.write_all(request).await.map_err(|_| Failure::Worker)?;
        self.input.flush().await.map_err(|_| Failure::Worker)?;
        self.read(bytes_max).await
    }

    async fn read(&mut self, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let length = self.output.read_u32_le().await.map_err(|_| Failure::Worker)? as usize;
        if length > bytes_max {
            return Err(Failure::Limit);
        }
        let mut frame = vec![0; length];
        self.output.read_exact(&mut frame).await.map_err(|_| Failure::Worker)?;
        Ok(frame)
    }
}

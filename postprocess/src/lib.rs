//! Postprocessing: ordinary SQL over released rows, free of charge and with error bars.
//!
//! What is computed from a private release alone stays private (the postprocessing theorem: Dwork and Roth 2014,
//! proposition 2.1), so nothing here is charged.
//!
//! ```text
//! text -plan-> LogicalPlan -gate-> -replicate-> plan with companions -optimise-> kept  -run on the released rows-> answer
//! ```
//! Invariants: the input is released and so anonymous already; nothing here can reach an event. [`Postprocessor::check`]
//! plans and runs a text on tables without rows before anything is charged, so that a text that cannot work is refused. The
//! refusal depends on the text and the releases' schemas alone. After that, every failure is the same opaque one. A text is
//! planned and run in a process of its own ([`Postprocessor::in_workers`]) under limits of memory and time;
//! [`Postprocessor::in_process`] is for tests and limits only the time and the memory pool. Both pass one conformance suite
//! (`tests`).
//!
//! - `released`: the tables; `functions`: the names that a text can use
//! - `gate`, `gate_expr`: which plans may run; `gate_counts`, `gate_growth`: how large they may be
//! - `replicate`, `signs`: error bars; `intervals`, `answer`: values, deviations and intervals
//! - `evaluate`: planning, keeping plans, running; `slot`: where rows come into a kept plan; `join_rows`: how many rows joins make
//! - `wire`, `worker`, `confine`, `pool`: the worker process and its parent; `askers`: turns of those who ask
//!
//! Not here: what touches events and how a release is made (`shoal-query`), which text comes here (`shoal-language`).

mod answer;
mod askers;
mod column;
mod confine;
mod error;
mod evaluate;
mod functions;
mod gate;
mod gate_counts;
mod gate_expr;
mod gate_growth;
mod intervals;
mod join_rows;
mod pool;
mod refuse;
mod released;
mod replicate;
pub mod session;
mod signs;
mod slot;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

use datafusion::arrow::record_batch::RecordBatch;
use tokio::time::{Instant, timeout_at};

pub use self::askers::Turn;
pub use self::column::{Column, ColumnKind, Estimate};
pub use self::error::{Failure, PostprocessError};
use self::evaluate::Evaluator;
pub use self::evaluate::Limits;
use self::pool::Pool;
pub use self::pool::PoolConfig;
pub use self::released::{KeyColumn, NumberColumn, ReleasedSchema, ReleasedTable};
pub use self::worker::{WorkerLimits, run as run_worker};

/// Where postprocessing SQL runs.
pub struct Postprocessor(Place);

enum Place {
    /// In this process.
    InProcess(Box<Evaluator>),
    /// In processes that hold nothing else.
    Workers(Pool),
}

impl Postprocessor {
    /// In this process: for tests, and for a program that answers nobody else.
    pub fn in_process(limits: Limits) -> Postprocessor {
        Postprocessor(Place::InProcess(Box::new(Evaluator::new(limits))))
    }

    /// In worker processes, which are started when they are needed.
    pub fn in_workers(config: PoolConfig) -> Postprocessor {
        Postprocessor(Place::Workers(Pool::new(config)))
    }

    /// Starts one worker ahead of the first question, where there are workers.
    ///
    /// # Errors
    /// [`Failure`] when it does not start before the deadline.
    pub async fn warm(&self, deadline: Instant) -> Result<(), Failure> {
        match &self.0 {
            Place::InProcess(_) => Ok(()),
            Place::Workers(pool) => pool.warm(deadline).await,
        }
    }

    /// Waits for the turn of whoever asks with this key. It is to be held while a text is checked or run, so that one key's
    /// statements never have all workers.
    ///
    /// # Errors
    /// [`PostprocessError::Busy`] when it does not come before the deadline.
    pub async fn turn(&self, key: &str, deadline: Instant) -> Result<Turn, PostprocessError> {
        match &self.0 {
            Place::InProcess(_) => Ok(Turn::free()),
            Place::Workers(pool) => {
                timeout_at(deadline, pool.turn(key)).await.map_err(|_| PostprocessError::Busy)
            }
        }
    }

    /// The columns of the answer to a text over releases of these schemas.
    ///
    /// # Errors
    /// [`PostprocessError::Refused`]: the text cannot work. [`PostprocessError::Busy`]: no worker can be had now.
    pub async fn check(
        &self,
        sql: &str,
        schemas: &[ReleasedSchema],
        deadline: Instant,
    ) -> Result<Vec<Column>, PostprocessError> {
        match &self.0 {
            Place::InProcess(evaluator) => {
                let done = timeout_at(deadline, evaluator.check(sql, schemas)).await;
                Ok(done.unwrap_or_else(|_| Err(refuse::too_much()))?)
            }
            Place::Workers(pool) => pool.check(sql, schemas, deadline).await,
        }
    }

    /// The answer's columns and rows.
    ///
    /// # Errors
    /// [`Failure`], without a reason.
    pub async fn run(
        &self,
        sql: &str,
        tables: Vec<ReleasedTable>,
        deadline: Instant,
    ) -> Result<(Vec<Column>, RecordBatch), Failure> {
        match &self.0 {
            Place::InProcess(evaluator) => {
                timeout_at(deadline, evaluator.run(sql, tables)).await.map_err(|_| Failure::Time)?
            }
            Place::Workers(pool) => pool.run(sql, tables, deadline).await,
        }
    }
}

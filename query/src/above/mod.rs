//! What stands above a release: ordinary SQL over released rows, for nothing, with error bars.
//!
//! ```text
//! text -plan-> LogicalPlan -gate-> -replicate-> plan with companions -optimise-> kept  -run on the released rows-> answer
//! ```
//! Invariants: the input is released, so anonymous already; nothing here can reach an event. [`Above::check`] plans and runs
//! everything on tables without rows before anything is charged, so that what cannot work is a refusal; it depends on
//! the text and the releases' schemas alone. After that every failure is the same opaque one. What a text can make
//! allocate happens in a process of its own ([`Above::Workers`]) under limits of memory and time; [`Above::InProcess`] has
//! only those of time and of the memory pool and is for tests. Both pass one conformance suite (`tests`).
//!
//! - `released`: the tables; `functions`: the names; `gate`, `gate_expr`: which plans may run
//! - `replicate`, `signs`: error bars; `answer`: values, deviations and intervals
//! - `evaluate`: planning, keeping plans, running; `slot`: where rows come into a kept plan
//! - `wire`, `worker`, `confine`, `pool`: the worker process and its parent
//!
//! Not here: what touches events (`execute`), what a release is (`release`).

mod answer;
mod confine;
mod evaluate;
mod functions;
mod gate;
mod gate_expr;
mod pool;
mod refuse;
mod released;
mod replicate;
mod signs;
mod slot;
#[cfg(test)]
mod tests;
mod wire;
pub(crate) mod worker;

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::evaluate::{Evaluator, Limits};
pub(crate) use self::gate_expr::SETS;
pub(crate) use self::pool::{Pool, PoolConfig};
pub(crate) use self::released::{NumberColumn, ReleasedSchema, ReleasedTable};
use crate::error::QueryError;
use crate::execute::Failure;
use crate::release::Column;

/// Where free SQL runs.
pub(crate) enum Above {
    /// In this process.
    InProcess(Arc<Evaluator>),
    /// In processes that hold nothing else.
    Workers(Pool),
}

impl Above {
    /// In this process; for tests.
    pub(crate) fn in_process(limits: Limits) -> Above {
        Above::InProcess(Arc::new(Evaluator::new(limits)))
    }

    /// The columns of the answer to a text over releases of these schemas.
    ///
    /// # Errors
    /// [`QueryError::Refused`]: the text cannot work. [`QueryError::Busy`]: no worker can be had now.
    pub(crate) async fn check(
        &self,
        sql: &str,
        schemas: &[ReleasedSchema],
        deadline: Instant,
    ) -> Result<Vec<Column>, QueryError> {
        match self {
            Above::InProcess(evaluator) => {
                let done = timeout_at(deadline, evaluator.check(sql, schemas)).await;
                Ok(done.unwrap_or_else(|_| Err(refuse::too_much()))?)
            }
            Above::Workers(pool) => pool.check(sql, schemas, deadline).await,
        }
    }

    /// The answer's columns and rows.
    ///
    /// # Errors
    /// [`Failure`], without a reason.
    pub(crate) async fn run(
        &self,
        sql: &str,
        tables: Vec<ReleasedTable>,
        deadline: Instant,
    ) -> Result<(Vec<Column>, RecordBatch), Failure> {
        match self {
            Above::InProcess(evaluator) => {
                timeout_at(deadline, evaluator.run(sql, tables)).await.map_err(|_| Failure)?
            }
            Above::Workers(pool) => pool.run(sql, tables, deadline).await,
        }
    }
}

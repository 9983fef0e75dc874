//! Plans postprocessing SQL, keeps the plans and runs them on released rows.
//!
//! Invariants: a plan is kept after the gate, replication and both planners and before it sees rows, so that a text that was
//! checked is not planned again; rows come in when it runs (`slot`). Rows, bytes and what joins can make (`join_rows`) are limited.
//! A run uses one thread and no disk.
//! Not here: limits of time (`lib`, `pool`), of a process (`confine`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::answer;
use super::functions::{Functions, Scope};
use super::gate::check;
use super::gate_growth::check_growth;
use super::join_rows::rows_max;
use super::refuse::{self, Stop};
use super::released::{ReleasedSchema, ReleasedTable};
use super::replicate::{Output, replicate};
use super::signs::Companions;
use super::slot::{Filled, Place, Slot};
use crate::column::Column;
use crate::error::Failure;
use crate::session;
use shoal_language::{Refusal, Rule};

/// How many plans are kept.
const PLANS_MAX: usize = 32;
/// The largest plan that is kept, so that what one analyst asks leaves memory for others.
const WEIGHT_MAX: usize = 8_000;

/// What one statement may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Rows of an answer.
    pub rows_max: usize,
    /// Rows that a join can make.
    pub pairs_max: usize,
    /// Memory of DataFusion's operators.
    pub memory_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rows_max: 100_000, pairs_max: 4_000_000, memory_bytes_max: 256 << 20 }
    }
}

/// A text that can run.
struct Planned {
    sql: String,
    schemas: Vec<ReleasedSchema>,
    plan: LogicalPlan,
    /// The plan itself is never run: each run has a copy without state.
    physical: Arc<dyn ExecutionPlan>,
    outputs: Vec<Output>,
    companions: Companions,
    moved: Arc<Vec<(usize, usize)>>,
    columns: Vec<Column>,
    /// About how many expressions it has.
    weight: usize,
}

/// Plans and runs postprocessing SQL.
pub(crate) struct Evaluator {
    limits: Limits,
    functions: Functions,
    state: SessionState,
    planner: DefaultPhysicalPlanner,
    plans: Mutex<VecDeque<Arc<Planned>>>,
}

impl Evaluator {
    /// An evaluator with a memory pool of its own.
    pub(crate) fn new(limits: Limits) -> Evaluator {
        let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
        config.options_mut().optimizer.max_passes = 2;
        // A kept plan has no state of a run.
        config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        let runtime = session::runtime(limits.memory_bytes_max)
            .expect("a pool in memory without a disk needs nothing that can be missing");
        let functions = Functions::new(Arc::clone(config.options()));
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).build();
        let plans = Mutex::new(VecDeque::with_capacity(PLANS_MAX));
        Evaluator { limits, functions, state, planner: DefaultPhysicalPlanner::default(), plans }
    }

    /// The columns of the answer. The text has then run once on tables without rows.
    ///
    /// # Errors
    /// A refusal.
    pub(crate) async fn check(&self, sql: &str, schemas: &[ReleasedSchema]) -> Result<Vec<Column>, Refusal> {
        let planned = self.planned(sql, schemas).await?;
        let tables: Vec<ReleasedTable> = schemas.iter().map(ReleasedTable::empty).collect();
        // What the text's own rows come to is known before any release is.
        if self.makes_too_many(&planned.plan, &tables) {
            return Err(refuse::too_many_rows());
        }
        let cannot = |_| {
            let message = "The postprocessing cannot run.";
            Refusal::whole(Rule::Type, message, refuse::PLAIN)
        };
        self.execute(&planned, tables).await.map_err(cannot)?;
        Ok(planned.columns.clone())
    }

    /// The answer.
    ///
    /// # Errors
    /// [`Failure`], for a text that [`Evaluator::check`] refuses too.
    pub(crate) async fn run(
        &self,
        sql: &str,
        tables: Vec<ReleasedTable>,
    ) -> Result<(Vec<Column>, RecordBatch), Failure> {
        if !tables.iter().all(ReleasedTable::is_sound) {
            return Err(Failure::Internal);
        }
        let schemas: Vec<ReleasedSchema> = tables.iter().map(|table| table.schema.clone()).collect();
        let planned = self.planned(sql, &schemas).await.map_err(|_| Failure::Internal)?;
        let batch = self.execute(&planned, tables).await?;
        Ok((planned.columns.clone(), batch))
    }

    async fn planned(&self, sql: &str, schemas: &[ReleasedSchema]) -> Result<Arc<Planned>, Refusal> {
        let known = |plan: &Arc<Planned>| plan.sql == sql && plan.schemas == schemas;
        let found = self.plans().iter().find(|plan| known(plan)).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let planned = Arc::new(self.plan(sql, schemas).await.map_err(Stop::refusal)?);
        if planned.weight > WEIGHT_MAX {
            return Ok(planned);
        }
        let mut plans = self.plans();
        if plans.len() == PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back(Arc::clone(&planned));
        Ok(planned)
    }

    fn plans(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Planned>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn plan(&self, sql: &str, schemas: &[ReleasedSchema]) -> Result<Planned, Stop> {
        let statement = |message: &str| Refusal::whole(Rule::Statement, message, refuse::PLAIN);
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
            .map_err(|_| Refusal::whole(Rule::Syntax, "This is not SQL.", refuse::PLAIN))?;
        let Some(one) = statements.pop().filter(|_| statements.is_empty()) else {
            return Err(statement("Only one statement is answered.").into());
        };
        if !matches!(one, Statement::Query(_)) {
            return Err(statement("Only a SELECT is answered.").into());
        }
        let scope = Scope { functions: &self.functions, releases: schemas };
        let options = ParserOptions::new().with_map_string_types_to_utf8view(false);
        let plan = SqlToRel::new_with_options(&scope, options).sql_statement_to_plan(one)?;
        let expressions = check(&plan)?;
        check_growth(&plan)?;
        let replicated = replicate(&plan, schemas)?;
        let plan = self.state.optimize(&replicated.plan)?;
        let types: Vec<DataType> = plan.schema().fields().iter().map(|f| f.data_type().clone()).collect();
        let columns = answer::columns(&replicated.outputs, &types)?;
        let physical = self.planner.create_physical_plan(&plan, &self.state).await?;
        let companions = replicated.companions;
        let moved = Arc::new(moved(&plan, schemas, companions)?);
        let signs = companions.signs.of_fewer(moved.len());
        Ok(Planned {
            sql: sql.to_owned(),
            schemas: schemas.to_vec(),
            plan,
            physical,
            outputs: replicated.outputs,
            companions: Companions { signs, ..companions },
            weight: expressions * (companions.count() + 1),
            moved,
            columns,
        })
    }

    /// Whether a join of the plan can make more rows than it may.
    fn makes_too_many(&self, plan: &LogicalPlan, tables: &[ReleasedTable]) -> bool {
        rows_max(plan, tables) > self.limits.pairs_max as f64
    }

    async fn execute(&self, planned: &Planned, tables: Vec<ReleasedTable>) -> Result<RecordBatch, Failure> {
        if self.makes_too_many(&planned.plan, &tables) {
            return Err(Failure::Limit);
        }
        let (companions, moved) = (planned.companions, Arc::clone(&planned.moved));
        let filled = Filled { tables, companions, moved };
        let config = self.state.config().clone().with_extension(Arc::new(filled));
        let context = TaskContext::from(&self.state).with_session_config(config);
        let plan = reset_plan_states(Arc::clone(&planned.physical))?;
        let schema = plan.schema();
        let mut stream = execute_stream(plan, Arc::new(context))?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            if rows > self.limits.rows_max {
                return Err(Failure::Limit);
            }
            batches.push(batch);
        }
        answer::rows(&planned.columns, &planned.outputs, &concat_batches(&schema, &batches)?)
    }
}

/// The numbers whose companions a plan reads.
fn moved(
    plan: &LogicalPlan,
    schemas: &[ReleasedSchema],
    companions: Companions,
) -> Result<Vec<(usize, usize)>, Stop> {
    let mut moved = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(slot) = Slot::of(scan).filter(|slot| slot.is_wide)
            && let Some(release) = schemas.get(slot.at)
        {
            let (keys, numbers) = (release.keys.len(), release.numbers.len());
            let all = || (0..slot.columns.fields().len()).collect();
            for column in scan.projection.clone().unwrap_or_else(all) {
                if let Place::Companion { number, .. } = Place::of(column, keys, numbers, companions)
                    && !moved.contains(&(slot.at, number))
                {
                    moved.push((slot.at, number));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(moved)
}

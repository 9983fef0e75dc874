//! Plans free SQL, keeps plans, runs them on released rows.
//!
//! Invariants: a plan is kept as it is before it sees rows (after the gate, replication and the optimiser), so that a
//! text that was checked is not planned again; tables take the place of their schemas when it runs. Rows, bytes and joins
//! without an equality are limited. One thread, no disk.
//! Not here: limits of time (`mod`, `pool`), of a process (`confine`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::logical_plan::TableScan;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::answer;
use super::functions::{Functions, Scope, Source};
use super::gate::{Counts, check_plan};
use super::released::{ReleasedSchema, ReleasedTable};
use super::replicate::{Output, replicate};
use super::signs::Signs;
use crate::error::{Refusal, Rule};
use crate::execute::Failure;
use crate::release::Column;
use crate::session;

/// How many plans are kept.
const PLANS_MAX: usize = 32;

/// What one statement may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Rows of an answer.
    pub(crate) rows_max: usize,
    /// Rows that a join without an equality makes.
    pub(crate) pairs_max: usize,
    /// Memory of DataFusion's operators.
    pub(crate) memory_bytes_max: usize,
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
    outputs: Vec<Output>,
    signs: Signs,
    columns: Vec<Column>,
}

/// Plans and runs free SQL.
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
        let runtime = session::runtime(limits.memory_bytes_max)
            .expect("a pool in memory without a disk needs nothing that can be missing");
        let functions = Functions::new(Arc::clone(config.options()));
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).build();
        let plans = Mutex::new(VecDeque::with_capacity(PLANS_MAX));
        Evaluator { limits, functions, state, planner: DefaultPhysicalPlanner::default(), plans }
    }

    /// The columns of the answer; everything has run once on tables without rows.
    ///
    /// # Errors
    /// A refusal.
    pub(crate) async fn check(&self, sql: &str, schemas: &[ReleasedSchema]) -> Result<Vec<Column>, Refusal> {
        let planned = self.planned(sql, schemas)?;
        let tables: Vec<ReleasedTable> = schemas.iter().map(ReleasedTable::empty).collect();
        let cannot = |Failure| {
            let message = "The statement above the release cannot run.";
            let suggestion = "numbers with numbers, keys with literals of their type";
            Refusal::new(Rule::Type, Span::empty(), message, suggestion)
        };
        self.execute(&planned, &tables).await.map_err(cannot)?;
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
            return Err(Failure);
        }
        let schemas: Vec<ReleasedSchema> = tables.iter().map(|table| table.schema.clone()).collect();
        let planned = self.planned(sql, &schemas).map_err(|_| Failure)?;
        let batch = self.execute(&planned, &tables).await?;
        Ok((planned.columns.clone(), batch))
    }

    fn planned(&self, sql: &str, schemas: &[ReleasedSchema]) -> Result<Arc<Planned>, Refusal> {
        let known = |plan: &Arc<Planned>| plan.sql == sql && plan.schemas == schemas;
        let found = self.plans().iter().find(|plan| known(plan)).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let planned = Arc::new(self.plan(sql, schemas)?);
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

    fn plan(&self, sql: &str, schemas: &[ReleasedSchema]) -> Result<Planned, Refusal> {
        let statement =
            |message: &str| Refusal::new(Rule::Statement, Span::empty(), message, "SELECT .. FROM ..");
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|_| {
            Refusal::new(Rule::Syntax, Span::empty(), "This is not SQL.", "SELECT .. FROM ..")
        })?;
        let Some(one) = statements.pop().filter(|_| statements.is_empty()) else {
            return Err(statement("Only one statement is answered."));
        };
        if !matches!(one, Statement::Query(_)) {
            return Err(statement("Only a SELECT is answered."));
        }
        let scope = Scope { functions: &self.functions, releases: schemas };
        let options = ParserOptions::new().with_map_string_types_to_utf8view(false);
        let plan = SqlToRel::new_with_options(&scope, options).sql_statement_to_plan(one)?;
        check_plan(&plan, &mut Counts::default())?;
        let replicated = replicate(&plan, schemas)?;
        let plan = self.state.optimize(&replicated.plan)?;
        let types: Vec<DataType> = plan.schema().fields().iter().map(|f| f.data_type().clone()).collect();
        let columns = answer::columns(&replicated.outputs, &types)?;
        Ok(Planned {
            sql: sql.to_owned(),
            schemas: schemas.to_vec(),
            plan,
            outputs: replicated.outputs,
            signs: replicated.signs,
            columns,
        })
    }

    async fn execute(&self, planned: &Planned, tables: &[ReleasedTable]) -> Result<RecordBatch, Failure> {
        if pairs(&planned.plan, tables).is_none_or(|pairs| pairs > self.limits.pairs_max) {
            return Err(Failure);
        }
        let plan = filled(planned, tables)?;
        let plan = self.planner.create_physical_plan(&plan, &self.state).await?;
        let schema = plan.schema();
        let mut stream = execute_stream(plan, self.state.task_ctx())?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            if rows > self.limits.rows_max {
                return Err(Failure);
            }
            batches.push(batch);
        }
        answer::rows(&planned.columns, &planned.outputs, &concat_batches(&schema, &batches)?)
    }
}

/// The plan with released rows in the place of their schemas.
fn filled(planned: &Planned, tables: &[ReleasedTable]) -> Result<LogicalPlan, Failure> {
    let cells = Cells::of(planned, tables)?;
    let mut error = None;
    let plan = planned.plan.clone().transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        match cells.table(scan) {
            Ok(table) => {
                let source = provider_as_source(Arc::new(table));
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan.clone() })))
            }
            Err(failure) => {
                error = Some(failure);
                Ok(Transformed::no(node))
            }
        }
    })?;
    match error {
        Some(failure) => Err(failure),
        None => Ok(plan.data),
    }
}

/// The released cells that are moved.
struct Cells<'a> {
    tables: &'a [ReleasedTable],
    signs: Signs,
    /// Release and position of the numbers whose companions are read by any scan; their order numbers them.
    read: Vec<(usize, usize)>,
}

impl<'a> Cells<'a> {
    fn of(planned: &Planned, tables: &'a [ReleasedTable]) -> Result<Cells<'a>, Failure> {
        let mut cells = Cells { tables, signs: planned.signs, read: Vec::new() };
        planned.plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some((at, table)) =
                    cells.source(scan).filter(|(source, _)| source.is_wide).map(|(s, t)| (s.at, t))
            {
                for number in 0..table.schema.numbers.len() {
                    let is_read =
                        (0..cells.signs.replicates()).any(|w| cells.is_read(scan, table, number, w));
                    if is_read && !cells.read.contains(&(at, number)) {
                        cells.read.push((at, number));
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        cells.signs = cells.signs.of_fewer(cells.read.len());
        Ok(cells)
    }

    fn source<'s>(&self, scan: &'s TableScan) -> Option<(&'s Source, &'a ReleasedTable)> {
        let source: &dyn std::any::Any = scan.source.as_ref();
        let source = source.downcast_ref::<Source>()?;
        Some((source, self.tables.get(source.at)?))
    }

    /// Whether a scan reads a companion.
    fn is_read(&self, scan: &TableScan, table: &ReleasedTable, number: usize, replicate: usize) -> bool {
        let (keys, numbers) = (table.schema.keys.len(), table.schema.numbers.len());
        let column = keys + numbers + 1 + number * (self.signs.replicates() + 1) + 1 + replicate;
        scan.projection.as_ref().is_none_or(|read| read.contains(&column))
    }

    /// The rows of a scan, with the companions it reads.
    fn table(&self, scan: &TableScan) -> Result<MemTable, Failure> {
        let (source, table) = self.source(scan).ok_or(Failure)?;
        let (keys, numbers) = (table.schema.keys.len(), table.schema.numbers.len());
        let batch = &table.batch;
        let mut columns: Vec<ArrayRef> = batch.columns().iter().take(keys + numbers).cloned().collect();
        if source.is_wide {
            let rows = i64::try_from(batch.num_rows()).map_err(|_| Failure)?;
            columns.push(Arc::new(Int64Array::from_iter_values(0..rows)));
            for at in 0..numbers {
                let number = batch.columns().get(keys + at).ok_or(Failure)?;
                let sd = batch.columns().get(keys + numbers + at).ok_or(Failure)?;
                let column = self.read.iter().position(|read| *read == (source.at, at));
                columns.push(Arc::clone(sd));
                for replicate in 0..self.signs.replicates() {
                    columns.push(match column {
                        Some(column) if self.is_read(scan, table, at, replicate) => {
                            moved(number, sd, |row| self.signs.sign(replicate, row, column))?
                        }
                        _ => Arc::clone(number),
                    });
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&source.columns), columns, &options)?;
        Ok(MemTable::try_new(Arc::clone(&source.columns), vec![vec![batch]])?)
    }
}

fn moved(number: &ArrayRef, sd: &ArrayRef, sign: impl Fn(usize) -> f64) -> Result<ArrayRef, Failure> {
    let number = number.as_primitive_opt::<Float64Type>().ok_or(Failure)?;
    let sd = sd.as_primitive_opt::<Float64Type>().ok_or(Failure)?;
    let pairs = number.iter().zip(sd.iter()).enumerate();
    Ok(Arc::new(pairs.map(|(row, (x, sd))| Some(x? + sign(row) * sd?)).collect::<Float64Array>()))
}

/// The most rows that a node of the plan makes when every equality of a join is unique on one side; none: too many to count.
/// Only a join without an equality multiplies: what repeated keys make beyond that is a matter of time and memory.
fn pairs(plan: &LogicalPlan, tables: &[ReleasedTable]) -> Option<usize> {
    fn rows(plan: &LogicalPlan, tables: &[ReleasedTable], most: &mut usize) -> Option<usize> {
        let mut inputs = Vec::new();
        for input in plan.inputs() {
            inputs.push(rows(input, tables, most)?);
        }
        let rows = match plan {
            LogicalPlan::TableScan(scan) => {
                let source: &dyn std::any::Any = scan.source.as_ref();
                tables.get(source.downcast_ref::<Source>()?.at)?.batch.num_rows()
            }
            LogicalPlan::Join(join) if join.on.is_empty() => {
                inputs.iter().try_fold(1_usize, |all, rows| all.checked_mul((*rows).max(1)))?
            }
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => 1,
            LogicalPlan::Values(values) => values.values.len(),
            _ => inputs.iter().try_fold(0_usize, |all, rows| all.checked_add(*rows))?.max(1),
        };
        *most = (*most).max(rows);
        Some(rows)
    }
    let mut most = 0;
    rows(plan, tables, &mut most)?;
    Some(most)
}

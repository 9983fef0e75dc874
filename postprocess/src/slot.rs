//! A released table's place in a plan: known by its columns when the text is planned, filled when the plan runs.
//!
//! Invariants: a plan holds no rows, so it can be kept and run again; the rows, and how companions are made of them, come
//! with the run's context ([`Filled`]). Only columns that are read are made. Not here: planning (`evaluate`).

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{Float64Type, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::logical_plan::TableScan;
use datafusion::logical_expr::{Expr, TableSource, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};

use super::released::{ReleasedTable, STATED};
use super::signs::Companions;
use crate::error::Failure;
use shoal_anonymity::budget::Z_95;

/// The place of the release with the number `at`.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) at: usize,
    /// With the columns that no text can name: the row's number, and of each number its deviation and its companions.
    pub(super) is_wide: bool,
    pub(super) columns: SchemaRef,
}

impl Slot {
    /// The slot's table as the planner sees it.
    pub(super) fn source(self) -> Arc<dyn TableSource> {
        provider_as_source(Arc::new(self))
    }

    /// The slot that a scan reads; none when it reads anything else.
    pub(super) fn of(scan: &TableScan) -> Option<Slot> {
        let provider = source_as_provider(&scan.source).ok()?;
        let provider: &dyn Any = provider.as_ref();
        provider.downcast_ref::<Slot>().cloned()
    }
}

#[async_trait]
impl TableProvider for Slot {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let read: Vec<usize> = match projection {
            Some(read) => read.clone(),
            None => (0..self.columns.fields().len()).collect(),
        };
        let schema = Arc::new(self.columns.project(&read)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(SlotExec { at: self.at, read, schema, properties: Arc::new(properties) }))
    }
}

/// The rows of a run, and which cells are moved.
pub(super) struct Filled {
    pub(super) tables: Vec<ReleasedTable>,
    pub(super) companions: Companions,
    /// Release and position of the numbers whose companions are read; their order numbers them.
    pub(super) moved: Arc<Vec<(usize, usize)>>,
}

/// What a column of a slot is.
pub(super) enum Place {
    /// A column of the released batch, by position.
    Released(usize),
    Row,
    /// What is stated of a number: which of [`STATED`], and the number's position.
    Stated(usize, usize),
    Companion {
        number: usize,
        replicate: usize,
    },
}

impl Place {
    /// Of the column `column` of a release with so many keys and numbers.
    pub(super) fn of(column: usize, keys: usize, numbers: usize, companions: Companions) -> Place {
        let Some(beyond) = column.checked_sub(keys + numbers) else { return Place::Released(column) };
        let Some(beyond) = beyond.checked_sub(1) else { return Place::Row };
        let each = companions.count() + STATED.len();
        let (number, at) = (beyond / each, beyond % each);
        match at.checked_sub(STATED.len()) {
            None => Place::Stated(at, number),
            Some(replicate) => Place::Companion { number, replicate },
        }
    }
}

impl Filled {
    fn column(&self, at: usize, column: usize) -> std::result::Result<ArrayRef, Failure> {
        let table = self.tables.get(at).ok_or(Failure::Internal)?;
        let (keys, numbers) = (table.schema.keys.len(), table.schema.numbers.len());
        let released = |at: usize| table.batch.columns().get(at).cloned().ok_or(Failure::Internal);
        match Place::of(column, keys, numbers, self.companions) {
            Place::Released(at) => released(at),
            Place::Row => {
                let rows = i64::try_from(table.batch.num_rows()).map_err(|_| Failure::Internal)?;
                Ok(Arc::new(Int64Array::from_iter_values(0..rows)))
            }
            Place::Stated(what, number) => released(keys + (1 + what) * numbers + number),
            // A group that is here was not withheld: its number is the same in every world.
            Place::Companion { number, replicate } if self.companions.is_world(replicate) => {
                released(keys + number)
            }
            Place::Companion { number, replicate } if self.companions.is_wide(replicate) => {
                self.moved(at, number, |_, cell| Z_95 * self.companions.wide_sign(replicate, cell))
            }
            Place::Companion { number, replicate } => {
                self.moved(at, number, |row, cell| self.companions.signs.sign(replicate, row, cell))
            }
        }
    }

    /// A number of a release, moved by so many deviations; by row and by number among those that are moved.
    fn moved(
        &self,
        at: usize,
        number: usize,
        by: impl Fn(usize, usize) -> f64,
    ) -> std::result::Result<ArrayRef, Failure> {
        let table = self.tables.get(at).ok_or(Failure::Internal)?;
        let (keys, numbers) = (table.schema.keys.len(), table.schema.numbers.len());
        let released = |at: usize| table.batch.columns().get(at).cloned().ok_or(Failure::Internal);

        let (value, sd) = (released(keys + number)?, released(keys + numbers + number)?);
        let value = value.as_primitive_opt::<Float64Type>().ok_or(Failure::Internal)?;
        let sd = sd.as_primitive_opt::<Float64Type>().ok_or(Failure::Internal)?;
        let cell = self.moved.iter().position(|moved| *moved == (at, number)).ok_or(Failure::Internal)?;
        let pairs = value.iter().zip(sd.iter()).enumerate();
        let moved = pairs.map(|(row, (x, sd))| Some(x? + by(row, cell) * sd?));
        Ok(Arc::new(moved.collect::<Float64Array>()))
    }
}

/// Reads a slot's columns from the run's context.
#[derive(Debug)]
struct SlotExec {
    at: usize,
    read: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for SlotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotExec: release {}", self.at)
    }
}

impl ExecutionPlan for SlotExec {
    fn name(&self) -> &'static str {
        "SlotExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let wrong = |_| DataFusionError::Execution("a release that the plan does not know".to_owned());
        let filled =
            context.session_config().get_extension::<Filled>().ok_or(Failure::Internal).map_err(wrong)?;
        let columns: std::result::Result<Vec<ArrayRef>, Failure> =
            self.read.iter().map(|column| filled.column(self.at, *column)).collect();
        let rows = filled.tables.get(self.at).map(|table| table.batch.num_rows());
        let options = RecordBatchOptions::new().with_row_count(rows);
        let schema = Arc::clone(&self.schema);
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&schema), columns.map_err(wrong)?, &options)?;
        Ok(Box::pin(MemoryStream::try_new(vec![batch], schema, None)?))
    }
}

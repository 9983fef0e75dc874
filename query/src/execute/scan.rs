//! One region's events -> what each subject contributes to each group on each day.
//!
//! Invariants: the plan is built here with DataFusion's own expressions from the private query; the analyst's text has
//! no part in it. Days and programmes are filtered by row as well as by file, so that an expired day is not read from a
//! file that is still there. Sums are widened before they are added, so that nothing wraps. What comes out is not
//! private yet, and never leaves `execute`.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, sum};
use datafusion::logical_expr::ExprFunctionExt;
use datafusion::prelude::{DataFrame, Expr, SessionContext, col, lit};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use shoal_privacy::bound::Contributions;
use shoal_schemas::{Region, columns};

use super::Failure;
use super::cells::Cells;
use crate::charge::{ChargedQuery, Place};
use crate::private_query::{Aggregate, AggregateOp, Bucket};

/// What one region's subjects contribute.
pub(super) struct Scanned {
    pub(super) cells: Cells,
    pub(super) daily: Contributions,
    /// One for each bucket.
    pub(super) ranged: Vec<Contributions>,
}

/// Limits of one scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanLimits {
    /// Most (subject, day, group) rows.
    pub(crate) rows_max: usize,
    /// Most groups of a private key, before the threshold.
    pub(crate) cells_max: usize,
}

pub(super) async fn scan(
    charged: &ChargedQuery,
    region: Region,
    provider: std::sync::Arc<dyn TableProvider>,
    session: &SessionContext,
    limits: ScanLimits,
) -> Result<Scanned, Failure> {
    let buckets = charged.query.buckets();
    let mut scanned = Scanned {
        cells: Cells::new(&charged.query, limits.cells_max)?,
        daily: Contributions::new(charged.daily.clamps().len()),
        ranged: buckets.iter().map(|_| Contributions::new(charged.ranged.clamps().len())).collect(),
    };
    let frame = session.read_table(provider)?;
    let plan = template(frame, charged, region, &scanned.cells)?;
    let mut batches = plan.execute_stream().await?;
    let mut rows = 0_usize;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        rows = rows.saturating_add(batch.num_rows());
        if rows > limits.rows_max {
            return Err(Failure);
        }
        push(&batch, charged, &buckets, &mut scanned)?;
    }
    Ok(scanned)
}

/// scan -> filter -> aggregate per (day, subject, keys).
fn template(
    frame: DataFrame,
    charged: &ChargedQuery,
    region: Region,
    cells: &Cells,
) -> Result<DataFrame, Failure> {
    let query = &charged.query;
    let day = |day: i32| lit(ScalarValue::Date32(Some(day)));
    let mut filter = col(columns::DAY).between(day(query.days.first), day(query.days.last));
    let readable = query.cutoffs.iter().map(|(programme, cutoff)| {
        let is_it = col(columns::PROGRAMME).eq(lit(programme.as_str()));
        is_it.and(col(columns::DAY).gt_eq(day(*cutoff)))
    });
    filter = filter.and(readable.reduce(Expr::or).unwrap_or_else(|| lit(false)));
    if let Some(asked) = &query.filter {
        filter = filter.and(asked.plan(region));
    }
    let mut groups = vec![col(columns::DAY), col(columns::SUBJECT)];
    for (at, scalar) in cells.scalars().enumerate() {
        groups.push(scalar.plan(region).alias(format!("k{at}")));
    }
    let mut aggregates = Vec::with_capacity(query.aggregates.len());
    for (at, aggregate) in query.aggregates.iter().enumerate() {
        aggregates.push(aggregate_plan(aggregate, region)?.alias(format!("a{at}")));
    }
    Ok(frame.filter(filter)?.aggregate(groups, aggregates)?)
}

fn aggregate_plan(aggregate: &Aggregate, region: Region) -> Result<Expr, Failure> {
    let call = match &aggregate.op {
        AggregateOp::Rows | AggregateOp::Subjects => count(lit(1_i64)),
        AggregateOp::Present(item) => count(item.plan(region)),
        AggregateOp::Sum(measure) => {
            let wide = datafusion::logical_expr::cast(measure.plan(region), DataType::Decimal128(19, 0));
            sum(wide)
        }
        AggregateOp::Sessions => count_distinct(col(columns::SESSION)),
        AggregateOp::Quantile { .. } => return Err(Failure),
    };
    match &aggregate.filter {
        Some(filter) => Ok(call.filter(filter.plan(region)).build()?),
        None => Ok(call),
    }
}

fn push(
    batch: &RecordBatch,
    charged: &ChargedQuery,
    buckets: &[Bucket],
    scanned: &mut Scanned,
) -> Result<(), Failure> {
    let keys = scanned.cells.scalars().count();
    let column = |at: usize, ty: &DataType| -> Result<ArrayRef, Failure> {
        cast(batch.columns().get(at).ok_or(Failure)?, ty).map_err(|_| Failure)
    };
    let days = column(0, &DataType::Date32)?;
    let days = days.as_primitive::<Date32Type>();
    let subjects = column(1, &DataType::Binary)?;
    let subjects = subjects.as_binary::<i32>();
    let key_columns = batch.columns().get(2..2 + keys).ok_or(Failure)?;
    let cells = match keys {
        0 => vec![Some(0); batch.num_rows()],
        _ => scanned.cells.encode(key_columns)?,
    };
    let mut numbers = Vec::with_capacity(charged.places.len());
    for (at, aggregate) in charged.query.aggregates.iter().enumerate() {
        let array = batch.columns().get(2 + keys + at).ok_or(Failure)?;
        numbers.push(amounts(array, &aggregate.op)?);
    }
    let mut daily = vec![0_i64; charged.daily.clamps().len()];
    let mut ranged = vec![0_i64; charged.ranged.clamps().len()];
    let has_ranged = !ranged.is_empty() || (charged.threshold.is_some() && !charged.is_daily);
    for (row, cell) in cells.into_iter().enumerate() {
        let Some(cell) = cell else { continue };
        let subject: [u8; 16] = subjects.value(row).try_into().map_err(|_| Failure)?;
        let day = days.value(row);
        for (place, amounts) in charged.places.iter().zip(&numbers) {
            match place {
                Place::Daily(at) => daily[*at] = amounts[row],
                Place::Ranged(at) => ranged[*at] = amounts[row],
                Place::Tree(_) => return Err(Failure),
            }
        }
        scanned.daily.push(day, subject, cell, &daily)?;
        if has_ranged {
            let bucket = buckets.partition_point(|bucket| bucket.days.last < day);
            let bucket = scanned.ranged.get_mut(bucket).ok_or(Failure)?;
            bucket.push(day, subject, cell, &ranged)?;
        }
    }
    Ok(())
}

/// The numbers of an aggregate's column; whether there is any at all, for distinct subjects.
fn amounts(array: &ArrayRef, op: &AggregateOp) -> Result<Vec<i64>, Failure> {
    if let DataType::Decimal128(..) = array.data_type() {
        let array = array.as_primitive::<Decimal128Type>();
        let narrow = |wide: i128| i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX });
        return Ok(array.iter().map(|wide| wide.map_or(0, narrow)).collect());
    }
    let array = cast(array, &DataType::Int64).map_err(|_| Failure)?;
    let array = array.as_primitive::<Int64Type>();
    let one = |number: i64| if *op == AggregateOp::Subjects { number.min(1) } else { number };
    Ok(array.iter().map(|number| one(number.unwrap_or(0))).collect())
}

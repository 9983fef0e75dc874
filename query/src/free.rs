//! What stands above a release: ordinary SQL over released rows, for nothing.
//!
//! Invariants: the input is [`Groups`], anonymous already; nothing here can reach an event. An estimate that is made of
//! several noisy numbers gets its standard deviation by linearisation: each number in turn is moved by its standard
//! deviation, `sd^2 = sum of (f(x + sd_j e_j) - f(x))^2`; the numbers of a row have independent noise.
//! [`Free::check`] runs everything once on a made-up row before anything is charged, so that a type error is a refusal.
//! A wider surface (joins of releases, CTEs, windows) belongs here.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::compute::{cast, concat_batches, take};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::logical_expr::SortExpr;
use datafusion::prelude::{DataFrame, Expr, SessionContext, col};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, OrderByOptions, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Span;
use shoal_privacy::budget::Spread;

use crate::bind::answer::{aggregate_name, key_name};
use crate::error::{Refusal, Rule};
use crate::execute::Failure;
use crate::expr::{Type, Value};
use crate::private_query::PrivateQuery;
use crate::release::{Column, ColumnKind, Estimate, Groups};

/// The statement above the release; names are those of released columns only.
pub(crate) struct Free {
    pub(crate) items: Vec<FreeItem>,
    pub(crate) having: Option<SqlExpr>,
    pub(crate) order: Vec<FreeOrder>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: Option<u64>,
}

/// One item of SELECT.
pub(crate) struct FreeItem {
    pub(crate) name: String,
    pub(crate) expr: SqlExpr,
    pub(crate) unit: Option<String>,
}

/// One item of ORDER BY.
pub(crate) struct FreeOrder {
    pub(crate) expr: SqlExpr,
    pub(crate) options: OrderByOptions,
}

/// Name of the column that keeps rows apart.
const ROW: &str = "r";

/// Half the width of a 95 % interval, in standard deviations.
const Z_95: f64 = 1.959_963_984_540_054;

impl Free {
    /// Runs everything on one made-up row.
    ///
    /// # Errors
    /// A refusal when the types do not fit together; it depends on the text alone.
    pub(crate) async fn check(&self, query: &PrivateQuery, session: &SessionContext) -> Result<(), Refusal> {
        let values = query.keys.iter().map(|key| match key.scalar.ty() {
            Some(Type::Text) => Value::Text("x".to_owned()),
            Some(Type::Boolean) => Value::Boolean(true),
            Some(Type::Number { scale }) => Value::Number(1, scale),
            Some(Type::Day) => Value::Day(1),
            Some(Type::Time) => Value::Time(1),
            None => Value::Null,
        });
        let one = Estimate { units: 1, spread: Spread::none() };
        let estimates = vec![one; query.aggregates.len()];
        let groups = Groups { rows: [(values.collect(), estimates)].into() };
        self.run(query, &groups, session).await.map(|_| ()).map_err(|Failure| {
            let message = "The types of the expressions in SELECT, HAVING or ORDER BY do not fit.";
            let suggestion = "numbers with numbers, keys with literals of their type";
            Refusal::new(Rule::Type, Span::empty(), message, suggestion)
        })
    }

    /// The answer's columns and rows.
    pub(crate) async fn run(
        &self,
        query: &PrivateQuery,
        groups: &Groups,
        session: &SessionContext,
    ) -> Result<(Vec<Column>, RecordBatch), Failure> {
        let base = table(query, groups, None)?;
        let shown = self.shown(&base, session).await?;
        let values = self.project(&base, session).await?;
        let mut moved = Vec::with_capacity(query.aggregates.len());
        for at in 0..query.aggregates.len() {
            moved.push(match self.items.iter().any(|item| is_mixed(item, at)) {
                true => Some(self.project(&table(query, groups, Some(at))?, session).await?),
                false => None,
            });
        }
        let mut answer = Answer::default();
        for (index, item) in self.items.iter().enumerate() {
            let value = take(values.column(index + 1), &shown, None)?;
            let noisy: Vec<usize> = (0..query.aggregates.len()).filter(|at| reads(&item.expr, *at)).collect();
            let is_number = value.data_type().is_numeric();
            if noisy.is_empty() || !is_number {
                let kind = if noisy.is_empty() { ColumnKind::Key } else { ColumnKind::Value };
                answer.push(&item.name, kind, None, value);
            } else if let Some(at) = bare(&item.expr, query.aggregates.len()) {
                let is_whole = query.aggregates.get(at).is_some_and(|a| a.scale == 0);
                let sd = deviations(query, groups, at);
                let sd = take(&(Arc::new(sd) as ArrayRef), &shown, None)?;
                answer.estimate(item, value, &sd, is_whole)?;
            } else {
                let mut squares = vec![0.0; values.num_rows()];
                let exact = floats(values.column(index + 1))?;
                for at in noisy {
                    let Some(moved) = moved.get(at).and_then(Option::as_ref) else { continue };
                    let moved = floats(moved.column(index + 1))?;
                    for (row, square) in squares.iter_mut().enumerate() {
                        let (x, y) = (exact.value(row), moved.value(row));
                        *square += (y - x) * (y - x);
                    }
                }
                let sd: Float64Array = squares.into_iter().map(|s: f64| Some(s.sqrt())).collect();
                let sd = take(&(Arc::new(sd) as ArrayRef), &shown, None)?;
                answer.estimate(item, value, &sd, false)?;
            }
        }
        answer.batch(shown.len())
    }

    /// Row numbers that HAVING, ORDER BY, LIMIT and OFFSET leave, in order.
    async fn shown(&self, base: &RecordBatch, session: &SessionContext) -> Result<Int64Array, Failure> {
        let mut frame = session.read_batch(base.clone())?;
        if let Some(having) = &self.having {
            let having = frame.parse_sql_expr(&having.to_string())?;
            frame = frame.filter(having)?;
        }
        let mut sort = Vec::with_capacity(self.order.len() + 1);
        for order in &self.order {
            let expr = frame.parse_sql_expr(&order.expr.to_string())?;
            let ascending = order.options.asc.unwrap_or(true);
            let nulls_first = order.options.nulls_first.unwrap_or(!ascending);
            sort.push(SortExpr::new(expr, ascending, nulls_first));
        }
        sort.push(col(ROW).sort(true, false));
        let skip = usize::try_from(self.offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let fetch = self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let frame = frame.sort(sort)?.limit(skip, fetch)?.select(vec![col(ROW)])?;
        let rows = collect(frame).await?;
        Ok(rows.column(0).as_primitive_opt::<Int64Type>().ok_or(Failure)?.clone())
    }

    /// The row's number and every item, row by row.
    async fn project(&self, table: &RecordBatch, session: &SessionContext) -> Result<RecordBatch, Failure> {
        let frame = session.read_batch(table.clone())?;
        let mut items = vec![col(ROW)];
        for (at, item) in self.items.iter().enumerate() {
            let expr: Expr = frame.parse_sql_expr(&item.expr.to_string())?;
            items.push(expr.alias(format!("c{at}")));
        }
        let frame = frame.select(items)?.sort(vec![col(ROW).sort(true, false)])?;
        collect(frame).await
    }
}

async fn collect(frame: DataFrame) -> Result<RecordBatch, Failure> {
    let schema = Arc::clone(frame.schema().inner());
    Ok(concat_batches(&schema, &frame.collect().await?)?)
}

fn floats(array: &ArrayRef) -> Result<Float64Array, Failure> {
    Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The aggregate that an expression is, if it is one.
fn bare(expr: &SqlExpr, aggregates: usize) -> Option<usize> {
    match expr {
        SqlExpr::Nested(inner) => bare(inner, aggregates),
        SqlExpr::Identifier(name) => (0..aggregates).find(|at| aggregate_name(*at) == name.value),
        _ => None,
    }
}

fn reads(expr: &SqlExpr, aggregate: usize) -> bool {
    let name = aggregate_name(aggregate);
    let found = visit_expressions(expr, |inner| match inner {
        SqlExpr::Identifier(ident) if ident.value == name => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Whether an item reads an aggregate and does something with it.
fn is_mixed(item: &FreeItem, aggregate: usize) -> bool {
    bare(&item.expr, aggregate + 1) != Some(aggregate) && reads(&item.expr, aggregate)
}

fn power_of_ten(scale: u8) -> f64 {
    10_f64.powi(i32::from(scale))
}

/// The released rows as a table; one aggregate moved by its standard deviation, if asked.
fn table(query: &PrivateQuery, groups: &Groups, moved: Option<usize>) -> Result<RecordBatch, Failure> {
    let len = i64::try_from(groups.rows.len()).map_err(|_| Failure)?;
    let mut columns: Vec<(String, ArrayRef, bool)> =
        vec![(ROW.to_owned(), Arc::new(Int64Array::from_iter_values(0..len)), true)];
    for (at, key) in query.keys.iter().enumerate() {
        let values = groups.rows.keys().map(|values| values.get(at));
        columns.push((key_name(at), key_array(values, key.scalar.ty().ok_or(Failure)?), true));
    }
    for (at, aggregate) in query.aggregates.iter().enumerate() {
        let scale = power_of_ten(aggregate.scale);
        let number = |estimate: &Estimate| {
            let step = if moved == Some(at) { estimate.spread.sd() } else { 0.0 };
            (estimate.units as f64 + step) / scale
        };
        let numbers = groups.rows.values().map(|row| row.get(at).map(number));
        columns.push((aggregate_name(at), Arc::new(numbers.collect::<Float64Array>()), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn deviations(query: &PrivateQuery, groups: &Groups, at: usize) -> Float64Array {
    let scale = query.aggregates.get(at).map_or(1.0, |a| power_of_ten(a.scale));
    let sd = |row: &Vec<Estimate>| row.get(at).map(|e| e.spread.sd() / scale);
    groups.rows.values().map(sd).collect()
}

fn key_array<'v>(values: impl Iterator<Item = Option<&'v Value>>, ty: Type) -> ArrayRef {
    match ty {
        Type::Text => Arc::new(
            values
                .map(|v| match v {
                    Some(Value::Text(text)) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        Type::Boolean => Arc::new(
            values
                .map(|v| match v {
                    Some(Value::Boolean(b)) => Some(*b),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        Type::Number { .. } => Arc::new(
            values
                .map(|v| match v {
                    Some(Value::Number(units, _)) => Some(*units),
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        Type::Day => Arc::new(
            values
                .map(|v| match v {
                    Some(Value::Day(day)) => Some(*day),
                    _ => None,
                })
                .collect::<Date32Array>(),
        ),
        Type::Time => {
            let times = values.map(|v| match v {
                Some(Value::Time(ms)) => Some(*ms),
                _ => None,
            });
            Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        }
    }
}

/// Columns of an answer, as they come.
#[derive(Default)]
struct Answer {
    columns: Vec<Column>,
    arrays: Vec<(String, ArrayRef, bool)>,
}

impl Answer {
    fn push(&mut self, name: &str, kind: ColumnKind, unit: Option<&str>, array: ArrayRef) {
        let unit = unit.map(str::to_owned);
        self.columns.push(Column { name: name.to_owned(), kind, unit });
        self.arrays.push((name.to_owned(), array, true));
    }

    /// The estimate, its standard deviation and its 95 % interval. A count (`is_whole`) is a whole number, and its
    /// interval does not go below zero unless the estimate does.
    fn estimate(
        &mut self,
        item: &FreeItem,
        value: ArrayRef,
        sd: &ArrayRef,
        is_whole: bool,
    ) -> Result<(), Failure> {
        let (value, sd) = (floats(&value)?, floats(sd)?);
        let known = |x: f64| x.is_finite().then_some(x);
        let pairs = || value.iter().zip(sd.iter()).map(|(x, s)| Some((known(x?)?, known(s?)?)));
        let counts =
            is_whole && item.unit.as_deref().is_some_and(|u| ["events", "subjects", "sessions"].contains(&u));
        let low = |(x, s): (f64, f64)| {
            let low = x - Z_95 * s;
            if counts { low.max(0.0).min(x) } else { low }
        };
        let high = |(x, s): (f64, f64)| x + Z_95 * s;
        let array = |f: &dyn Fn((f64, f64)) -> f64, whole: fn(f64) -> f64| -> Result<ArrayRef, Failure> {
            let numbers: Float64Array =
                pairs().map(|p| p.map(f).map(|x| if is_whole { whole(x) } else { x })).collect();
            Ok(match is_whole {
                true => cast(&numbers, &DataType::Int64)?,
                false => Arc::new(numbers),
            })
        };
        let (name, unit) = (item.name.as_str(), item.unit.as_deref());
        let numbers: Float64Array = value.iter().map(|x| x.and_then(known)).collect();
        let numbers: ArrayRef = match is_whole {
            true => cast(&numbers, &DataType::Int64)?,
            false => Arc::new(numbers),
        };
        self.push(name, ColumnKind::Estimate, unit, numbers);
        let deviations: Float64Array = pairs().map(|p| p.map(|(_, s)| s)).collect();
        self.push(&format!("{name}_sd"), ColumnKind::Deviation, unit, Arc::new(deviations));
        self.push(&format!("{name}_low"), ColumnKind::Low, unit, array(&low, f64::floor)?);
        self.push(&format!("{name}_high"), ColumnKind::High, unit, array(&high, f64::ceil)?);
        Ok(())
    }

    fn batch(self, rows: usize) -> Result<(Vec<Column>, RecordBatch), Failure> {
        if self.arrays.is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let schema = Arc::new(datafusion::arrow::datatypes::Schema::empty());
            return Ok((self.columns, RecordBatch::try_new_with_options(schema, vec![], &options)?));
        }
        Ok((self.columns, RecordBatch::try_from_iter_with_nullable(self.arrays)?))
    }
}

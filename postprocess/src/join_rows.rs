//! How many rows the joins of a plan can make, before any of them runs.
//!
//! ```text
//! a JOIN b ON a.k = b.k      at most rows(a) times the rows of b that have one value of k
//! ```
//! Of a column it is known how many rows can have one value of it. Of rows that stand in the text that is counted; a column
//! that is made of such rows (`x % 1`) or of nothing (`1 AS k`) may be the same in all of them, so an equality of it joins as
//! none does. A release's column, and what is made of one, counts as a key: rows that repeat it are limited by time and memory.
//! Invariants: the number depends on the plan and on how many rows releases have alone. Without releases' rows each counts as
//! one, so what is too much in a dry run is too much for any release. Not here: limits of time (`lib`, `pool`).

use std::collections::HashMap;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::logical_plan::{Aggregate, Join, Values};
use datafusion::logical_expr::{Cast, Distinct, Expr, FetchType, JoinType, LogicalPlan, Union};

use super::released::ReleasedTable;
use super::slot::Slot;

/// A column of rows.
#[derive(Clone, Copy, Debug)]
struct Same {
    /// Most rows with one value of it.
    rows: f64,
    /// Whether a release's column is in it.
    is_released: bool,
}

/// Rows of a node, and its columns.
struct Size<'p> {
    plan: &'p LogicalPlan,
    rows: f64,
    columns: Vec<Same>,
}

/// The most rows that a node of the plan can make.
pub(super) fn rows_max(plan: &LogicalPlan, tables: &[ReleasedTable]) -> f64 {
    let mut most = 0.0;
    size(plan, tables, &mut most);
    most
}

fn size<'p>(plan: &'p LogicalPlan, tables: &[ReleasedTable], most: &mut f64) -> Size<'p> {
    let inputs: Vec<Size<'p>> = plan.inputs().into_iter().map(|input| size(input, tables, most)).collect();
    let added = inputs.iter().map(|input| input.rows).sum::<f64>().max(1.0);
    let (rows, mut columns) = match plan {
        LogicalPlan::TableScan(scan) => {
            let table = Slot::of(scan).and_then(|slot| tables.get(slot.at));
            let rows = table.map_or(1.0, |table| table.batch.num_rows().max(1) as f64);
            (rows, vec![Same { rows: 1.0, is_released: true }; plan.schema().fields().len()])
        }
        LogicalPlan::Values(values) => (values.values.len() as f64, of_values(values)),
        LogicalPlan::Projection(node) => {
            (added, node.expr.iter().map(|expr| same(expr, &inputs, added)).collect())
        }
        LogicalPlan::Aggregate(node) => of_aggregate(node, &inputs, added),
        LogicalPlan::Window(node) => {
            let own = node.window_expr.iter().map(|expr| same(expr, &inputs, added));
            (added, inputs.iter().flat_map(|input| input.columns.iter().copied()).chain(own).collect())
        }
        LogicalPlan::Join(join) => of_join(join, &inputs),
        LogicalPlan::Union(union) => (added, of_union(union, &inputs)),
        LogicalPlan::Limit(limit) => {
            let fetch = match limit.get_fetch_type() {
                Ok(FetchType::Literal(Some(fetch))) => fetch as f64,
                _ => f64::INFINITY,
            };
            (added.min(fetch).max(1.0), all(&inputs))
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => (added, all(&inputs)),
        _ => (added, Vec::new()),
    };
    columns.resize(plan.schema().fields().len(), Same { rows, is_released: false });
    columns.iter_mut().for_each(|column| column.rows = column.rows.min(rows));
    *most = most.max(rows);
    Size { plan, rows, columns }
}

fn all(inputs: &[Size<'_>]) -> Vec<Same> {
    inputs.iter().flat_map(|input| input.columns.iter().copied()).collect()
}

/// Of rows that stand in the text: they are counted.
fn of_values(values: &Values) -> Vec<Same> {
    let columns = values.values.first().map_or(0, Vec::len);
    let count = |at: usize| {
        let mut seen: HashMap<&Expr, u32> = HashMap::new();
        for value in values.values.iter().filter_map(|row| row.get(at)) {
            *seen.entry(value).or_default() += 1;
        }
        Same { rows: f64::from(seen.into_values().max().unwrap_or(0)), is_released: false }
    };
    (0..columns).map(count).collect()
}

/// The expression of some inputs that have so many rows together.
fn same(expr: &Expr, inputs: &[Size<'_>], rows: f64) -> Same {
    let of = |column: &Column| {
        inputs
            .iter()
            .find_map(|input| input.columns.get(input.plan.schema().maybe_index_of_column(column)?).copied())
    };
    match expr {
        Expr::Alias(alias) => same(&alias.expr, inputs, rows),
        Expr::Cast(cast)
            if let Some(often) = inputs.iter().find_map(|input| cast_values(input.plan, cast)) =>
        {
            Same { rows: often, is_released: false }
        }
        Expr::Column(column) => of(column).unwrap_or(Same { rows, is_released: false }),
        _ => {
            let columns: Vec<Same> = expr.column_refs().into_iter().filter_map(of).collect();
            let released = columns.iter().filter(|column| column.is_released).map(|column| column.rows);
            match released.reduce(f64::max) {
                Some(rows) => Same { rows, is_released: true },
                None => Same { rows, is_released: false },
            }
        }
    }
}

/// How often one value is in rows that stand in the text, after a cast of a column of theirs: as a series is written.
fn cast_values(plan: &LogicalPlan, cast: &Cast) -> Option<f64> {
    let column = cast.expr.try_as_col()?;
    let mut seen: HashMap<ScalarValue, u32> = HashMap::new();
    for value in values(plan, plan.schema().maybe_index_of_column(column)?)? {
        *seen.entry(value.cast_to(cast.field.data_type()).ok()?).or_default() += 1;
    }
    seen.into_values().max().map(f64::from)
}

/// The values of a column of rows that stand in the text.
fn values(plan: &LogicalPlan, at: usize) -> Option<Vec<&ScalarValue>> {
    match plan {
        LogicalPlan::Values(of) => of.values.iter().map(|row| row.get(at)?.as_literal()).collect(),
        LogicalPlan::SubqueryAlias(node) => values(&node.input, at),
        LogicalPlan::Filter(node) => values(&node.input, at),
        LogicalPlan::Projection(node) => {
            let column = without_alias(node.expr.get(at)?).try_as_col()?;
            values(&node.input, node.input.schema().maybe_index_of_column(column)?)
        }
        _ => None,
    }
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        _ => expr,
    }
}

fn of_aggregate(node: &Aggregate, inputs: &[Size<'_>], rows: f64) -> (f64, Vec<Same>) {
    let Some(first) = node.group_expr.first() else { return (1.0, Vec::new()) };
    let keys = match node.group_expr.len() {
        1 => vec![Same { rows: 1.0, ..same(first, inputs, rows) }],
        _ => node.group_expr.iter().map(|expr| same(expr, inputs, rows)).collect(),
    };
    let numbers = node.aggr_expr.iter().map(|expr| same(expr, inputs, rows));
    (rows, keys.into_iter().chain(numbers).collect())
}

fn of_union(union: &Union, inputs: &[Size<'_>]) -> Vec<Same> {
    let at = |at: usize| {
        let of = || inputs.iter().filter_map(move |input| input.columns.get(at));
        Same { rows: of().map(|same| same.rows).sum(), is_released: of().all(|same| same.is_released) }
    };
    (0..union.schema.fields().len()).map(at).collect()
}

fn of_join(join: &Join, inputs: &[Size<'_>]) -> (f64, Vec<Same>) {
    let [left, right] = inputs else { return (f64::INFINITY, Vec::new()) };
    // Of each row of a side, how many of the other can be its partners.
    let (mut of_left, mut of_right) = (right.rows, left.rows);
    for (own, other) in &join.on {
        of_left = of_left.min(same(other, std::slice::from_ref(right), right.rows).rows);
        of_right = of_right.min(same(own, std::slice::from_ref(left), left.rows).rows);
    }
    let (of_left, of_right) = (of_left.max(1.0), of_right.max(1.0));
    let pairs = (left.rows * of_left).min(right.rows * of_right);
    let often = |size: &Size<'_>, times: f64| -> Vec<Same> {
        size.columns.iter().map(|same| Same { rows: same.rows * times, ..*same }).collect()
    };
    let both = || often(left, of_left).into_iter().chain(often(right, of_right)).collect();
    match join.join_type {
        JoinType::Inner => (pairs, both()),
        JoinType::Left | JoinType::Right | JoinType::Full => (pairs.max(left.rows + right.rows), both()),
        // These look at pairs, too, where no equality finds partners.
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (if join.on.is_empty() { pairs } else { left.rows }, often(left, 1.0))
        }
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            (if join.on.is_empty() { pairs } else { right.rows }, often(right, 1.0))
        }
    }
}

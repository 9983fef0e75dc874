//! What a row of a query is worth, in units of which ten are a row that is only counted: an upper bound, from the text alone.
//!
//! Expressions that are the same are evaluated once, and are counted once. A text is counted as if it were as long as a
//! property may be, and as if no two rows had the same.
//! Not here: how many rows there are, what else a question takes (`release/work.rs`).

use shoal_anonymity::noise::OsEntropy;
use shoal_language::{AggregateOp, Scalar, Shape, Type};

use super::accumulators;
use super::grounds::Grounds;
use super::parts::parts;
use super::span::Span;
use crate::charge::ChargedQuery;
use crate::failure::Failure;

/// Units of a row of the query's table, and of the table of each membership, beyond the ten of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowUnits {
    pub(crate) own: u64,
    pub(crate) members: Vec<u64>,
}

/// What puts a row in order and tells copies apart: its time and its event id.
const ORDER: u64 = 20;
/// A key of a group.
const KEY: u64 = 20;

/// The units of a row of each table that a query reads.
pub(crate) fn row_units(charged: &ChargedQuery) -> Result<RowUnits, Failure> {
    let ChargedQuery { query, layout, .. } = charged;
    let span = match charged.is_daily() {
        true => Span::Day(query.days().first),
        false => Span::Bucket(0),
    };
    let grounds = Grounds { query, layout, days: query.days(), span, groups_max: None };
    let accumulator = accumulators::accumulator(&grounds, &mut OsEntropy::new())?;
    let scalars = accumulator.scalars();
    let aggregates: u64 = query.aggregates().iter().map(|aggregate| of_aggregate(&aggregate.op)).sum();
    let shape = match query.shape() {
        Shape::Events => 0,
        Shape::Subjects(_) => 60,
        Shape::Funnel { steps, .. } => 20 * steps.len() as u64,
        Shape::Retention { .. } => 40,
    };
    let own = of_scalars(query.filter().into_iter().chain(&scalars)) + KEY * query.keys().len() as u64;
    let members = query.members().iter().map(|member| of_scalars(&member.filter) + ORDER).collect();
    Ok(RowUnits { own: own + ORDER + aggregates + shape, members })
}

fn of_aggregate(op: &AggregateOp) -> u64 {
    match op {
        AggregateOp::Rows | AggregateOp::Subjects => 5,
        AggregateOp::Present(_) | AggregateOp::Sum(_) => 10,
        AggregateOp::Sessions | AggregateOp::Quantile { .. } => 60,
    }
}

/// Of expressions over the same rows.
fn of_scalars<'s>(scalars: impl IntoIterator<Item = &'s Scalar>) -> u64 {
    let mut seen: Vec<&Scalar> = Vec::new();
    let mut left: Vec<&Scalar> = scalars.into_iter().collect();
    let mut units = 0_u64;
    while let Some(scalar) = left.pop() {
        if !seen.contains(&scalar) {
            seen.push(scalar);
            units = units.saturating_add(of_one(scalar));
            left.extend(parts(scalar));
        }
    }
    units
}

/// Of an expression whose parts are there.
fn of_one(scalar: &Scalar) -> u64 {
    let each = |units: u64, of: usize| units.saturating_mul(of as u64);
    match scalar {
        Scalar::Value(_) | Scalar::Region | Scalar::Step | Scalar::Cohort | Scalar::Period => 0,
        Scalar::Person { .. } | Scalar::PersonKey { .. } => 5,
        Scalar::Column { .. } | Scalar::Day => 10,
        Scalar::Time(_) | Scalar::Part(_) => 30,
        Scalar::Compare(_, left, _) if left.ty() == Some(Type::Text) => 15,
        Scalar::Compare(..) | Scalar::And(..) | Scalar::Or(..) | Scalar::Not(_) | Scalar::IsNull(_) => 3,
        Scalar::Arithmetic(..) => 3,
        Scalar::In(_, list) => 20 + each(1, list.len()),
        Scalar::Like { pattern, .. } => 100 + each(4, pattern.len()),
        Scalar::Case { branches, .. } => 10 + each(10, branches.len()),
        Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => each(10, items.len()),
        Scalar::Upper(_) | Scalar::Lower(_) => 80,
        Scalar::Bucket { edges, .. } => 10 + each(5, edges.len()),
    }
}

//! What a row of a query is worth, in units of which ten are a row that is only counted: an upper bound, from the text alone.
//!
//! Expressions that are the same are evaluated once, and are counted once. A text is counted as if it were as long as a
//! property may be, and as if no two rows had the same; and rows as if each were one event of a subject of its own, of which a
//! row is made.
//! Not here: how many rows there are, what else a question takes (`release/work.rs`).

use std::collections::HashSet;

use shoal_anonymity::noise::OsEntropy;
use shoal_language::{AggregateOp, Scalar, Shape, Type};

use super::accumulators;
use super::counted::Counted;
use super::grounds::Grounds;
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
/// What each expression over a made row takes beside its own units: its value is a value of its own.
const MADE: u64 = 5;

/// The units of a row of each table that a query reads.
pub(crate) fn row_units(charged: &ChargedQuery) -> Result<RowUnits, Failure> {
    let ChargedQuery { query, layout, .. } = charged;
    let span = match charged.is_daily() {
        true => Span::Day(query.days().first),
        false => Span::Bucket(0),
    };
    let (days, counted) = (query.days(), &Counted::default());
    let grounds = Grounds { query, layout, days, span, groups_max: None, counted };
    let accumulator = accumulators::accumulator(&grounds, &mut OsEntropy::new())?;
    let scalars = accumulator.scalars();
    let aggregates: u64 = query.aggregates().iter().map(|aggregate| of_aggregate(&aggregate.op)).sum();
    let shape = match query.shape() {
        Shape::Events => 0,
        Shape::Subjects(_) => 60,
        Shape::Funnel { steps, .. } => 20 * steps.len() as u64,
        Shape::Retention { .. } => 40,
    };
    let made = accumulator.made();
    let own = of_scalars(query.filter().into_iter().chain(&scalars)) + KEY * query.keys().len() as u64;
    let own = own.saturating_add(of_scalars(&made)).saturating_add(MADE * made.len() as u64);
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
    let mut seen: HashSet<&Scalar> = HashSet::new();
    let mut left: Vec<&Scalar> = scalars.into_iter().collect();
    let mut units = 0_u64;
    while let Some(scalar) = left.pop() {
        if seen.insert(scalar) {
            units = units.saturating_add(of_one(scalar));
            scalar.each(&mut |part| left.push(part));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::Region;

    use super::row_units;
    use crate::tests::{engine, grant, now_ms, request};

    async fn units(sql: &str) -> u64 {
        let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
        row_units(&prepared.single()).unwrap().own
    }

    /// A condition is worth no less when it is asked of what is made of a subject's events than when it is asked of events,
    /// and once however often its name is used.
    #[tokio::test]
    async fn conditions_of_rows_of_subjects_are_counted() {
        let likes = |count: usize| {
            let like = |n: usize| format!("screen LIKE '%a%a%{n}%'");
            (0..count).map(like).collect::<Vec<_>>().join(" OR ")
        };
        let events = |count| format!("SELECT COUNT(*) AS n FROM usage WHERE {}", likes(count));
        let people = |condition: &str| {
            format!(
                "SELECT COUNT(*) AS n FROM (SELECT subject, screen, COUNT(*) AS c FROM usage GROUP BY subject, screen) AS p WHERE {condition}"
            )
        };
        let of_events = units(&events(90)).await - units(&events(10)).await;
        let of_people = units(&people(&likes(90))).await - units(&people(&likes(10))).await;
        assert!(of_people >= of_events && of_events > 80 * 100, "{of_people} and {of_events}");
        let (once, twice) = (people(&likes(30)), people(&format!("({0}) OR NOT ({0})", likes(30))));
        let (once, twice) = (units(&once).await, units(&twice).await);
        assert!(twice < once + once / 4, "{once} and {twice}");
    }
}

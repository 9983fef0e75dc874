//! Error bars by replication, written into the plan: every noisy number of a release has companions, the number moved by
//! its standard deviation this way or that (`signs`), and every expression over it is computed over the companions too.
//! The mean square of what the companions differ by is the variance of the expression: exact when it is linear, whatever
//! rows it mixes (windows, sums, joins, unions), and close when it is smooth.
//!
//! Of a released number, of a mean and of what is linear in one of them the interval is known without companions (`linear`).
//! Groups that are not shown are between two ends and not zero: each side of a join from which rows may be missing has a
//! world in which they are at the upper one (`worlds`).
//!
//! Invariants: the numbers that a statement shows do not change. Decisions (filters, order, limits, conditions of joins,
//! partitions, groups) are taken on the numbers themselves, and companions only follow. A number that depends on noise without an
//! error bar is never shown as a key: it is [`Noise::Lost`] or [`Noise::Decided`]. Companions' names begin with [`PREFIX`],
//! which no name of a text does.
//!
//! - `nodes`: what becomes of each node of a plan (`rows`: of aggregates and windows, `sets`: of joins and unions)
//! - `relation`: a rewritten node, and how its columns depend on noise
//! - `exprs`: what an expression depends on, and its companions; `units`: its unit
//! - `picked`: keys that conditions compare with noise
//! - `steps`: numbers that jump where noise crosses a condition, and the largest of noisy numbers
//! - `linear`: intervals that need no companions; `worlds`: what groups may be that are not shown
//!
//! Not here: which plans are allowed (`gate`), the companions' values (`evaluate`).

mod exprs;
mod linear;
mod nodes;
mod picked;
mod relation;
mod rows;
mod sets;
mod steps;
mod units;
mod worlds;

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use self::relation::Replication;
pub(super) use self::relation::{Caveat, Missing, Noise, Noisy, PREFIX};
use super::refuse::Stop;
use super::released::{ReleasedSchema, STATED};
use super::signs::{Companions, Signs};

/// A plan with companions.
pub(super) struct Replicated {
    pub(super) plan: LogicalPlan,
    pub(super) outputs: Vec<Output>,
    pub(super) companions: Companions,
}

/// A column that the text asked for; it is the plan's column of the same position.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) noise: Option<Noise>,
    /// The unit of a column that is made of keys.
    pub(super) unit: Option<String>,
    /// Positions of what is stated, in the order of [`STATED`], and of the companions.
    pub(super) stated: Option<[usize; STATED.len()]>,
    pub(super) moved: Vec<usize>,
    /// Positions of the companions in which conditions are moved by a whole interval.
    pub(super) steps: Vec<usize>,
    /// Positions of the companions of worlds.
    pub(super) worlds: Vec<usize>,
    /// What may be missing from what the answer's rows were chosen by; in the first column's.
    pub(super) absence: Missing,
}

/// Rewrites a plan that has passed the gate.
///
/// # Errors
/// A refusal of what no error bar can be made for.
pub(super) fn replicate(plan: &LogicalPlan, releases: &[ReleasedSchema]) -> Result<Replicated, Stop> {
    let bare = with_companions(plan, releases, Companions { signs: Signs::None, wide: 0, worlds: 0 })?;
    let is_mixed = |output: &Output| matches!(&output.noise, Some(Noise::Noisy(n)) if n.bare.is_none());
    if !bare.outputs.iter().any(is_mixed) {
        return Ok(bare);
    }
    let numbers = releases.iter().map(|r| r.numbers.len()).sum();
    let signs = match is_row_by_row(plan) {
        true => Signs::row(numbers),
        false => Signs::rows(numbers),
    };
    let is_stepped =
        |output: &Output| matches!(&output.noise, Some(Noise::Noisy(n)) if n.bare.is_none() && n.is_stepped);
    let wide = match bare.outputs.iter().any(is_stepped) {
        true => Companions::wide_of(numbers),
        false => 0,
    };
    with_companions(plan, releases, Companions { signs, wide, worlds: worlds::count(plan, releases) })
}

fn with_companions(
    plan: &LogicalPlan,
    releases: &[ReleasedSchema],
    companions: Companions,
) -> Result<Replicated, Stop> {
    let mut replication = Replication::of(releases, companions);
    let relation = replication.relation(plan)?;
    let columns = relation.schema.columns();
    let mut shown: Vec<Column> = columns.clone();
    let mut outputs = Vec::with_capacity(columns.len());
    let units = units::of_keys(plan, releases);
    for ((column, noise), unit) in columns.into_iter().zip(relation.noise).zip(units) {
        let (moved, steps, worlds) = (Vec::new(), Vec::new(), Vec::new());
        let absence = std::mem::take(&mut replication.absence);
        let mut output =
            Output { name: column.name, noise, unit, stated: None, moved, steps, worlds, absence };
        if let Some(Noise::Noisy(noisy)) = &output.noise {
            if let Some(bare) = &noisy.bare {
                output.stated = Some(bare.stated.each_ref().map(|column| position(&mut shown, column)));
            } else {
                output.moved = noisy.moved.iter().map(|moved| position(&mut shown, moved)).collect();
                output.worlds = output.moved.split_off(companions.first_world().min(output.moved.len()));
                let wide = output.moved.split_off(companions.signs.replicates().min(output.moved.len()));
                output.steps = if noisy.is_stepped { wide } else { Vec::new() };
            }
        }
        outputs.push(output);
    }
    let exprs = shown.into_iter().map(Expr::Column).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(relation.plan))?);
    Ok(Replicated { plan, outputs, companions })
}

fn position(columns: &mut Vec<Column>, column: &Column) -> usize {
    columns.iter().position(|c| c == column).unwrap_or_else(|| {
        columns.push(column.clone());
        columns.len() - 1
    })
}

/// Whether every row is made of one row of one release.
fn is_row_by_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            !projection.expr.iter().any(exprs::has_subquery) && is_row_by_row(&projection.input)
        }
        LogicalPlan::Filter(filter) => is_row_by_row(&filter.input),
        LogicalPlan::Sort(sort) => is_row_by_row(&sort.input),
        LogicalPlan::Limit(limit) => is_row_by_row(&limit.input),
        LogicalPlan::SubqueryAlias(alias) => is_row_by_row(&alias.input),
        LogicalPlan::Distinct(Distinct::All(input)) => is_row_by_row(input),
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

//! A query's aggregates as slots: single numbers and trees, how far one unit can change each, and the sensitivity.
//!
//! Invariants: everything here follows from the query alone. The folds enforce exactly these bounds (`bounder`), so what
//! [`Layout::sensitivity`] says is what one subject's day can change in the exact totals of a slot.
//!
//! Sensitivity when the unit is a subject over a range of days, and one *day* of it is taken away (a day of this table,
//! of the table of a membership, or of both, if they are one): the totals lose the subject's contribution x and gain
//! another one, y. Both have at most `l0` cells with values within the clamps, whatever the days hold, because the bounds
//! are applied to the subject's whole contribution; no contribution at all (it was no member) is one such y. Then
//! `Limits::range_sensitivity` and `Grid::range_sensitivity` bound |x - y|^2. What is special about a shape is its l0:
//! - Funnel of n steps: the subject has one chain, so one combination of the other keys, and counts 1 in each of steps 1
//!   to m <= n of it: l0 = n. With the step as only key there are n cells, so |x - y|^2 <= n (the reached step changes
//!   from m to m', and |m - m'| cells by 1); with other keys the chain may move to another combination: 2 n.
//! - Retention over P periods: one cohort, so at most P cells, each 1: l0 = P, and |x - y|^2 <= min(2 P, cells).
//! - Without the step (the period) as a key all of this is in one cell, which counts up to the clamp: l0 = 1.

use shoal_privacy::bound::{BoundError, Clamp, Limits};
use shoal_privacy::tree::{Grid, TreeError};

use crate::calendar::Grain;
use crate::expr::Scalar;
use crate::private_query::{Aggregate, AggregateOp, DayRange, PrivateQuery, Shape};

/// No sensitivity can be given: a bound is 0 or too large, or a grid is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unbounded;

impl From<BoundError> for Unbounded {
    fn from(_: BoundError) -> Unbounded {
        Unbounded
    }
}

impl From<TreeError> for Unbounded {
    fn from(_: TreeError) -> Unbounded {
        Unbounded
    }
}

/// Where an aggregate is: a number of each cell, or a tree of each cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Number(usize),
    Tree(usize),
}

/// The tree of a measure: all quantiles of it with this filter are read from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TreeSlot {
    pub(crate) measure: Scalar,
    pub(crate) filter: Option<Scalar>,
    pub(crate) grid: Grid,
    /// Most values of one unit in one cell.
    pub(crate) most: u64,
}

/// The slots of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// One for each aggregate.
    pub(crate) slots: Vec<Slot>,
    pub(crate) limits: Limits,
    pub(crate) trees: Vec<TreeSlot>,
    /// Cells of a release, if that is public.
    pub(crate) cells: Option<u64>,
}

impl Layout {
    pub(crate) fn of(query: &PrivateQuery) -> Result<Layout, Unbounded> {
        let (mut slots, mut clamps, mut trees) = (Vec::new(), Vec::new(), Vec::<TreeSlot>::new());
        for aggregate in &query.aggregates {
            let Some(clamp) = clamp(aggregate) else {
                let tree = tree(aggregate)?;
                let known = trees.iter().position(|known| *known == tree);
                slots.push(Slot::Tree(known.unwrap_or(trees.len())));
                if known.is_none() {
                    trees.push(tree);
                }
                continue;
            };
            slots.push(Slot::Number(clamps.len()));
            clamps.push(clamp);
        }
        let limits = Limits::new(cells_of_one(query), clamps)?;
        let cells = query.public_cells().map(|cells| cells.max(1));
        Ok(Layout { slots, limits, trees, cells })
    }

    /// L2 sensitivity squared of a slot's numbers in all cells of one release (`None`: the number of subjects).
    /// `by_day`: a release is of one day and the unit is a subject's day; else of a bucket of days, the unit a subject.
    pub(crate) fn sensitivity(&self, slot: Option<Slot>, by_day: bool) -> Result<u128, Unbounded> {
        let l0 = self.limits.l0();
        match slot {
            Some(Slot::Tree(at)) => {
                let tree = self.trees.get(at).ok_or(Unbounded)?;
                Ok(match by_day {
                    true => tree.grid.days_sensitivity(l0, tree.most)?,
                    false => tree.grid.range_sensitivity(l0, tree.most, self.cells)?,
                })
            }
            None | Some(Slot::Number(_)) => {
                let at = match slot {
                    Some(Slot::Number(at)) => Some(at),
                    _ => None,
                };
                Ok(match by_day {
                    true => self.limits.days_sensitivity(at)?,
                    false => self.limits.range_sensitivity(at, self.cells)?,
                })
            }
        }
    }

    /// Numbers of a slot in one cell.
    pub(crate) fn width(&self, slot: Slot) -> u32 {
        match slot {
            Slot::Number(_) => 1,
            Slot::Tree(at) => self.trees.get(at).map_or(0, |tree| tree.grid.nodes()),
        }
    }
}

/// None for a quantile.
fn clamp(aggregate: &Aggregate) -> Option<Clamp> {
    match aggregate.op {
        AggregateOp::Sum(_) => Some(Clamp::Sum(aggregate.linf)),
        AggregateOp::Rows | AggregateOp::Present(_) | AggregateOp::Sessions => {
            Some(Clamp::Count(aggregate.linf))
        }
        AggregateOp::Subjects => Some(Clamp::Count(1)),
        AggregateOp::Quantile { .. } => None,
    }
}

fn tree(aggregate: &Aggregate) -> Result<TreeSlot, Unbounded> {
    let AggregateOp::Quantile { measure, edges, .. } = &aggregate.op else {
        return Err(Unbounded);
    };
    let grid = Grid::new(edges.clone())?;
    let (measure, filter) = (measure.clone(), aggregate.filter.clone());
    Ok(TreeSlot { measure, filter, grid, most: aggregate.linf })
}

/// The most cells of one unit: see the head of this file.
fn cells_of_one(query: &PrivateQuery) -> u32 {
    let has = |wanted: &Scalar| query.keys.iter().any(|key| key.scalar == *wanted);
    let many = |cells: usize| u32::try_from(cells).unwrap_or(u32::MAX);
    match &query.shape {
        Shape::Events | Shape::Subjects(_) => query.l0,
        Shape::Funnel { steps, .. } if has(&Scalar::Step) => many(steps.len()),
        Shape::Retention { period, .. } if has(&Scalar::Period) => many(periods(query.days, *period).len()),
        // One chain, one cohort: but a key made of the step or the period may be anything.
        Shape::Funnel { .. } | Shape::Retention { .. } if query.keys.iter().all(is_plain) => 1,
        Shape::Funnel { steps, .. } => many(steps.len()),
        Shape::Retention { period, .. } => many(periods(query.days, *period).len()),
    }
}

/// Whether a subject's rows of a funnel or retention all have the same value of the key.
fn is_plain(key: &crate::private_query::Key) -> bool {
    matches!(
        key.scalar,
        Scalar::Column { .. } | Scalar::Region | Scalar::Day | Scalar::Time(_) | Scalar::Cohort
    )
}

/// The first days of the periods of a range, oldest first; the first may be before the range.
pub(super) fn periods(days: DayRange, period: Grain) -> Vec<i32> {
    let mut starts: Vec<i32> = days.days().map(|day| period.bucket(day)).collect();
    starts.dedup();
    starts
}

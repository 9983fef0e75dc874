//! A query's aggregates as slots: single numbers and trees, how far one unit can change each, and the sensitivity.
//!
//! Invariants: everything here follows from the query alone. The accumulators enforce exactly these bounds
//! (`shoal-anonymity`, `bound`), so what [`SensitivityLayout::sensitivity`] says is what one subject's day can change in the
//! exact totals of a slot.
//!
//! Events without memberships: numbers that add up over days, and values in trees, are bounded for each subject's day
//! (`Limits::days_sensitivity`, `Grid::days_sensitivity`), whatever the days of the released part; so is everything
//! else in a released part of one day. Sessions of several days are bounded for each subject's day too, and each is counted
//! once in the released part (`DistinctBounder`): the days are not released apart, but what a day changes is bounded as if
//! they were. All else is bounded for a subject over all days of the released part.
//!
//! Sensitivity when the unit is a subject over a range of days, and one *day* of it is taken away (a day of this table,
//! of the table of a membership, or of both, if they are one): the totals lose the subject's contribution x and gain
//! another one, y. Both have at most `l0` cells with values within the clamps, whatever the days hold, because the bounds
//! are applied to the subject's whole contribution; no contribution at all (it was no member) is one such y. Then
//! `Limits::range_sensitivity` and `Grid::range_sensitivity` bound |x - y|^2. If the released part is one day, x or y
//! is nothing and |x|^2 is bounded by `days_sensitivity`. What is special about a shape is its l0:
//! - Funnel of n steps: the subject has one chain, so one combination of the other keys, and counts 1 in each of steps 1
//!   to m <= n of it: l0 = n. With the step as only key there are n cells, so |x - y|^2 <= n (the reached step changes
//!   from m to m', and |m - m'| cells by 1); with other keys the chain may move to another combination: 2 n.
//! - Retention over P periods: one cohort, so at most P cells, each 1: l0 = P, and |x - y|^2 <= min(2 P, cells).
//! - Without the step (the period) as a key all of this is in one cell, which counts up to the clamp: l0 = 1.
//! - Events whose keys follow from the day (a weekday, a `CASE` of days): each day has l0 groups of a subject, in each value that
//!   the days of the released part have, so that its own l0 is their product (`PrivateQuery::groups_of_bucket`). If the day alone
//!   decides the group, there are never more groups than l0, nothing is left out, and a day less changes the one group of that
//!   day: by its clamp. With memberships a day of another table may take away all groups, so this is of events without them.
//! - Events with memberships: the clamp is that of a day times the days that one group can have
//!   (`PrivateQuery::linf_of_bucket`), since who counts is known when all days have been read.

use shoal_anonymity::bound::{BoundError, Clamp, Limits};
use shoal_anonymity::tree::{Grid, TreeError};

use shoal_language::Scalar;
use shoal_language::calendar::Grain;
use shoal_language::{Aggregate, AggregateOp, DayRange, PrivateQuery, Shape};

/// Most values of one unit in a tree.
const VALUES_MAX: u64 = 8;

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

/// Where an aggregate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A number of each day and cell: the unit is a subject's day.
    Daily(usize),
    /// A number of each cell: the unit is a subject over all days of the released part.
    Ranged(usize),
    /// A number of each cell of sessions that several days may have: the unit is a subject's day, and each session of a
    /// subject counts once.
    Sessions(usize),
    /// A tree of each cell; the unit as [`SensitivityLayout::trees_are_daily`] says.
    Tree(usize),
}

/// The tree of a measure: all quantiles of it with this filter are read from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TreeSlot {
    pub(crate) measure: Scalar,
    pub(crate) filter: Option<Scalar>,
    pub(crate) grid: Grid,
    /// Most values of one unit, in all cells together.
    pub(crate) most: u64,
}

/// The slots of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SensitivityLayout {
    /// One for each aggregate.
    pub(crate) slots: Vec<Slot>,
    pub(crate) daily: Limits,
    pub(crate) ranged: Limits,
    /// Of a subject's day.
    pub(crate) sessions: Limits,
    pub(crate) trees: Vec<TreeSlot>,
    /// Whether the number of subjects is of each day: events without memberships, in released parts of one day.
    pub(crate) is_daily: bool,
    /// Whether the unit of a tree is a subject's day: events without memberships.
    pub(crate) trees_are_daily: bool,
    /// Whether every released part is one day, so that whoever loses that day has nothing left in the released part.
    one_day: bool,
    /// Whether the day alone decides the group of ranged numbers, and its days nothing else.
    one_group: bool,
    /// Cells of a released part, if that is public.
    cells: Option<u64>,
}

impl SensitivityLayout {
    pub(crate) fn of(query: &PrivateQuery) -> Result<SensitivityLayout, Unbounded> {
        let one_day = query.buckets().iter().all(|bucket| bucket.days.len() == 1);
        let is_plain = *query.shape() == Shape::Events && query.members().is_empty();
        // What a day has may be on another day as well, or is read off a tree of all days.
        let is_additive = |a: &Aggregate| {
            !matches!(a.op, AggregateOp::Subjects | AggregateOp::Sessions | AggregateOp::Quantile { .. })
        };
        // Windows that share days have noise of their own each: what is computed of several of them would not know that they
        // share it.
        let adds_up = query.overlap() == 1 && query.aggregates().iter().all(is_additive);
        let is_daily = is_plain && (one_day || adds_up);
        let most = values_of_one(query);
        let (mut slots, mut trees) = (Vec::new(), Vec::<TreeSlot>::new());
        let (mut daily, mut ranged, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
        for aggregate in query.aggregates() {
            let Some(clamp) = clamp(query, aggregate) else {
                let tree = tree(aggregate, most)?;
                let known = trees.iter().position(|known| *known == tree);
                slots.push(Slot::Tree(known.unwrap_or(trees.len())));
                if known.is_none() {
                    trees.push(tree);
                }
                continue;
            };
            if is_plain && !is_daily && aggregate.op == AggregateOp::Sessions {
                slots.push(Slot::Sessions(sessions.len()));
                sessions.push(clamp);
            } else if is_daily || (is_plain && aggregate.op != AggregateOp::Subjects) {
                slots.push(Slot::Daily(daily.len()));
                daily.push(clamp);
            } else {
                slots.push(Slot::Ranged(ranged.len()));
                ranged.push(clamp);
            }
        }
        let l0 = cells_of_one(query);
        let is_of_range = *query.shape() == Shape::Events && !is_daily;
        let of_range = if is_of_range { query.groups_of_bucket() } else { l0 };
        let (daily, ranged) = (Limits::new(l0, daily)?, Limits::new(of_range, ranged)?);
        let sessions = Limits::new(l0, sessions)?;
        let cells = query.public_cells().map(|cells| cells.max(1));
        Ok(SensitivityLayout {
            slots,
            daily,
            ranged,
            sessions,
            trees,
            is_daily,
            trees_are_daily: is_plain,
            one_day,
            one_group: is_plain && is_of_range && query.day_values().is_one_group,
            cells,
        })
    }

    /// L2 sensitivity squared of a slot: of its numbers in all cells of a released part, and of all days of it that are
    /// released apart. `None`: the number of subjects of the cells.
    pub(crate) fn sensitivity(&self, slot: Option<Slot>) -> Result<u128, Unbounded> {
        // With all its days gone, a subject's whole contribution is: less than an exchange.
        let range = |at: Option<usize>| match (self.one_day, self.one_group) {
            (true, _) => self.ranged.days_sensitivity(at),
            (false, true) => Limits::new(1, self.ranged.clamps().to_vec())?.days_sensitivity(at),
            (false, false) => self.ranged.range_sensitivity(at, self.cells),
        };
        Ok(match slot {
            None if self.is_daily => self.daily.days_sensitivity(None)?,
            None => range(None)?,
            Some(Slot::Daily(at)) => self.daily.days_sensitivity(Some(at))?,
            Some(Slot::Ranged(at)) => range(Some(at))?,
            Some(Slot::Sessions(at)) => self.sessions.days_sensitivity(Some(at))?,
            Some(Slot::Tree(at)) => {
                let tree = self.trees.get(at).ok_or(Unbounded)?;
                match self.one_day || self.trees_are_daily {
                    true => tree.grid.days_sensitivity(tree.most)?,
                    false => tree.grid.range_sensitivity(tree.most)?,
                }
            }
        })
    }

    /// Numbers of a slot in one cell.
    pub(crate) fn width(&self, slot: Slot) -> u32 {
        match slot {
            Slot::Daily(_) | Slot::Ranged(_) | Slot::Sessions(_) => 1,
            Slot::Tree(at) => self.trees.get(at).map_or(0, |tree| tree.grid.nodes()),
        }
    }

    /// The most cells of one unit: for the threshold of private keys. Where a day less can exchange them, twice as many
    /// groups may appear or go.
    pub(crate) fn cells_of_one(&self) -> u32 {
        self.ranged.l0()
    }

    /// The most groups of one subject in a bucket of days, where they are more than those of its day.
    pub(crate) fn groups_of_range(&self) -> Option<u32> {
        (self.ranged.l0() != self.daily.l0()).then_some(self.ranged.l0())
    }

    /// L2 sensitivity squared of the number of groups that some subject keeps: with numbers, of its day and of its range,
    /// with sessions of its day, and with values in trees. A day less takes away or brings no more than all of them.
    pub(crate) fn groups_of_one(&self) -> Result<u128, Unbounded> {
        let (daily, ranged) = (u128::from(self.daily.l0()), u128::from(self.ranged.l0()));
        let numbers = if self.is_daily { daily } else { daily + ranged };
        let sessions = if self.sessions.clamps().is_empty() { 0 } else { u128::from(self.sessions.l0()) };
        let numbers = numbers + sessions;
        let groups = self.trees.iter().fold(numbers, |all, tree| all + u128::from(tree.most));
        groups.checked_mul(groups).ok_or(Unbounded)
    }

    /// Whether a day less can exchange a subject's cells for others, rather than only take them away.
    pub(crate) fn can_exchange(&self) -> bool {
        !self.one_day && !self.is_daily
    }
}

/// None for a quantile.
fn clamp(query: &PrivateQuery, aggregate: &Aggregate) -> Option<Clamp> {
    let linf = query.linf_of_bucket(aggregate);
    match aggregate.op {
        AggregateOp::Sum(_) => Some(Clamp::Sum(linf)),
        AggregateOp::Rows | AggregateOp::Present(_) | AggregateOp::Sessions => Some(Clamp::Count(linf)),
        AggregateOp::Subjects => Some(Clamp::Count(1)),
        AggregateOp::Quantile { .. } => None,
    }
}

fn tree(aggregate: &Aggregate, most: u64) -> Result<TreeSlot, Unbounded> {
    let AggregateOp::Quantile { measure, edges, .. } = &aggregate.op else {
        return Err(Unbounded);
    };
    let grid = Grid::new(edges.clone())?;
    let (measure, filter) = (measure.clone(), aggregate.filter.clone());
    Ok(TreeSlot { measure, filter, grid, most })
}

/// The most values of one unit in a tree: one of a subject's day; of a subject over several days as many as there are days, up
/// to 8, or one, where a subject has one row only.
fn values_of_one(query: &PrivateQuery) -> u64 {
    let days = query.buckets().iter().map(|bucket| bucket.days.len()).max().unwrap_or(1);
    match query.shape() {
        Shape::Subjects(person) if person.keys.is_empty() => 1,
        Shape::Events if query.members().is_empty() => 1,
        Shape::Events | Shape::Subjects(_) | Shape::Funnel { .. } | Shape::Retention { .. } => {
            days.clamp(1, VALUES_MAX)
        }
    }
}

/// The most cells of one unit: see the head of this file.
fn cells_of_one(query: &PrivateQuery) -> u32 {
    let has = |wanted: &Scalar| query.keys().iter().any(|key| key.scalar == *wanted);
    let many = |cells: usize| u32::try_from(cells).unwrap_or(u32::MAX);
    match query.shape() {
        Shape::Events | Shape::Subjects(_) => query.l0(),
        Shape::Funnel { steps, .. } if has(&Scalar::Step) => many(steps.len()),
        Shape::Retention { period, .. } if has(&Scalar::Period) => many(periods(query.days(), *period).len()),
        // One chain, one cohort: but a key made of the step or the period may be anything.
        Shape::Funnel { .. } | Shape::Retention { .. } if query.keys().iter().all(is_plain) => 1,
        Shape::Funnel { steps, .. } => many(steps.len()),
        Shape::Retention { period, .. } => many(periods(query.days(), *period).len()),
    }
}

/// Whether a subject's rows of a funnel or retention all have the same value of the key.
fn is_plain(key: &shoal_language::Key) -> bool {
    matches!(
        key.scalar,
        Scalar::Column { .. } | Scalar::Region | Scalar::Day | Scalar::Time(_) | Scalar::Cohort
    )
}

/// The first days of the periods of a range, oldest first; the first may be before the range.
pub(crate) fn periods(days: DayRange, period: Grain) -> Vec<i32> {
    let mut starts: Vec<i32> = days.days().map(|day| period.bucket(day)).collect();
    starts.dedup();
    starts
}

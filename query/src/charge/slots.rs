//! Which number of a group is bounded where, and what one subject's day changes in it at the most.
//!
//! Invariants: a query is *daily* when each day can be a release of its own: rows are events, no other events are looked
//! at, and every number of a bucket is the sum of its days' numbers (or each bucket is one day). Else it is *ranged*:
//! each bucket is one release, charged to each of its days. In a ranged query over events, sums and counts are still
//! bounded day by day, added up, and then noised once; everything else is bounded over the bucket.
//! Not here: bounding itself (`shoal-privacy`, `bound`), trees of quantiles (`execute`).

use shoal_privacy::bound::{BoundError, Clamp, Limits};
use shoal_privacy::noise::DiscreteGaussian;

use crate::private_query::{Aggregate, AggregateOp, PrivateQuery, Shape};

/// Levels of the tree of a quantile below its root: 2, 4, .. 256 nodes.
pub(crate) const TREE_LEVELS: u32 = 8;
/// Nodes of all levels together.
pub(crate) const TREE_NODES: usize = (1 << (TREE_LEVELS + 1)) - 2;
/// Most values of one subject in a tree, however many days.
const TREE_VALUES_MAX: u64 = 8;

/// Where an aggregate is bounded: its position in the daily totals, in the ranged totals, or among the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Daily(usize),
    Ranged(usize),
    Tree(usize),
}

/// A number of each group (or the nodes of a tree) that is noised once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) noise: DiscreteGaussian,
}

impl Slot {
    /// How many numbers it has in each group.
    pub(crate) fn width(&self) -> usize {
        match self.place {
            Place::Daily(_) | Place::Ranged(_) => 1,
            Place::Tree(_) => TREE_NODES,
        }
    }
}

/// All slots of a query.
pub(super) struct Slots {
    /// One for each aggregate.
    pub(super) places: Vec<Place>,
    pub(super) daily: Limits,
    pub(super) ranged: Limits,
    pub(super) tree_values_max: u64,
    pub(super) is_daily: bool,
    trees: usize,
    /// Groups of a bucket, when they are public.
    cells: Option<u64>,
}

fn is_additive(op: &AggregateOp) -> bool {
    match op {
        AggregateOp::Rows | AggregateOp::Present(_) | AggregateOp::Sum(_) | AggregateOp::Sessions => true,
        AggregateOp::Subjects | AggregateOp::Quantile { .. } => false,
    }
}

fn clamp(aggregate: &Aggregate) -> Clamp {
    match aggregate.op {
        AggregateOp::Sum(_) => Clamp::Sum(aggregate.linf),
        AggregateOp::Rows
        | AggregateOp::Present(_)
        | AggregateOp::Subjects
        | AggregateOp::Sessions
        | AggregateOp::Quantile { .. } => Clamp::Count(aggregate.linf),
    }
}

/// Whether two quantiles are read off one tree.
pub(crate) fn shares_tree(a: &Aggregate, b: &Aggregate) -> bool {
    match (&a.op, &b.op) {
        (
            AggregateOp::Quantile { measure: m, edges: e, .. },
            AggregateOp::Quantile { measure: n, edges: f, .. },
        ) => m == n && e == f && a.filter == b.filter,
        _ => false,
    }
}

/// Most groups that one subject touches in one release.
fn l0(query: &PrivateQuery) -> u32 {
    match &query.shape {
        // A subject that reached step m is counted in steps 1 to m.
        Shape::Funnel { steps, .. } => query.l0.max(u32::try_from(steps.len()).unwrap_or(u32::MAX)),
        Shape::Events | Shape::Subjects(_) | Shape::Retention { .. } => query.l0,
    }
}

impl Slots {
    pub(super) fn of(query: &PrivateQuery) -> Result<Slots, BoundError> {
        let of_events = query.shape == Shape::Events && query.members.is_empty();
        let days = query.buckets().iter().map(|bucket| bucket.days.len()).max().unwrap_or(1);
        let is_daily = of_events && (days <= 1 || query.aggregates.iter().all(|a| is_additive(&a.op)));
        let (mut daily, mut ranged, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut trees: Vec<&Aggregate> = Vec::new();
        for aggregate in &query.aggregates {
            if matches!(aggregate.op, AggregateOp::Quantile { .. }) {
                let at = trees.iter().position(|tree| shares_tree(tree, aggregate));
                places.push(Place::Tree(at.unwrap_or(trees.len())));
                if at.is_none() {
                    trees.push(aggregate);
                }
            } else if is_daily || (of_events && is_additive(&aggregate.op)) {
                places.push(Place::Daily(daily.len()));
                daily.push(clamp(aggregate));
            } else {
                places.push(Place::Ranged(ranged.len()));
                ranged.push(clamp(aggregate));
            }
        }
        let l0 = l0(query);
        Ok(Slots {
            places,
            trees: trees.len(),
            daily: Limits::new(l0, daily)?,
            ranged: Limits::new(l0, ranged)?,
            tree_values_max: days.clamp(1, TREE_VALUES_MAX),
            is_daily,
            cells: query.public_cells().map(|cells| cells.max(1)),
        })
    }

    /// How many slots there are.
    pub(super) fn count(&self) -> usize {
        self.daily.clamps().len() + self.ranged.clamps().len() + self.trees
    }

    /// L2 sensitivity squared of all numbers of a slot, when one subject's day is taken away.
    pub(super) fn sensitivity(&self, place: Place) -> Result<u128, BoundError> {
        match place {
            Place::Daily(at) => self.daily.days_sensitivity(Some(at)),
            Place::Ranged(at) => self.ranged.range_sensitivity(Some(at), self.cells),
            // On each level a subject's values fall into nodes; at worst all M into one. Without one day, M others may
            // be chosen, which fall into another node.
            Place::Tree(_) => {
                let values = u128::from(self.tree_values_max);
                let exchanged = if self.is_daily { 1 } else { 2 };
                Ok(u128::from(TREE_LEVELS) * exchanged * values * values)
            }
        }
    }

    /// That of the number of subjects which decides whether a group is shown.
    pub(super) fn subjects_sensitivity(&self) -> Result<u128, BoundError> {
        match self.is_daily {
            true => self.daily.days_sensitivity(None),
            false => self.ranged.range_sensitivity(None, self.cells),
        }
    }
}

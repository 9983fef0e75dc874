//! The numbers of a query that are noised: one for each slot of its layout, however many aggregates read it; and of how many
//! groups.
//!
//! Not here: bounds, sensitivities and whether a query is released day by day (`sensitivity.rs`).

use shoal_anonymity::noise::DiscreteGaussian;

use crate::sensitivity::{SensitivityLayout, Slot as Place};
use shoal_language::{Aggregate, AggregateOp, CELLS_MAX, PrivateQuery};

/// A number of each group (or the nodes of a tree) that is noised once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) noise: DiscreteGaussian,
    /// How many numbers it has in each group.
    pub(crate) width: usize,
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

/// How many numbers (and trees) of each group are noised.
pub(super) fn count(layout: &SensitivityLayout) -> usize {
    let numbers = [&layout.daily, &layout.ranged, &layout.sessions].map(|limits| limits.clamps().len());
    numbers.into_iter().sum::<usize>() + layout.trees.len()
}

/// Most numbers of groups of private keys that get noise, in all released parts of a query together: some seconds of work.
const NUMBERS_MAX: u64 = 2_000_000;

/// Most groups of private keys that a released part of a query shows.
pub(super) fn shown_max(query: &PrivateQuery, layout: &SensitivityLayout) -> u64 {
    let spans = match layout.is_daily {
        true => query.buckets().iter().map(|bucket| bucket.days.len()).sum(),
        false => query.buckets().len() as u64,
    };
    let parts = spans.saturating_mul(query.regions().len() as u64).max(1);
    let nodes = layout.trees.iter().map(|tree| u64::from(tree.grid.nodes())).sum::<u64>();
    let numbers = (count(layout) - layout.trees.len()) as u64 + nodes;
    (NUMBERS_MAX / parts / numbers.max(1)).clamp(1, CELLS_MAX)
}

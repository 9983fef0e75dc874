//! The numbers of a query that are noised: one for each slot of its layout, however many aggregates read it.
//!
//! Not here: bounds, sensitivities and whether a query is released day by day (`sensitivity.rs`).

use shoal_anonymity::noise::DiscreteGaussian;

use crate::sensitivity::{SensitivityLayout, Slot as Place};
use shoal_language::{Aggregate, AggregateOp};

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

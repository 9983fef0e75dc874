//! What is made of one subject's events: each shape of a private query is a [`Fold`](super::fold::Fold) over the rows of
//! each subject, for one piece (a day, or a bucket of days) of one region.
//!
//! - `bounder`: at most L0 cells of a unit, each value clamped, added up; streaming, one unit at a time
//! - `gate`: `subject IN (..)`
//! - `frame`: keys and aggregates over rows that a fold makes; `evaluate`: expressions over such rows
//! - `columns`: values of the rows that are read
//! - `events`: a row is an event; `quantile`: the same with quantiles
//! - `funnel`, `retention`, `subjects`: the other shapes
//!
//! Invariants: what a unit (a subject's day; for these shapes a subject over all days of a piece) changes depends on that
//! unit's own rows and on a key drawn afresh; integers only; nothing about a row is in an error. What comes out is exact
//! and not private: only `release` takes it. A fold's memory is bounded for one subject by what it counts, and over all
//! subjects by the number of cells.
//! Not here: reading files in order of subjects (`merge`), bounds and sensitivities (`layout.rs`), prices, noise.

mod bounder;
mod columns;
mod evaluate;
mod events;
mod frame;
mod funnel;
mod gate;
mod quantile;
mod retention;
mod subjects;
#[cfg(test)]
mod tests;

use shoal_privacy::noise::Entropy;

use self::frame::FoldLimits;
pub(crate) use self::quantile::quantile_of;
use super::fold::Fold;
use super::{Failure, Grounds, Piece};
use crate::layout::Layout;
use crate::private_query::{AggregateOp, PrivateQuery, Shape};

/// The totals of one fold that hold anything, and the leaves of its trees: about 100 bytes each.
const HELD_MAX: usize = 20_000_000;

/// The fold of one piece.
pub(super) fn fold(grounds: Grounds<'_>) -> Result<Box<dyn Fold>, Failure> {
    let query = &grounds.charged.query;
    let is_quantile = |op: &AggregateOp| matches!(op, AggregateOp::Quantile { .. });
    if query.shape == Shape::Events && !query.aggregates.iter().any(|aggregate| is_quantile(&aggregate.op)) {
        return Ok(Box::new(events::Events::new(grounds)?));
    }
    let limits = FoldLimits { cells_max: grounds.cells_max, held_max: HELD_MAX };
    let layout = grounds.charged.layout.clone();
    // A piece of a day is for units that are a subject's day.
    if matches!(grounds.piece, Piece::Day(_)) && !layout.is_daily {
        return Err(Failure);
    }
    shaped(query, layout, limits, grounds.entropy)
}

/// The fold of a shape; of events, the one that knows quantiles.
fn shaped<E: Entropy + ?Sized>(
    query: &PrivateQuery,
    layout: Layout,
    limits: FoldLimits,
    entropy: &mut E,
) -> Result<Box<dyn Fold>, Failure> {
    Ok(match &query.shape {
        Shape::Events => Box::new(quantile::QuantileFold::new(query, layout, limits, entropy)?),
        Shape::Subjects(_) => Box::new(subjects::SubjectsFold::new(query, layout, limits, entropy)?),
        Shape::Funnel { .. } => Box::new(funnel::FunnelFold::new(query, layout, limits, entropy)?),
        Shape::Retention { .. } => Box::new(retention::RetentionFold::new(query, layout, limits, entropy)?),
    })
}

//! What is made of one subject's events: each shape of a private query is a [`Fold`](super::fold::Fold) over the rows of
//! each subject, for one piece (a day, or a bucket of days) of one region.
//!
//! - `gate`: `subject IN (..)`
//! - `frame`: keys and aggregates over rows that a fold makes; `evaluate`: expressions over such rows
//! - `columns`: values of the rows that are read
//! - `events`: a row is an event; `terms`: what it adds to each number
//! - `trees`: values of units in trees, for quantiles
//! - `funnel`, `retention`, `subjects`: the other shapes
//!
//! Invariants: what a unit (a subject's day; for these shapes a subject over all days of a piece) changes depends on that
//! unit's own rows and on a key drawn afresh; integers only; nothing about a row is in an error. What comes out is exact
//! and not private: only `release` takes it. A fold's memory is bounded for one subject by what it counts, and over all
//! subjects by the number of cells.
//! Not here: reading files in order of subjects (`merge`), bounds and sensitivities (`layout.rs`), prices, noise.

mod columns;
mod evaluate;
mod events;
mod frame;
mod funnel;
mod gate;
mod retention;
mod subjects;
mod terms;
#[cfg(test)]
mod tests;
mod trees;

use shoal_anonymity::noise::Entropy;

pub(crate) use self::trees::quantile_of;
use super::fold::Fold;
use super::{Grounds, Piece};
use crate::failure::Failure;
use crate::layout::Layout;
use shoal_language::{PrivateQuery, Shape};

/// The fold of one piece.
pub(super) fn fold(grounds: Grounds<'_>) -> Result<Box<dyn Fold>, Failure> {
    let Grounds { charged, piece, groups_max, entropy } = grounds;
    shaped(&charged.query, charged.layout.clone(), piece, groups_max, entropy)
}

/// The fold of a shape, for a day of it or a bucket of days.
fn shaped<E: Entropy + ?Sized>(
    query: &PrivateQuery,
    layout: Layout,
    piece: Piece,
    groups_max: Option<u64>,
    entropy: &mut E,
) -> Result<Box<dyn Fold>, Failure> {
    let is_day = matches!(piece, Piece::Day(_));
    // A piece of a day is for units that are a subject's day.
    if is_day && !layout.is_daily {
        return Err(Failure::Internal);
    }
    Ok(match &query.shape {
        Shape::Events => Box::new(events::Events::new(query, layout, is_day, groups_max, entropy)?),
        Shape::Subjects(_) => Box::new(subjects::SubjectsFold::new(query, layout, groups_max, entropy)?),
        Shape::Funnel { .. } => Box::new(funnel::FunnelFold::new(query, layout, groups_max, entropy)?),
        Shape::Retention { .. } => {
            Box::new(retention::RetentionFold::new(query, layout, groups_max, entropy)?)
        }
    })
}

//! What each shape of a query makes of its events.
//!
//! - `events`: a row is an event
//!
//! Not here: reading and merging (`rows`, `merge`), what a fold is (`fold`).

mod events;

use super::fold::Fold;
use super::{Failure, Grounds};
use crate::private_query::Shape;

/// The fold of one piece.
pub(super) fn fold(grounds: Grounds<'_>) -> Result<Box<dyn Fold>, Failure> {
    match &grounds.charged.query.shape {
        Shape::Events => Ok(Box::new(events::Events::new(grounds)?)),
        Shape::Subjects(_) | Shape::Funnel { .. } | Shape::Retention { .. } => Err(Failure),
    }
}

//! What is made of one subject's events: each shape of a private query is an
//! [`Accumulator`](super::accumulator::Accumulator) over the rows of each subject, for one released part (a day, or a
//! bucket of days) of one region.
//!
//! - `gate`: `subject IN (..)`
//! - `made_rows`: the accumulator over rows that are made of a subject's events; `frame`: their keys and aggregates;
//!   `evaluate`: expressions over them
//! - `columns`: values of the rows that are read
//! - `events`: a row is an event; `terms`: what it adds to each number; `sampling`: which events count where a day has
//!   more than the bound; `bounded`: what is kept of a unit's rows
//! - `trees`: values of units in trees, for quantiles
//! - `funnel`, `retention`, `subjects`: what each of the other shapes keeps of a subject, and the rows it makes
//!
//! Invariants: what a unit (a subject's day; for these shapes a subject over all days of a released part) changes
//! depends on that unit's own rows and on a key drawn afresh; integers only; nothing about a row is in an error. What
//! comes out is exact and not private: only `release` takes it. An accumulator's memory is bounded for one subject by
//! what it counts, and over all subjects by the number of cells.
//! Not here: reading files in order of subjects (`merge`), bounds and sensitivities (`sensitivity.rs`), prices, noise.

mod bounded;
mod columns;
mod evaluate;
mod events;
mod frame;
mod funnel;
mod gate;
mod made_rows;
mod retention;
mod sampling;
mod subjects;
mod terms;
#[cfg(test)]
mod tests;
mod trees;

use shoal_anonymity::noise::{Entropy, OsEntropy};
use shoal_language::Shape;

use self::funnel::Funnel;
use self::made_rows::MadeRows;
use self::retention::Retention;
pub(super) use self::sampling::chooses;
use self::subjects::SubjectRows;
pub(crate) use self::trees::quantile_of;
use super::accumulator::Accumulator;
use super::counted::Counted;
use super::grounds::Grounds;
use super::span::Span;
use crate::charge::ChargedQuery;
use crate::failure::Failure;

/// The accumulator of a query's shape, for a day of it or a bucket of days.
pub(super) fn accumulator(
    grounds: &Grounds<'_>,
    entropy: &mut dyn Entropy,
) -> Result<Box<dyn Accumulator>, Failure> {
    // A day by itself is for units that are a subject's day.
    if matches!(grounds.span, Span::Day(_)) && !grounds.layout.is_daily {
        return Err(Failure::Internal);
    }
    Ok(match grounds.query.shape() {
        Shape::Events => Box::new(events::Events::new(grounds, entropy)?),
        Shape::Subjects(person) => Box::new(MadeRows::new(SubjectRows::new(person), grounds, entropy)?),
        Shape::Funnel { steps, within_ms } => {
            Box::new(MadeRows::new(Funnel::new(steps, *within_ms)?, grounds, entropy)?)
        }
        Shape::Retention { cohort, back, period } => {
            let state = Retention::new([cohort.clone(), back.clone()], *period, grounds)?;
            Box::new(MadeRows::new(state, grounds, entropy)?)
        }
    })
}

/// An accumulator to which nothing is added: what a query asks of each of its rows is planned with it, before there are any.
pub(super) fn unfilled(charged: &ChargedQuery) -> Result<Box<dyn Accumulator>, Failure> {
    let ChargedQuery { query, layout, .. } = charged;
    let span = match charged.is_daily() {
        true => Span::Day(query.days().first),
        false => Span::Bucket(0),
    };
    let (days, counted) = (query.days(), &Counted::default());
    let grounds = Grounds { query, layout, days, span, groups_max: None, counted };
    accumulator(&grounds, &mut OsEntropy::new())
}

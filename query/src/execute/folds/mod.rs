//! What is made of one subject's events: each shape of a private query is a [`Fold`] over the rows of each subject.
//!
//! - `layout`: which numbers and trees a query's aggregates are, their bounds, and their sensitivity
//! - `bounder`: at most L0 cells of a unit, each value clamped, added up; streaming, one unit at a time
//! - `frame`: keys and aggregates over rows that a fold makes; `evaluate`: expressions over such rows
//! - `columns`: values of the rows that are read
//! - `funnel`, `retention`, `subjects`: the shapes that are not events; `quantile`: quantiles over events
//! - `members`: the subjects that another table has
//!
//! Invariants: what a unit (a subject's day; for these shapes a subject over all days of a bucket) changes depends on that
//! unit's own rows and on a key drawn afresh; integers only; nothing about a row is in an error. What comes out is exact
//! and not private: only `release` takes it. A fold's memory is bounded for one subject by what it counts, and over all
//! subjects by the number of cells.
//! Not here: reading files in order of subjects, prices, noise.

mod bounder;
mod columns;
mod evaluate;
mod frame;
mod funnel;
mod layout;
mod members;
mod quantile;
mod retention;
mod subjects;
#[cfg(test)]
mod tests;

use datafusion::arrow::array::ArrayRef;

pub(crate) use self::bounder::{Bounder, CellTotals, ReleaseTotals};
pub(crate) use self::funnel::FunnelFold;
pub(crate) use self::layout::{Layout, Slot, TreeSlot, Unbounded};
pub(crate) use self::members::{Gate, MembersFold, SubjectSet};
pub(crate) use self::quantile::QuantileFold;
pub(crate) use self::retention::RetentionFold;
pub(crate) use self::subjects::SubjectsFold;
use super::Failure;
use crate::expr::Scalar;

/// What is made of the rows of one subject after another.
pub(crate) trait Fold {
    /// The expressions it needs of each row, besides subject, day and time.
    fn scalars(&self) -> Vec<Scalar>;
    /// A batch of `source` (a file's stream) has been read: its columns, in the order of `scalars`.
    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure>;
    /// One row of the current subject, in order of time (daily queries: one day at a time).
    fn row(&mut self, source: usize, row: usize, day: i32, time_us: i64);
    /// The subject has no more rows.
    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure>;
}

//! What one subject's day contributes, at the most: clamp each value, keep at most L0 keys.
//!
//! - `limits`: L0, the clamps, and the sensitivity that follows from them
//! - `groups`: groups by a keyed hash of their values, before they have a number
//! - `unit`: the rows of one unit while they are read, and what is kept of them
//! - `rows`: which rows of a subject's day count at all, where it has more of them than the bound
//! - `distinct`: items that a subject has on several days, and that count once
//! - `totals`: what is left, added up per (day, key)
//!
//! A [`Bounder`] takes the rows of one unit after another. The unit is a subject's day (`close` is told the day), for
//! additive aggregates that are released per day; or a subject over all days of a range (no day), counted once per key,
//! for distinct subjects and quantiles.
//!
//! Invariants: integers only; totals are 128 bits wide, which 2^63 units of at most 2^52 cannot fill; which keys a
//! subject keeps depends on that subject's rows and on a key drawn afresh for each bounder, on nothing else; so taking away a
//! subject, or a subject's day, changes no more than `Limits::days_sensitivity` or `Limits::range_sensitivity` says, exactly. All
//! rows of a unit must come before its `close`: one that is closed twice counts twice. A count of distinct sessions of a day
//! is a `Clamp::Count` whose value is the subject's number of sessions in the key. Memory: one unit, and one total for each cell.
//!
//! Not here: noise (`noise`), thresholds (`budget`), what the limits are (the registry, `shoal-schemas`).

mod distinct;
mod groups;
mod limits;
mod rows;
mod totals;
mod unit;

pub use distinct::DistinctBounder;
pub use groups::GroupKey;
pub use limits::{Clamp, Limits};
pub use rows::RowSample;
pub use totals::{Cell, Totals};
pub use unit::{Bounder, Taken, UNIT_KEYS_MAX};

use crate::noise::NoiseError;

/// Why contributions cannot be bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// L0 of 0, or a clamp of 0 or above 2^52, or an aggregate that is not there.
    #[error("a limit is 0 or too large, or there is none for this aggregate")]
    Limits,
    /// A row has more or fewer values than there are clamps.
    #[error("contributions do not have one value for each limit")]
    Width,
    /// More than 2^32 - 1 cells, or than the caller has numbers for.
    #[error("too many cells for one release")]
    Cells,
    /// No key for the choice could be drawn.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

#[cfg(test)]
mod tests;

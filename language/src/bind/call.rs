//! A bound call of an aggregate: its [`Aggregate`]s, and how a number is made of them.
//!
//! Not here: how a call is bound (`aggregate`, `binder`).

use crate::expr::Scalar;
use crate::private_query::Aggregate;

/// Most sessions of one subject's day that count in one group.
pub(crate) const SESSIONS_DAY_MAX: u64 = 20;
pub(super) const WORKS: &str = "SELECT COUNT(*), COUNT(DISTINCT subject), AVG(duration_ms) FROM performance";

/// A call of an aggregate, bound.
pub(crate) struct Call {
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) formula: Formula,
    /// A histogram's key.
    pub(crate) key: Option<Scalar>,
}

/// How the number is made of the call's aggregates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    /// The number is the first aggregate.
    One,
    /// The number is the first divided by the second, plus `center`; it is from `low` to `high`, as every value is.
    Mean { center: String, low: String, high: String },
    /// The number is made of a sum, a sum of squares and a count.
    Variance { is_sample: bool, is_root: bool },
}

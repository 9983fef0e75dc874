//! Private queries that are changed by hand: for tests of what runs on them, which need shapes, bounds and keys that no
//! statement has.
//!
//! Invariant: nothing that is built for use has this. The feature `by-hand` is asked for among the `[dev-dependencies]`
//! alone, and a test of the house rules sees to it.

use shoal_schemas::Programme;

use super::{Aggregate, DayRange, Key, Membership, PrivateQuery, Shape};
use crate::expr::Scalar;

impl PrivateQuery {
    /// The days, to be changed.
    pub fn days_mut(&mut self) -> &mut DayRange {
        &mut self.days
    }

    /// The first readable days, to be changed.
    pub fn cutoffs_mut(&mut self) -> &mut Vec<(Programme, i32)> {
        &mut self.cutoffs
    }

    /// The shape, to be changed.
    pub fn shape_mut(&mut self) -> &mut Shape {
        &mut self.shape
    }

    /// The filter, to be changed.
    pub fn filter_mut(&mut self) -> &mut Option<Scalar> {
        &mut self.filter
    }

    /// The memberships, to be changed.
    pub fn members_mut(&mut self) -> &mut Vec<Membership> {
        &mut self.members
    }

    /// The keys, to be changed.
    pub fn keys_mut(&mut self) -> &mut Vec<Key> {
        &mut self.keys
    }

    /// The aggregates, to be changed.
    pub fn aggregates_mut(&mut self) -> &mut Vec<Aggregate> {
        &mut self.aggregates
    }

    /// The number of groups that count, to be changed.
    pub fn l0_mut(&mut self) -> &mut u32 {
        &mut self.l0
    }
}

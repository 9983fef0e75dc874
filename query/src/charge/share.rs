//! How a price is shared, and when there is none.

use shoal_anonymity::budget::BudgetError;

use crate::sensitivity::Unbounded;

/// The part of the price of a query with a private key that pays for comparing its number of groups with a limit. So
/// little makes the limit uncertain by some hundred groups, of the many thousand that it allows. Weights: the limit's, and
/// that of everything else.
pub(super) const LIMIT_SHARE: [u32; 2] = [1, 99];

/// No variance can be given.
pub(super) struct Unaffordable;

impl From<BudgetError> for Unaffordable {
    fn from(_: BudgetError) -> Unaffordable {
        Unaffordable
    }
}

impl From<Unbounded> for Unaffordable {
    fn from(_: Unbounded) -> Unaffordable {
        Unaffordable
    }
}

//! How far one subject's day can change the size of a block, and so the noise of sizes and how rows are counted.
//!
//! A block's rows came in under the limits of a subject's day that were in force since its day began, of which the largest
//! counts ([`DayLimits`]). Where rows may be older than the first limit that is known, each subject's rows are counted up to
//! that number and no further.
//! Invariants: no subject changes the size of a block by more than [`SizeBounds::most_on`],
//! whatever is stored. Everything here follows from settings, records of settings, and the day.
//! Not here: what is done with sizes (`size`), the limit itself (`shoal-ingest`).

use shoal_anonymity::budget::{Rho, variance};
use shoal_anonymity::noise::DiscreteGaussian;
use shoal_storage::DayLimits;

use crate::failure::Failure;

/// The price of a block's size. The block pays it once in each of its epochs in which somebody asks about it.
pub const SIZE_PRICE: Rho = Rho::from_nano(500_000);

/// The bounds of sizes, by day.
#[derive(Clone, Debug)]
pub(crate) struct SizeBounds {
    limits: Option<DayLimits>,
    /// The limit in force.
    now: u64,
}

impl SizeBounds {
    /// Makes the bounds of the limits that were recorded and of the one that is in force now.
    pub(crate) fn of(limits: Option<DayLimits>, now: u64) -> SizeBounds {
        SizeBounds { limits, now: now.max(1) }
    }

    /// Returns how many rows of one subject count in the size of a block of this day, at the most.
    pub(super) fn most_on(&self, day: i32) -> u64 {
        self.limits.as_ref().map_or(self.now, |limits| limits.most_on(day).max(self.now))
    }

    /// Returns the number up to which the rows of each subject are counted. It is `None` when no subject can have more rows than
    /// [`SizeBounds::most_on`] says, so that counting them all gives the same.
    pub(super) fn counted_to(&self, day: i32) -> Option<u64> {
        let may_hold_more = self.limits.as_ref().is_none_or(|limits| limits.is_counted(day));
        may_hold_more.then(|| self.most_on(day))
    }

    /// Returns the noise that the sizes of this day's blocks have.
    pub(super) fn noise(&self, day: i32) -> Result<DiscreteGaussian, Failure> {
        let most = u128::from(self.most_on(day));
        let squared = most.checked_mul(most).ok_or(Failure::Internal)?;
        Ok(DiscreteGaussian::new(variance(squared, SIZE_PRICE).map_err(|_| Failure::Internal)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_storage::BudgetLedger;

    use super::*;

    #[test]
    fn the_noise_of_a_size_is_of_the_largest_limit_that_its_day_can_have_had() {
        let ledger = BudgetLedger::in_memory().unwrap();
        let bounds = |now| SizeBounds::of(ledger.day_limits(), now);
        assert_eq!((bounds(50).most_on(7), bounds(50).counted_to(7)), (50, Some(50)), "nothing is known");
        ledger.note_day_limit(50, 10).unwrap();
        ledger.note_day_limit(5, 20).unwrap();
        // 50^2 / (2 * 0.0005), and 5^2.
        for (day, most, variance) in [(7, 50, 2_500_000.0), (21, 50, 2_500_000.0), (22, 5, 25_000.0)] {
            assert_eq!((bounds(5).most_on(day), bounds(5).counted_to(day)), (most, None));
            assert!((bounds(5).noise(day).unwrap().variance().to_f64() - variance).abs() < 1.0);
        }
    }
}

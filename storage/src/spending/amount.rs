//! What was spent, as a pair: rho and delta.
//!
//! Units: rho in billionths; delta in quintillionths (10^-18), in which every share of a block's delta that a price in
//! billionths of rho can take is a whole number for all presets: 8000, 2000 or 500 for each billionth.
//! Not here: caps, and what is charged for what (`shoal-query`).

use std::collections::BTreeMap;

use super::order::Block;

/// What a charge counts that was made before delta was kept: 10^-8, the chance for a question of those versions.
pub(super) const DELTA_ATTO_BEFORE: u64 = 10_000_000_000;

/// The largest share of a block's delta that any preset takes for a billionth of rho: 10^-6 for 0.125.
pub(super) const DELTA_ATTO_PER_NANO_MAX: u64 = 8_000;

/// Rho and delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Billionths of rho.
    pub(super) nano: u64,
    /// Quintillionths (10^-18) of delta.
    pub(super) delta_atto: u64,
}

impl Amount {
    /// The sum, or the largest number where there is none.
    pub(super) fn plus(self, other: Amount) -> Amount {
        Amount {
            nano: self.nano.saturating_add(other.nano),
            delta_atto: self.delta_atto.saturating_add(other.delta_atto),
        }
    }

    /// Of rho and of delta the larger one.
    pub(super) fn or_more(self, other: Amount) -> Amount {
        Amount { nano: self.nano.max(other.nano), delta_atto: self.delta_atto.max(other.delta_atto) }
    }

    /// Whether neither rho nor delta is less than the other's.
    pub(super) fn covers(self, other: Amount) -> bool {
        self.nano >= other.nano && self.delta_atto >= other.delta_atto
    }
}

/// What was spent, by block and pool.
pub(super) type Spent = BTreeMap<(Block, u8), Amount>;

/// What one says of a block's pool; nothing when it says nothing.
pub(super) fn of(spent: &Spent, at: (Block, u8)) -> Amount {
    spent.get(&at).copied().unwrap_or_default()
}

//! What an answer costs.

use shoal_anonymity::budget::Rho;

/// What was paid, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paid {
    /// What any one block pays at most, when none of the parts is in the ledger; for its size too, where that is unknown.
    pub(crate) price: Rho,
    /// What any one block pays at most for those parts that are not in the ledger.
    pub(crate) due: Rho,
    /// Blocks that are charged now.
    pub(crate) blocks: u64,
    /// Released parts of the answer, and those of them that were in the ledger.
    pub(crate) parts: u64,
    pub(crate) parts_found: u64,
    /// Days of regions that have expired and were never asked for: they are left out.
    pub(crate) expired: u64,
    /// The least that any block of the answer has left in its epoch.
    pub(crate) left: Option<Rho>,
    /// What thresholds take of the delta of any one block at most, when none of the parts is in the ledger, and the least
    /// that any block of the answer has left of it, both in quintillionths (10^-18).
    pub(crate) delta_atto: u64,
    pub(crate) delta_left_atto: Option<u64>,
}

//! What reads events, seen from outside.

use async_trait::async_trait;
use shoal_anonymity::noise::Entropy;
use shoal_storage::Block;

use super::due::{Due, Raw};
use crate::failure::Failure;

/// Takes the exact totals of one span after another.
#[async_trait]
pub(crate) trait Taker: Send {
    /// Takes those of a span. No other span is begun until it has.
    ///
    /// # Errors
    /// Whatever goes wrong with them.
    async fn take(&mut self, raw: Raw) -> Result<(), Failure>;
}

/// Whatever a test does with totals.
#[cfg(test)]
#[async_trait]
impl<F: FnMut(Raw) -> Result<(), Failure> + Send> Taker for F {
    async fn take(&mut self, raw: Raw) -> Result<(), Failure> {
        self(raw)
    }
}

/// Where events are read and bounded: in this process (`local`), in memory (`memory`), or one day elsewhere.
#[async_trait]
pub(crate) trait Scan: Send + Sync {
    /// Reads one region of a release, over days that follow on each other, and hands over the totals of each span as it is
    /// finished, in no particular order, so that no more than the running ones are in memory. `entropy` draws the keys of
    /// choices and the noisy limits on groups.
    ///
    /// # Errors
    /// The class of whatever goes wrong, without a reason, that of `take` included.
    async fn totals(
        &self,
        due: Due,
        entropy: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure>;

    /// How many rows a block has now: as its files say, or, with a limit, counted subject by subject, each up to the limit.
    /// Exact, so it is not private: only the release of a block's size takes it.
    ///
    /// # Errors
    /// The class of whatever goes wrong.
    async fn rows(&self, block: Block, most_of_one: Option<u64>) -> Result<u64, Failure>;
}

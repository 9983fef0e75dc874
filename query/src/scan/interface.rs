//! What reads events, seen from outside.

use async_trait::async_trait;
use shoal_anonymity::noise::Entropy;

use super::due::{Due, Raw};
use crate::failure::Failure;

/// Where events are read and bounded: in this process (`local`), in memory (`memory`), or one day elsewhere.
#[async_trait]
pub(crate) trait Scan: Send + Sync {
    /// The exact totals of one region of a release, over days that follow on each other. `entropy` draws the keys of choices
    /// and the noisy limits on groups.
    ///
    /// # Errors
    /// The class of whatever goes wrong, without a reason.
    async fn totals(&self, due: Due, entropy: &mut (dyn Entropy + Send)) -> Result<Raw, Failure>;
}

//! A checkpoint of a log that has grown, so that the next start reads few commits.
//!
//! Nothing is deleted: a purge does that (`purge`). Not here: when it is called (`shoal-server`), what is in it (`log`).

use crate::error::Result;
use crate::tables::table::Table;

impl Table {
    /// Writes a checkpoint when there are at least so many commits after the last one. Whether it did.
    ///
    /// # Errors
    /// When the log cannot be read or written. Nothing is lost: the commits are there.
    pub async fn checkpoint(&self, commits_min: u64) -> Result<bool> {
        let inner = &self.inner;
        let mut committer = inner.committer().await?;
        if committer.version.saturating_sub(inner.last_checkpoint()?) < commits_min {
            return Ok(false);
        }
        let loaded = inner.reload(&mut committer).await?;
        inner.log.checkpoint(&loaded).await?;
        Ok(true)
    }
}

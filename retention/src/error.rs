//! The one error of this crate. A table that fails during a run is no error of the run: it is listed in its report.

use shoal_schemas::{Kind, Region};
use shoal_storage::StorageError;

use crate::permit::Refused;

/// Why nothing could be planned or run.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// A table could not be opened or read.
    #[error("table {region}/{kind}: {source}")]
    Table {
        /// Its region.
        region: Region,
        /// Its kind.
        kind: Kind,
        /// What failed.
        source: StorageError,
    },
    /// The run would remove what it must not; nothing was changed.
    #[error("retention does not run: {0}")]
    Refused(#[from] Refused),
}

//! Why ingestion failed, by what the caller does about it. Refusals of a request are data: `refusal.rs`.
//!
//! Invariant: no variant carries anything of an event or of a body.

use std::path::PathBuf;

use shoal_schemas::{Kind, Region};
use shoal_storage::StorageError;

/// Why a batch was not appended. Nothing of it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Too many bytes wait for the disk: come back later.
    #[error("{0} bytes are waiting for the log")]
    Full(u64),
    /// The disk is nearly full.
    #[error("the disk is nearly full")]
    DiskFull,
    /// What is kept of a day cannot be read, so that nobody knows whether more of it may be kept.
    #[error("a day that is kept cannot be read")]
    UnreadDay,
    /// The log has stopped, for good: after an I/O error, or because the service is stopping.
    #[error("the log has stopped")]
    Stopped,
}

/// Why opening, flushing or stopping failed.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A setting makes no sense.
    #[error("ingest configuration: {0}")]
    Config(String),
    /// A file of the log or of the event-id runs could not be read, written or synced.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// A file has damage in a part that was durable. It is kept as it is; see `docs/operations.md`.
    #[error("{path} is damaged at byte {offset}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What was found, without content.
        reason: &'static str,
    },
    /// A segment is encrypted, and there is no key.
    #[error("{path} is encrypted, and there is no key to read it with")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A segment names an event or a column that is no longer declared.
    #[error("the log of {region} holds {kind} rows of {name}, which is not declared any more")]
    Undeclared {
        /// The log's region.
        region: Region,
        /// The rows' kind.
        kind: Kind,
        /// The event's or column's name.
        name: String,
    },
    /// A table or the file of consents failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Arrow refused a column: a defect.
    #[error("columns: {0}")]
    Columns(#[from] arrow::error::ArrowError),
    /// The writer of a region has stopped after an I/O error; the service must exit.
    #[error("the log of {0} has stopped after an I/O error")]
    Failed(Region),
    /// A commit of an earlier call or process has come late, and nothing was written now.
    #[error("a commit of the region {0} has come late: the next flush goes on from there")]
    Overtaken(Region),
    /// Rows do not leave a log as fast as they come, so there is no moment for a copy.
    #[error("rows wait in a log for tables that have no room for them: try again later")]
    Behind,
}

impl IngestError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> IngestError {
        let path = path.into();
        move |source| IngestError::Io { path, source }
    }
}

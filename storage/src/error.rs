//! The one error of this crate. Texts name tables, files and versions, never the content of a row.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use shoal_files::is_in_doubt;

/// What went wrong in a store, and what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The root is no place this build can store in. Change the configuration.
    #[error("unusable location {location}: {reason}")]
    Location {
        /// The URL or path as given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process serves this directory.
    #[error("{} is locked: another process serves this directory", .0.display())]
    Locked(PathBuf),
    /// A table or a batch does not fit its definition. A definition evolves by addition only.
    #[error("schema of {table}: {reason}")]
    Schema {
        /// `REGION/kind`.
        table: String,
        /// Which column, and why.
        reason: String,
    },
    /// The operating system refused a file operation.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The Delta log could not be read or written. An append that answers this may be repeated with the same version.
    #[error("delta log: {}", without_backtrace(.0))]
    Delta(#[from] deltalake_core::DeltaTableError),
    /// A Parquet file could not be written or read.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A batch could not be sorted or converted.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The file of consents or of the ledger could not be read or written. Nothing was acknowledged.
    #[error("database: {0}")]
    Database(#[from] redb::Error),
    /// A file was written by a version of Shoal that this one does not know.
    #[error("{}: format {found}, this build knows {known}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The number found in it.
        found: u32,
        /// The number this build writes.
        known: u32,
    },
    /// A file does not hold what was written to it: something other than Shoal changed it. Nothing of it is used.
    #[error("{} {reason}. Something other than Shoal has changed it: put it back from a copy", path.display())]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong: completes a sentence that begins with the file.
        reason: String,
    },
    /// What a library says of a file that it could not read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: Box<StorageError>,
    },
    /// A file is encrypted, and there is no key for it.
    #[error("{} is encrypted, and there is no key for it: put the key file back as it was", .0.display())]
    Sealed(PathBuf),
    /// The key of a file was destroyed, or is lost: what is encrypted with it cannot be read any more.
    #[error(
        "{} is not there. If it was not destroyed on purpose, put the key store back from its copy: what is encrypted with the key \
         cannot be read without it", .0.display()
    )]
    KeyGone(PathBuf),
    /// The rows after a maintenance commit are not those expected: the table was changed behind Shoal's back.
    #[error("{table}: {found} rows after the commit, expected {expected}")]
    RowCount {
        /// `REGION/kind`.
        table: String,
        /// Rows before, less those removed.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// The record of a consent cannot be read or written: a later version wrote it, or it is damaged.
    #[error("{}: {reason}", path.display())]
    Consent {
        /// The file.
        path: PathBuf,
        /// What is wrong, without anything that the record says.
        reason: String,
    },
    /// An act on a person that is not recorded, or not so. Nothing was changed.
    #[error("the request {id} is refused: {reason}")]
    SubjectAct {
        /// What it is called.
        id: uuid::Uuid,
        /// Why.
        reason: &'static str,
    },
    /// A high-water mark of spent budget is damaged, missing, or older than it must be. Nothing is opened, since budget
    /// might come back.
    #[error(
        "{} {reason}. Budget that was spent might come back, so nothing is granted. Put the file back as it was last (if it is \
         damaged and there is no copy, move it away), or accept with `shoal budget accept-restore` that the most that the \
         files left say counts as spent", path.display()
    )]
    HighWaterMark {
        /// The file.
        path: PathBuf,
        /// What is wrong: completes a sentence that begins with the file.
        reason: String,
    },
    /// A file failed so that something may be lost. It is not used again by this process, which must end.
    #[error("{} has failed: nothing is written to it before the next start", .0.display())]
    Broken(PathBuf),
    /// An answer that is not one of its reservation's, or no longer.
    #[error("the reservation of this answer is not in force")]
    Stale,
    /// A worker thread was cancelled; the process is stopping.
    #[error("storage is stopping")]
    Stopped,
}

impl StorageError {
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> StorageError {
        let path = path.as_ref().to_path_buf();
        move |source| StorageError::Io { path, source }
    }

    /// Names the file where an error of a library does not.
    pub(crate) fn of(path: impl AsRef<Path>) -> impl FnOnce(StorageError) -> StorageError {
        let path = path.as_ref().to_path_buf();
        move |error| match error {
            StorageError::Delta(_) | StorageError::Parquet(_) | StorageError::Arrow(_) => {
                StorageError::Unreadable { path, source: Box::new(error) }
            }
            named => named,
        }
    }

    /// Whether another commit has the version.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, StorageError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists)
    }

    /// Whether what failed has changed nothing, and will not.
    pub(crate) fn is_without_effect(&self) -> bool {
        matches!(self, StorageError::Io { source, .. } if !is_in_doubt(source))
    }
}

/// The text of an error without the calls that led to it, which the Delta library appends when `RUST_BACKTRACE` is set.
fn without_backtrace(error: &deltalake_core::DeltaTableError) -> String {
    let text = error.to_string();
    let first_call = text.lines().position(|line| line.trim_start().starts_with("0: "));
    text.lines().take(first_call.unwrap_or(usize::MAX)).collect::<Vec<_>>().join("\n")
}

pub(crate) type Result<T> = std::result::Result<T, StorageError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_carries_the_calls_that_led_to_it() {
        let told =
            "broken\n   0: deltalake_core::kernel::snapshot\n             at /src/x.rs:7:1\n   1: main";
        let error = StorageError::Delta(deltalake_core::DeltaTableError::Generic(told.to_owned()));
        let text = error.to_string();
        assert!(text.ends_with("broken") && !text.contains(".rs"), "{text}");
        let plain = StorageError::Delta(deltalake_core::DeltaTableError::Generic("two\nlines".to_owned()));
        assert!(plain.to_string().ends_with("two\nlines"));
    }
}

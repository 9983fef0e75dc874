//! The one error of this crate. Texts name files and lines, never what a line says.

use std::path::{Path, PathBuf};

/// Why the audit cannot be read, opened or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The operating system refused a file operation.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The chain was changed, or a part of it is missing; or it cannot be written (line 0).
    #[error("{}:{line}: {reason}", path.display())]
    Chain {
        /// The file, or the directory.
        path: PathBuf,
        /// The line of the file, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The fields of an act are no JSON object.
    #[error("the fields of a line of the audit are no JSON object")]
    Fields,
}

impl AuditError {
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> AuditError {
        let path = path.as_ref().to_path_buf();
        move |source| AuditError::Io { path, source }
    }
}

pub(crate) type Result<T> = std::result::Result<T, AuditError>;

//! The errors of this crate. Texts name files, lines and members, never what they say.

use std::path::PathBuf;

/// Why receipts cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The place of the chain or of the openings refused an operation.
    #[error("{}: {source}", path.display())]
    Io {
        /// The object.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The chain or an opening was changed, or a part of it is missing.
    #[error("{}:{line}: {reason}", path.display())]
    Damaged {
        /// The object, or the place.
        path: PathBuf,
        /// The line of the object, from 1; 0 when it is about the object as a whole.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// What was handed over is no act that a receipt can be made of. Nothing was written.
    #[error("no receipt can be made of this act: {0}")]
    Act(&'static str),
}

pub(crate) type Result<T> = std::result::Result<T, ReceiptError>;

/// Why a document or a chain is not what the owner of the key has signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Fault {
    /// The line of the chain, from 1; 1 of a document, which has one line.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(line: u64, reason: impl Into<String>) -> Fault {
        Fault { line, reason: reason.into() }
    }
}

//! The one error of this crate: why the service could not start or go on, or why a command failed.
//!
//! Invariant: no variant carries a secret or anything of a request's body.
//! Not here: what a client is told (`problem.rs`); exit codes (`cli.rs`).

use std::path::Path;

use crate::config::faults::ConfigError;

/// Why the service or a command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("configuration:\n{0}")]
    Config(#[from] ConfigError),
    /// The definitions are wrong.
    #[error("definitions:\n{0}")]
    Schemas(String),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// Access keys.
    #[error("keys: {0}")]
    Keys(String),
    /// The regions' secrets.
    #[error(transparent)]
    Keyring(#[from] crate::key_file::KeyError),
    /// Certificate or private key.
    #[error("TLS: {0}")]
    Tls(String),
    /// Tables.
    #[error(transparent)]
    Storage(#[from] shoal_storage::StorageError),
    /// The audit.
    #[error(transparent)]
    Audit(#[from] shoal_audit::AuditError),
    /// The log or the flush.
    #[error(transparent)]
    Ingest(#[from] shoal_ingest::IngestError),
    /// Retention.
    #[error(transparent)]
    Retention(#[from] shoal_retention::RetentionError),
    /// A part of the service could not be built or has died.
    #[error("{0}")]
    Service(String),
    /// The running service refused a command, or could not be reached.
    #[error("{0}")]
    Remote(String),
    /// A command was used wrongly.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Error {
        Error::Io(path.as_ref().display().to_string(), source)
    }
}

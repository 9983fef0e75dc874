//! How the calls of a blocking place are made, and what the Delta library is told of their failures.
//!
//! Not here: the calls.

use object_store::{Error, Result};
use shoal_files::host;

/// What the library calls the store in its errors.
pub(super) const STORE: &str = "LogFiles";

/// A failure that is none of those that the library knows.
pub(super) fn generic(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: e.into() }
}

/// Runs what may block where that disturbs nobody.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => host::blocking(work).await.map_err(generic),
        Err(_) => Ok(work()),
    }
}

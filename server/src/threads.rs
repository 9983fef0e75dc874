//! The threads of a command that needs a runtime. Not here: the threads of queries (`startup`).

use crate::error::Error;

/// The runtime of a command that needs one.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::Service(format!("threads: {e}")))
}

//! What goes wrong in postprocessing: a refusal before anything is charged, and one opaque failure afterwards.
//!
//! Not here: status codes (`shoal-server`).

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};
use shoal_language::Refusal;

/// Why a text cannot run over releases. Nothing is charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostprocessError {
    /// The text is refused.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// No worker can be had now.
    #[error("no worker is free; try again in a moment")]
    Busy,
}

impl From<Refusal> for PostprocessError {
    fn from(refusal: Refusal) -> PostprocessError {
        PostprocessError::Refused(Box::new(refusal))
    }
}

/// Why a checked text did not run after all: its class, without a reason, since a reason could hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The statement's memory was used up.
    Memory,
    /// The time limit passed.
    Time,
    /// There were more rows or bytes than an answer may have.
    Limit,
    /// A worker process could not be had, died, or answered nonsense.
    Worker,
    /// An error that should not happen.
    Internal,
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Failure {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Failure::Memory,
            _ => Failure::Internal,
        }
    }
}

impl From<ArrowError> for Failure {
    fn from(_: ArrowError) -> Failure {
        Failure::Internal
    }
}

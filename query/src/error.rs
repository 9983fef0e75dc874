//! What a caller can be told: a refusal (data, made from the text and the public schema only), or one of three states.
//!
//! Invariants: nothing here carries a value of an event. Whatever goes wrong after a scan has started is
//! [`QueryError::Failed`], without a reason; the reason is not even logged, because DataFusion prints row values in it. The
//! operator's log and metrics have its class ([`Failure`]).
//! Not here: status codes (`shoal-server`).

use shoal_language::{LanguageError, Refusal};
use shoal_postprocess::PostprocessError;

use crate::failure::Failure;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The statement is refused. Nothing was read, nothing is charged.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The key does not reach this region. Nothing was read, nothing is charged.
    #[error("this key may not ask region {0}")]
    NotAllowed(String),
    /// Too many queries run already. Nothing was read, nothing is charged.
    #[error("too many queries are running; try again in a moment")]
    Busy,
    /// Anything that goes wrong after the scan has started.
    #[error(
        "the query failed after it had started; what it had paid by then stays charged (GET /v1/budget tells)"
    )]
    Failed,
}

/// Why there is no answer, inside this crate: what the asker is told, or what went wrong.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nothing is charged, and the asker is told why.
    Told(QueryError),
    /// Something went wrong after the start; the asker is told [`QueryError::Failed`].
    Failed(Failure),
}

impl From<QueryError> for NoAnswer {
    fn from(error: QueryError) -> NoAnswer {
        NoAnswer::Told(error)
    }
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> NoAnswer {
        NoAnswer::Failed(failure)
    }
}

impl From<shoal_postprocess::Failure> for NoAnswer {
    fn from(failure: shoal_postprocess::Failure) -> NoAnswer {
        NoAnswer::Failed(failure.into())
    }
}

impl From<Refusal> for QueryError {
    fn from(refusal: Refusal) -> QueryError {
        QueryError::Refused(Box::new(refusal))
    }
}

impl From<LanguageError> for QueryError {
    fn from(error: LanguageError) -> QueryError {
        match error {
            LanguageError::Refused(refusal) => QueryError::Refused(refusal),
            LanguageError::NotAllowed(region) => QueryError::NotAllowed(region),
        }
    }
}

impl From<PostprocessError> for QueryError {
    fn from(error: PostprocessError) -> QueryError {
        match error {
            PostprocessError::Refused(refusal) => QueryError::Refused(refusal),
            PostprocessError::Busy => QueryError::Busy,
        }
    }
}

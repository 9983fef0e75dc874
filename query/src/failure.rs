//! What went wrong after a question was charged: its class for the operator, and nothing else.
//!
//! Invariants: no reason is kept, not even for the log: DataFusion and Arrow print values of rows in theirs. The analyst
//! learns of every class the same (`QueryError::Failed`). Not here: the log line and the metric (`engine`).

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use shoal_anonymity::bound::BoundError;
use shoal_anonymity::noise::NoiseError;
use shoal_storage::StorageError;

/// Why a charged question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    /// A table, the ledger or the audit could not be read or written.
    Storage,
    /// The queries' memory was used up.
    Memory,
    /// The time limit passed.
    Time,
    /// There were more groups, rows or bytes than an answer may have.
    Limit,
    /// A worker process died or answered nonsense.
    Worker,
    /// Code panicked; the query's task ended and nothing else.
    Panic,
    /// Something that should not happen: a fault in Shoal or in a library.
    Internal,
}

impl Failure {
    /// Every class.
    pub(crate) const ALL: [Failure; 7] = [
        Failure::Storage,
        Failure::Memory,
        Failure::Time,
        Failure::Limit,
        Failure::Worker,
        Failure::Panic,
        Failure::Internal,
    ];

    /// Its name in the log and in the metric.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Failure::Storage => "storage",
            Failure::Memory => "memory",
            Failure::Time => "time",
            Failure::Limit => "limit",
            Failure::Worker => "worker",
            Failure::Panic => "panic",
            Failure::Internal => "internal",
        }
    }

    /// The class of a task that did not end as it should.
    pub(crate) fn of_task(error: &tokio::task::JoinError) -> Failure {
        if error.is_panic() { Failure::Panic } else { Failure::Internal }
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Failure {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Failure::Memory,
            DataFusionError::IoError(_)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::ParquetError(_) => Failure::Storage,
            _ => Failure::Internal,
        }
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Failure {
        match error {
            ArrowError::IoError(..) | ArrowError::ParquetError(_) => Failure::Storage,
            ArrowError::MemoryError(_) => Failure::Memory,
            _ => Failure::Internal,
        }
    }
}

impl From<StorageError> for Failure {
    fn from(_: StorageError) -> Failure {
        Failure::Storage
    }
}

impl From<BoundError> for Failure {
    fn from(error: BoundError) -> Failure {
        match error {
            BoundError::Cells => Failure::Limit,
            _ => Failure::Internal,
        }
    }
}

impl From<NoiseError> for Failure {
    fn from(_: NoiseError) -> Failure {
        Failure::Internal
    }
}

impl From<shoal_postprocess::Failure> for Failure {
    fn from(failure: shoal_postprocess::Failure) -> Failure {
        match failure {
            shoal_postprocess::Failure::Memory => Failure::Memory,
            shoal_postprocess::Failure::Time => Failure::Time,
            shoal_postprocess::Failure::Limit => Failure::Limit,
            shoal_postprocess::Failure::Worker => Failure::Worker,
            shoal_postprocess::Failure::Internal => Failure::Internal,
        }
    }
}

//! From the bytes of a request to a clean batch, the write-ahead log and a Delta commit.
//!
//! ```text
//! body -decode-> -validate-> -permit-> -pseudonymise-> -scrub-> CleanBatch      pure and synchronous: pipeline
//! CleanBatch -append-> log (one writer thread a region, fsync) -> Receipt       log, dedup
//! sealed segment -> RecordBatch -> Parquet -> Delta commit, exactly once        flush
//! ```
//! The doors of the crate are [`Ingest`] (all of it, for the server) and what its calls take and answer.
//!
//! Not here: routes and status codes (`shoal-server`), Parquet and Delta (`shoal-storage`), keys, consent rules and
//! patterns (`shoal-privacy`), what may be collected (`shoal-schemas`).

mod answer;
mod clean;
mod config;
mod consents;
mod country;
mod decode;
mod dedup;
mod error;
mod flush;
mod frames;
mod grant;
mod inflate;
mod ingest;
mod layout;
mod log;
mod metrics;
mod permit;
mod pipeline;
mod pseudonymise;
mod row;
mod scrub;
mod time;
mod validate;
mod value;

pub use answer::{BatchAnswer, Code, Outcome, Refusal, Rejection};
pub use clean::CleanBatch;
pub use config::{DedupConfig, IngestConfig, LogConfig};
pub use consents::{ConsentAnswer, open_consents};
pub use country::GeoDb;
pub use error::{IngestError, LogError};
pub use flush::FlushReport;
pub use grant::IngestGrant;
pub use inflate::Limits;
pub use ingest::{Ingest, IngestParts};
pub use metrics::Metrics;
#[doc(hidden)]
pub use pipeline::Stage;
pub use pipeline::{PipelineConfig, Request};

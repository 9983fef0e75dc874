//! From the bytes of a request to a clean batch, the write-ahead log and a Delta commit.
//!
//! ```text
//! body -decode-> -validate-> -permit-> -pseudonymise-> -scrub-> CleanBatch      pure and synchronous: wire, stages
//! CleanBatch -append-> log (one writer thread a region, fsync) -> Receipt       day_limit, log, dedup
//! sealed segment -> RecordBatch -> Parquet -> Delta commit, exactly once        flush
//! ```
//! The interface of the crate is [`Ingest`] (all of it, for the server) and what its calls take and answer.
//!
//! How many requests are judged at one time, and which are refused early, is decided in front of all that: admission.
//! Whose events are that name nobody is decided by keys that are made and destroyed by the day: unit_keys.
//! What was probably meant by names that nothing has is told with the answer: near.
//! What became of what came with each key is counted in memory, for its owner and for who sent it: senders.
//!
//! Not here: routes and status codes (`shoal-server`), Parquet and Delta (`shoal-storage`), keys, consent rules and
//! patterns (`shoal-privacy`), what may be collected (`shoal-schemas`).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod admission;
mod answer;
mod config;
mod consents;
mod day_limit;
mod declared;
mod dedup;
mod dictionary;
mod epoch_keys;
mod error;
mod explained;
mod flush;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod ingest;
mod key_times;
mod log;
mod metrics;
mod near;
mod packed;
mod refusal;
mod senders;
mod stages;
mod unit_keys;
mod wire;

pub use answer::{BatchAnswer, Code, Outcome, Rejection};
pub use config::{
    AdmissionConfig, DayLimitConfig, DedupConfig, Epochs, IngestConfig, Limits, LogConfig, PipelineConfig,
    UnitKeyConfig,
};
pub use consents::{ConsentAnswer, open_consents, open_consents_with_journal, open_sealed_consents};
pub use epoch_keys::{epoch_scope, known_epochs, note_epoch};
pub use error::{IngestError, LogError};
pub use explained::{Explained, refusals, rejections, withheld};
pub use flush::FlushReport;
pub use grant::{IngestGrant, KeyKind};
pub use ingest::{ConsentTold, Disks, Ingest, IngestParts, Kept, Paused, Person, Places, Waiting, Withdrawn};
pub use metrics::Metrics;
pub use near::Meant;
pub use refusal::{Refusal, RefusalCode};
pub use senders::Counters;
pub use stages::clean::CleanBatch;
pub use stages::country::{GeoDb, written_address};
#[doc(hidden)]
pub use stages::pipeline::Stage;
pub use unit_keys::UnitKeysReport;
pub use wire::native::fields::{NATIVE_FIELDS, NativeField};
pub use wire::protocol::{Later, Refused, Reply, Request, Told};
pub use wire::which::protocol_of;
pub use wire::{answer, segment_write_key};

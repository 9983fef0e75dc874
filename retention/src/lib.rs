//! Expiry: what is past its time is unreadable at once (the query side sees to that), and a run makes it really gone.
//!
//! A day is kept while `today - day <= retention days` of its programme and kind. A run removes expired files from their
//! table in one commit (*expire*), then deletes their bytes and every entry of the Delta log that names them (*purge*).
//! A run may be repeated or killed at any point: what was not finished is finished by the next one.
//!
//! - `plan`: which files are past their time; `permit`: whether they may be removed now; both pure
//! - `run`: plans and runs over a store
//! - `erase`: the rows of subjects leave the tables of a region; `held`: they are read for whoever is told of them
//! - `maintain`: merges small files, and purges what the merges left
//! - `holdings`: what the tables hold, for operators
//! - `report`: what a run did, per region, programme and kind
//! - `metrics`, `error`
//!
//! Not here: how a file leaves a table (`shoal-storage`, `expire.rs`, `purge.rs`), how long things are kept
//! (`shoal-schemas`, `defs/`), when a run starts (`shoal-server`, `jobs.rs`).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod erase;
mod error;
mod held;
mod holdings;
mod maintain;
mod metrics;
mod permit;
mod plan;
mod report;
mod run;

pub use erase::{FileVersion, RowsErased, TableVersion};
pub use error::RetentionError;
pub use holdings::Holding;
pub use maintain::{Compacted, MaintainReport};
pub use metrics::Metrics;
pub use permit::{Accepted, FAR_MS, KnownTimes, Permit, Refused, plausible};
pub use plan::{Line, Plan, TableFiles, is_expired, plan};
pub use report::{Failure, Purged, Report};
pub use run::{Mode, Progress, Retention};

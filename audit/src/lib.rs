//! The audit: one line for every act of every role, durable before the act is answered for, and chained so that no line can
//! be changed, removed, inserted or moved unseen.
//!
//! ```text
//! begin(origin, fields) -> Entry -end(outcome)-> one line of JSON -append-> files, synced -> answer
//! ```
//! - `line`: who did what, when, and how it ended; the fields that only one kind of act has are the caller's own type
//! - `entry`: a line that is not written yet; `audit`: the audit of a data directory
//! - `form`: a line's hash, and how each line follows the one before it
//! - `chain`: the files of the lines, on a medium of `shoal-files`
//!
//! Invariants: what the caller hands over is written as it is, so it must hold no personal data and no secret; a line that
//! cannot be written is an error of the act, which must not be answered for then. This crate knows none of the acts' own
//! crates: they depend on it.
//! Not here: what a query's line says (`shoal-query`, `audit.rs`), what `shoal audit` shows (`shoal-server`).

mod audit;
mod chain;
mod entry;
mod error;
mod form;
mod line;
#[cfg(test)]
mod tests;

pub use audit::Audit;
pub use chain::{ChainLine, ChainPlace, Whole, in_turn, last_at_ms, verify, verify_last, verify_since};
pub use entry::Entry;
pub use error::AuditError;
pub use form::LineHash;
pub use line::{Act, ActOutcome, Actor, Origin, Role};

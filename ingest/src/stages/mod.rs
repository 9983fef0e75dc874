//! The stages of the pipeline, from the bytes of a request to clean batches: one stage a file, and what they judge by beside
//! them. `pipeline.rs` lists them in their order.
//!
//! Invariants: synchronous and pure, because the time and the consents are arguments; each stage takes only what the one
//! before it makes.
//! Not here: how bytes become events (`wire`), the log that takes the clean batches (`log`).

pub(crate) mod clean;
pub(crate) mod country;
mod epoch;
mod event_id;
mod frames;
pub(crate) mod identifiers;
pub(crate) mod inflate;
mod permit;
pub(crate) mod pipeline;
mod pseudonymise;
pub(crate) mod row;
pub(crate) mod row_layout;
mod scrub;
mod validate;
mod value;

//! What a question is asked with: the budget, the time, and what decides when its answer leaves.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

use super::size_bounds::SizeBounds;
use crate::ledger::Budget;
use crate::metrics::Metrics;
use crate::scan::Reading;
use crate::schedule::{Latest, Schedule};

/// The circumstances of a question.
pub(crate) struct Circumstances<'a> {
    pub(crate) budget: &'a Budget,
    /// Public part of the key that asks.
    pub(crate) asker: &'a str,
    pub(crate) now_ms: i64,
    /// Until when another asker's released parts are waited for.
    pub(crate) deadline: Instant,
    /// Most groups of an answer.
    pub(crate) rows_max: usize,
    /// Told how many blocks are charged, before anything is read.
    pub(crate) charged: &'a (dyn Fn(u64) + Sync),
    /// What decides when the answer leaves; none for tests and benches, whose answers leave when they are there.
    pub(crate) timing: Option<Timing<'a>>,
}

/// What decides when an answer leaves.
pub(crate) struct Timing<'a> {
    pub(crate) schedule: &'a Schedule,
    /// Nanoseconds of a row that is only counted.
    pub(crate) row_time_ns: u64,
    /// How far one subject can change the sizes of blocks.
    pub(crate) sizes: SizeBounds,
    /// What reading may take in memory.
    pub(crate) reading: Reading,
    /// The longest turn.
    pub(crate) longest: Duration,
    /// When a turn is too late.
    pub(crate) latest: Latest,
    /// How long after now the answer leaves, in ms, once that is decided: for the audit.
    pub(crate) decided_ms: &'a OnceLock<u64>,
    /// Told, for the operator alone, how much of its time a turn took.
    pub(crate) metrics: &'a Metrics,
}

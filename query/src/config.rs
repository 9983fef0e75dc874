//! Limits of the query side. Durations in milliseconds, sizes in bytes.

use shoal_anonymity::budget::Preset;

use crate::budget_epochs::BudgetEpochs;
use crate::charge::MemoryShare;

/// How much analysts' queries may use, and what they may learn.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryConfig {
    /// The cap of a block: `strict`, `standard` or `internal`.
    pub preset: Preset,
    /// When a day is answered, and with which shares of the cap.
    pub epochs: BudgetEpochs,
    /// Fewest subjects of a group with a private key.
    pub k_min: u32,
    /// The chance that any question ever lets one subject alone lift a group over the threshold, for a block: all questions
    /// together.
    pub threshold_delta: f64,
    /// Queries that run at the same time. Up to eight times as many wait, for a thread or for their answer's time; one more is
    /// told to try again.
    pub concurrent_max: usize,
    /// Threads of the queries' own runtime.
    pub threads: usize,
    /// Memory that the groups of all running queries may take together. Each query has its part of it, which its limit on
    /// groups is chosen for before it is charged.
    pub memory_bytes_max: usize,
    /// Most groups of private keys that are looked at, before the threshold.
    pub cells_max: usize,
    /// Longest time of a query.
    pub time_ms_max: u64,
    /// Nanoseconds that are planned for a row that is only counted; everything else is a multiple of it.
    pub row_time_ns: u64,
    /// The most events that one subject has in a table on a day: what one subject's day can change in a block's size.
    pub subject_day_events_max: u64,
    /// Answers that read events are given at these times after the question only (ascending), and after the last one at its
    /// multiples, so that the time tells little; empty: as soon as they are there.
    pub answer_times_ms: Vec<u64>,
}

impl Default for QueryConfig {
    fn default() -> QueryConfig {
        QueryConfig {
            preset: Preset::Standard,
            epochs: BudgetEpochs::default(),
            k_min: 20,
            threshold_delta: 1e-6,
            concurrent_max: 2,
            threads: 2,
            memory_bytes_max: 384 << 20,
            cells_max: 100_000,
            time_ms_max: 30_000,
            row_time_ns: 100,
            subject_day_events_max: 5_000,
            answer_times_ms: vec![1_000, 2_000, 4_000, 8_000, 16_000, 30_000],
        }
    }
}

impl QueryConfig {
    /// How memory is shared.
    pub(crate) fn memory(&self) -> MemoryShare {
        MemoryShare { bytes_max: self.memory_bytes_max, queries: self.concurrent_max, spans: self.threads }
    }
}

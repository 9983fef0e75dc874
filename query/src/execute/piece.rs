//! One piece of one region: its files, its fold, its totals, on a thread that may be busy.
//!
//! Invariants: a piece runs on a blocking thread and asks between batches whether anybody still waits for it, so that
//! dropping the future stops it within a batch or two. What its fold and its files hold is counted in the memory pool.
//! Not here: which pieces there are (`mod`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};

use super::Failure;
use super::fold::{Fold, Outcome};
use super::merge::{Stop, merge};
use super::rows::Template;
use super::source::{Reading, Source, open};

/// Everything that one piece needs.
pub(super) struct Work {
    pub(super) fold: Box<dyn Fold>,
    /// The query's own table first, then those of its memberships.
    pub(super) inputs: Arc<Vec<Input>>,
    /// The days of each input, ascending.
    pub(super) days: Vec<Vec<i32>>,
    pub(super) memory: Arc<dyn MemoryPool>,
    /// See [`Reading`].
    pub(super) checked: bool,
}

/// A table and what is made of its rows.
pub(super) struct Input {
    pub(super) source: Source,
    pub(super) template: Arc<Template>,
}

/// Tells the threads when nobody waits any more.
pub(super) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    pub(super) fn new() -> Waiting {
        Waiting(Arc::new(AtomicBool::new(true)))
    }

    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Work {
    /// Runs on a blocking thread. [`Stop::Unsorted`] asks to do it again, `checked`, with a fold of its own.
    pub(super) async fn run(self, waiting: Arc<AtomicBool>) -> Result<Outcome, Stop> {
        let done = tokio::task::spawn_blocking(move || self.work(&waiting)).await;
        done.unwrap_or(Err(Stop::Failed))
    }

    fn work(mut self, waiting: &AtomicBool) -> Result<Outcome, Stop> {
        let mut files = MemoryConsumer::new("open files").register(&self.memory);
        let mut own = MemoryConsumer::new("fold").register(&self.memory);
        let mut streams = Vec::new();
        for (at, (input, days)) in self.inputs.iter().zip(&self.days).enumerate() {
            let membership = at.checked_sub(1);
            let reading =
                Reading { template: &input.template, memory: &mut files, checked: self.checked, membership };
            streams.append(&mut open(&input.source, days, reading)?);
        }
        let mut pulse = |bytes: usize| -> Result<(), Failure> {
            if !waiting.load(Ordering::Relaxed) {
                return Err(Failure);
            }
            Ok(own.try_resize(bytes)?)
        };
        merge(streams, &mut *self.fold, &mut pulse)?;
        Ok(self.fold.finish()?)
    }
}

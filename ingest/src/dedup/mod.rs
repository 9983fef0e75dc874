//! Which event ids were accepted before: a resend is counted once, for at least the window, across restarts.
//!
//! ```text
//! active segment: a set, in the log's writer thread | sealed, no run yet: sets, shared | older: sorted runs on disk
//! ```
//! Ids are 64-bit fingerprints: the first half of the event id's keyed digest. Two different ids meet by chance with
//! probability n / 2^64 (a ten-millionth of a percent at 17 thousand million ids), and nobody without the key can aim.
//!
//! Invariants: only the writer thread decides, so of any number of equal ids at once exactly one is new; an id leaves
//! a set only after the run that holds it is durable and published.
//! Not here: the file of a run (`run.rs`), which there are and when they are merged (`runs.rs`).

mod run;
mod runs;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use rustc_hash::FxHashSet;

pub(crate) use runs::{RunLimits, Runs, RunsSize};

/// The ids of one segment.
pub(crate) type Fingerprints = FxHashSet<u64>;

/// All ids of one region; owned by the writer thread.
pub(crate) struct Window {
    active: Fingerprints,
    sealed: Vec<(u64, Arc<Fingerprints>)>,
    runs: Arc<Runs>,
}

impl Window {
    /// With the sets of the segments that have no run yet, by sequence.
    pub(crate) fn new(runs: Arc<Runs>, sealed: Vec<(u64, Arc<Fingerprints>)>) -> Window {
        Window { active: Fingerprints::default(), sealed, runs }
    }

    /// Whether the id is new; it is not any more after this.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub(crate) fn insert(&mut self, fingerprint: u64) -> io::Result<bool> {
        let known = self.active.contains(&fingerprint)
            || self.sealed.iter().any(|(_, set)| set.contains(&fingerprint))
            || self.runs.contains(fingerprint)?;
        Ok(!known && self.active.insert(fingerprint))
    }

    /// The active segment was sealed. Answers its ids, for the run.
    pub(crate) fn seal(&mut self, sequence: u64) -> Arc<Fingerprints> {
        let set = Arc::new(std::mem::take(&mut self.active));
        self.sealed.push((sequence, Arc::clone(&set)));
        set
    }

    /// The run of a segment is published: its set is not needed.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.sealed.retain(|(of, _)| *of != sequence);
    }
}
